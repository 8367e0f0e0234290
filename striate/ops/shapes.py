"""Window arithmetic on plain integers: the one place that knows what a padding means.

A window of ``window`` taps, ``dilation`` apart, steps by ``stride`` over an axis of ``size`` with ``before`` and
``after`` extra places at its ends. The paddings:

- ``"same"``: TensorFlow's. As many outputs as steps fit, ``ceil(size / stride)``; the odd place goes after.
- ``"valid"``: none; windows that do not fit entirely are not there.
- ``"symmetric"``: what PyTorch users write as ``window // 2`` on both sides. At stride 2 it is not ``"same"``: it
  puts the odd place before, so the windows see other pixels.
- ``"ceil"``: Caffe's, for pools: none before; one more window after if places are left over, which it sees alone.
- an integer: that many on both sides; a pair: before and after.

The functions hold for torch's symbolic sizes, too: where ``"same"`` is computed, nothing is asked of a size.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean

Padding = Literal["same", "valid", "symmetric", "ceil"] | int | tuple[int, int]

_NAMES = ("same", "valid", "symmetric", "ceil")


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
    # The last window starts (size - 1) % stride places before the last place: the usual
    # (outputs - 1) * stride + reach - size, but with no size in it at stride 1.
    missing = reach(window, dilation) - 1 - (0 if stride == 1 else (size - 1) % stride)
    if reach(window, dilation) < stride:
        missing = (missing + abs(missing)) // 2  # at least 0, without comparing
    return missing // 2, missing - missing // 2


def padding_amounts(
    size: int, window: int, stride: int = 1, dilation: int = 1, padding: Padding = "same"
) -> tuple[int, int]:
    """Any padding as the two integers that it means for an axis of ``size``: before and after.

    Those of ``"same"`` are all used; of others, windows may not reach the last places.

    Raises:
        ModelError: an argument is below 1, or ``padding`` is not one of those that this module's docstring lists.
    """
    _check(size, window, stride, dilation)
    if padding == "same":
        return same_padding(size, window, stride, dilation)
    if padding == "ceil":
        return 0, min(
            stride, reach(window, dilation)
        ) - 1  # so that rounding down rounds up, and starts on a real place
    if padding == "valid":
        return 0, 0
    if padding == "symmetric":
        return dilation * (window // 2), dilation * (window // 2)
    if (pair := _amounts(padding)) is None:
        raise ModelError(
            f"padding is {padding!r}.{did_you_mean(str(padding), _NAMES)} It can be 'same', 'valid', 'symmetric', "
            "'ceil' (pools), an integer from 0 or a pair of them (before, after)"
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
    if padding == "same":
        return -(-size // stride)
    room = before + size + after - reach(window, dilation)
    if room < 0:
        raise ModelError(
            f"a window of {window} (dilation {dilation}) spans {reach(window, dilation)} and does not fit into "
            f"{size} with padding {padding!r}; the smallest size that fits is {size - room}, or use padding 'same'"
        )
    return room // stride + 1


def transposed_sizes(size: int, window: int, stride: int = 1, dilation: int = 1, padding: Padding = "same") -> range:
    """The inverse of `output_size`: every size of which the window makes ``size``; it may be empty.

    Raises:
        ModelError: an argument is below 1, or ``padding`` is not a padding, or ``"ceil"``, which is for pools.

    Example:
        >>> transposed_sizes(2, window=3, stride=2), transposed_sizes(2, window=3, stride=2, padding="valid")
        (range(3, 5), range(5, 7))
    """
    least, most = _transposed_bounds(size, window, stride, dilation, padding)
    return range(max(1, least), max(0, most) + 1)


def transposed_size(size: int, window: int, stride: int = 1, dilation: int = 1, padding: Padding = "same") -> int:
    """What a transposed window makes of ``size`` when nothing else is asked.

    That is ``size * stride`` for ``"same"``, the largest size that fits, as in TensorFlow, and the smallest for all
    other paddings, as in PyTorch.

    Raises:
        ModelError: an argument is below 1, ``padding`` is not a padding, or it leaves nothing.

    Example:
        >>> transposed_size(2, window=3, stride=2), transposed_size(2, window=3, stride=2, padding="valid")
        (4, 5)
    """
    least, most = _transposed_bounds(size, window, stride, dilation, padding)
    if padding == "same":
        return most
    if least < 1:
        raise ModelError(
            f"padding {padding!r} takes everything that a window of {window} (dilation {dilation}, stride {stride}) "
            f"makes of {size}; the smallest size that leaves something is {size + -((least - 1) // stride)}, "
            "or use padding 'same'"
        )
    return least


class Window(NamedTuple):
    """One window on an axis, as `field` takes it; ``before`` is its padding before the first place."""

    window: int
    stride: int = 1
    dilation: int = 1
    before: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """What the outputs of a stack of windows see of its input.

    Output ``i`` sees the ``size`` places from ``start + i * stride`` on; ``-start`` is what the literature calls the
    effective padding (Araujo, Norris and Sim, "Computing receptive fields", Distill, 2019).
    """

    size: int = 1
    stride: int = 1
    start: int = 0

    def then(self, window: Window) -> "Field":
        """The field after one more window."""
        return Field(
            size=self.size + (reach(window.window, window.dilation) - 1) * self.stride,
            stride=self.stride * window.stride,
            start=self.start - window.before * self.stride,
        )

    def beside(self, other: "Field") -> "Field":
        """The field of a sum or a concatenation of two branches: everything that either sees.

        Raises:
            ModelError: the branches have different strides.
        """
        if self.stride != other.stride:
            raise ModelError(f"branches of strides {self.stride} and {other.stride} do not meet place by place")
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return Field(end - start, self.stride, start)


def field(windows: Iterable[Window], begin: Field = Field()) -> Field:
    """What the last of a stack of windows sees of the first one's input.

    Example:
        >>> field([Window(5), Window(2, stride=2), Window(5), Window(2, stride=2)])  # LeNet-5 up to S4
        Field(size=16, stride=4, start=0)
    """
    for window in windows:
        begin = begin.then(window)
    return begin


def _transposed_bounds(size: int, window: int, stride: int, dilation: int, padding: Padding) -> tuple[int, int]:
    if padding == "ceil":
        raise ModelError("padding 'ceil' is for pools; a transposed window takes 'same', 'valid' or amounts")
    before, after = padding_amounts(size, window, stride, dilation, padding)
    if padding == "same":
        return (size - 1) * stride + 1, size * stride
    least = (size - 1) * stride + reach(window, dilation) - before - after
    return least, least + stride - 1


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
