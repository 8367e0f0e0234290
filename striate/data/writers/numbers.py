"""Numbers as words: whole ones as such, others to a millionth of a pixel, so that they come back the same."""

PIXEL = 6
"""Decimals of a coordinate in pixels."""


def plain(value: float, decimals: int = PIXEL) -> int | float:
    """The value, rounded; an int if it is whole then.

    Example:
        >>> plain(80.99999999999), plain(0.25)
        (81, 0.25)
    """
    rounded = round(float(value), decimals)
    return int(rounded) if rounded.is_integer() else rounded


def word(value: float, decimals: int = PIXEL) -> str:
    """The value in decimals, without zeros at the end and without an exponent.

    Example:
        >>> word(1e-05), word(3.0)
        ('0.00001', '3')
    """
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")
