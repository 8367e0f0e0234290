"""Window arithmetic on plain integers: the one place that knows what a padding means.

A window of ``window`` taps, ``dilation`` apart, steps by ``stride`` over an axis of ``size`` with ``before`` and
``after`` extra places at its ends. The paddings:

- ``"same"``: TensorFlow's. As many outputs as steps fit, ``ceil(size / stride)``; the odd place goes after.
- ``"valid"``: none; windows that do not fit entirely are not there.
- ``"symmetric"``: what PyTorch users write as ``window // 2`` on both sides. At stride 2 it is not ``"same"``: it
  puts the odd place before, so the windows see other pixels.
- an integer: that many on both sides; a pair: before and after.
"""

from typing import Literal

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean

Padding = Literal["same", "valid", "symmetric"] | int | tuple[int, int]

_NAMES = ("same", "valid", "symmetric")


def reach(window: int, dilation: int = 1) -> int:
    """How many places a window spans from its first tap to its last.

    Example:
        >>> reach(3, dilation=4)
        9
    """
    return (window - 1) * dilation + 1


def same_padding(size: int, window: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """TensorFlow's SAME: how many places to add before and after an axis of ``size``.

    Raises:
        ModelError: an argument is below 1.

    Example:
        >>> same_padding(13, window=6, stride=5)
        (1, 2)
        >>> same_padding(224, window=3, stride=2)
        (0, 1)
    """
    _check(size, window, stride, dilation)
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + reach(window, dilation) - size, 0)
    return total // 2, total - total // 2


def padding_amounts(
    size: int, window: int, stride: int = 1, dilation: int = 1, padding: Padding = "same"
) -> tuple[int, int]:
    """Any padding as the two integers that it means for an axis of ``size``: before and after.

    Raises:
        ModelError: an argument is below 1, or ``padding`` is not one of those that this module's docstring lists.
    """
    _check(size, window, stride, dilation)
    if padding == "same":
        return same_padding(size, window, stride, dilation)
    if padding == "valid":
        return 0, 0
    if padding == "symmetric":
        return dilation * (window // 2), dilation * (window // 2)
    if (pair := _amounts(padding)) is None:
        raise ModelError(
            f"padding is {padding!r}.{did_you_mean(str(padding), _NAMES)} It can be 'same', 'valid', 'symmetric', "
            "an integer from 0 or a pair of them (before, after)"
        )
    return pair


def output_size(size: int, window: int, stride: int = 1, dilation: int = 1, padding: Padding = "same") -> int:
    """How many places the window stops at.

    Raises:
        ModelError: an argument is below 1, ``padding`` is not a padding, or the window does not fit even once.

    Example:
        >>> output_size(13, window=6, stride=5), output_size(13, window=6, stride=5, padding="valid")
        (3, 2)
    """
    before, after = padding_amounts(size, window, stride, dilation, padding)
    room = before + size + after - reach(window, dilation)
    if room < 0:
        raise ModelError(
            f"a window of {window} (dilation {dilation}) spans {reach(window, dilation)} and does not fit into "
            f"{size} with padding {padding!r}; the smallest size that fits is {size - room}, or use padding 'same'"
        )
    return room // stride + 1


def _amounts(padding: object) -> tuple[int, int] | None:
    pair = (padding, padding) if isinstance(padding, int) else padding
    if not isinstance(pair, tuple) or len(pair) != 2:
        return None
    before, after = pair
    legal = isinstance(before, int) and isinstance(after, int) and before >= 0 and after >= 0
    return (before, after) if legal else None


def _check(size: int, window: int, stride: int, dilation: int) -> None:
    for name, value in (("size", size), ("window", window), ("stride", stride), ("dilation", dilation)):
        if value < 1:
            raise ModelError(f"{name} is {value}; a window needs size, window, stride and dilation of at least 1")
