"""Sizes of pictures as words of a command line."""

from striate.base.errors import ModelError

SIZE = "pixels: 224, or HEIGHTxWIDTH"
"""What help says of a flag that takes a size."""


def sides(text: str) -> tuple[int, int]:
    """Height and width from ``224`` or ``240x320``.

    Raises:
        ModelError: the text is neither.
    """
    found = _numbers(text)
    if len(found) not in (1, 2):
        raise ModelError(f"--size is {text!r}, expected pixels: a number, or height and width as in 240x320")
    return found[0], found[-1]


def picture_shape(text: str) -> tuple[int, ...]:
    """(height, width) from ``224`` or ``240x320``, (channels, height, width) from ``1x240x320``.

    Raises:
        ModelError: the text is none of these.
    """
    found = _numbers(text)
    if len(found) not in (1, 2, 3):
        raise ModelError(f"--size is {text!r}; expected pixels: 224, HEIGHTxWIDTH, or CHANNELSxHEIGHTxWIDTH")
    return found * 2 if len(found) == 1 else found


def _numbers(text: str) -> tuple[int, ...]:
    """Those between the crosses; none if something else is."""
    try:
        return tuple(int(word) for word in text.split("x"))
    except ValueError:
        return ()
