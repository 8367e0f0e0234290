"""Whole numbers that a module makes of nothing but sizes, such as the places that an index takes: these are computed.

They are few, no picture and no weight goes into them, and which places are meant can be read off them alone.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map

from striate.tracing.calls import tensors_in

MOST = 1 << 16
"""More numbers than any axis of a map has are not computed."""

_WHOLE = (torch.int64, torch.int32, torch.bool)
_MARK = "_striate_numbers"


def numbers_of(tensor: Tensor) -> Tensor | None:
    """The true numbers of a tensor of a trace, where they are known."""
    if not isinstance(tensor, FakeTensor):
        return tensor
    found: Tensor | None = getattr(tensor, _MARK, None)
    return tensor.constant if found is None else found


def compute(function: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
    """Compute what an operation of a trace gave, if it is whole numbers of known ones, and remember it."""
    if not isinstance(result, FakeTensor) or result.dtype not in _WHOLE or result.numel() > MOST:
        return
    if torch.Tag.nondeterministic_seeded in function.tags or result.device.type != "cpu":
        return
    if any(numbers_of(tensor) is None for tensor in tensors_in((args, kwargs))):
        return
    known = [
        tree_map(lambda leaf: numbers_of(leaf) if isinstance(leaf, Tensor) else leaf, each) for each in (args, kwargs)
    ]
    with _disable_current_modes(), torch.no_grad():
        setattr(result, _MARK, function(*known[0], **known[1]))


def places_in(index: Tensor, side: int) -> list[int] | None:
    """The places of an axis of so many that an index of one dimension takes, if its numbers are known."""
    known = numbers_of(index)
    if known is None:
        return None
    with _disable_current_modes():
        return [number % side for number in known.tolist()]


def slope(places: Sequence[int], side: int) -> tuple[int, int, int] | None:
    """How places of an axis of so many are taken, ``(first, step, times)``: place i is ``first + step * (i // times)``.

    Beyond a border, places may come again that are within, in whatever order, if all of the axis is there: they count
    as padding, and ``first`` is then below 0. None if they are taken in any other way.

    Example:
        >>> slope([2, 1, 0, 1, 2, 1], 3), slope([0, 2, 4], 6), slope([0, 0, 1, 1], 2), slope([1, 0], 2)
        ((-2, 1, 1), (0, 2, 1), (0, 1, 2), None)
    """
    count = len(places)
    times = next((i for i in range(1, count) if places[i] != places[0]), count)
    step = places[times] - places[0] if times < count else 1
    if step > 0 and all(place == places[0] + step * (i // times) for i, place in enumerate(places)):
        return places[0], step, times
    whole = list(range(side))
    starts = [i for i in range(count - side + 1) if places[i] == 0 and list(places[i : i + side]) == whole]
    return (-starts[0], 1, 1) if starts else None
