"""Sizes of pictures as words of a command line."""

from striate.base.errors import ModelError

SIZE = "pixels: 224, or HEIGHTxWIDTH"
"""What help says of a flag that takes a size."""


def sides(text: str) -> tuple[int, int]:
    """Height and width from ``224`` or ``240x320``.

    Raises:
        ModelError: the text is neither.
    """
    height, cross, width = text.partition("x")
    try:
        return (int(height), int(width) if cross else int(height))
    except ValueError:
        raise ModelError(f"--size is {text!r}, expected pixels: a number, or height and width as in 240x320") from None
