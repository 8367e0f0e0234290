"""Which rule says what an operation's results see, and what is said of it: size, stride, padding, or the whole."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from striate.tracing import field_mixing, field_shapes, field_windows
from striate.tracing.calls import Call
from striate.tracing.seen import Seen, State, Unknown, Whole, plain
from striate.tracing.spans import Spans

RULES = {**field_windows.RULES, **field_shapes.RULES, **field_mixing.RULES}

_ALIKE = ("where", "masked_fill", "copy", "addcmul", "addcdiv", "lerp", "clamp", "relu", "hardtanh", "leaky_relu")
_ELEMENTWISE = frozenset(
    (*_ALIKE, "elu", "gelu", "silu", "hardswish", "mish", "prelu", "_prelu_kernel", "rrelu_with_noise", "softplus")
)
"""Operations that look at one element of each argument, where torch does not say so itself."""


@dataclass(frozen=True, slots=True)
class AxisField:
    """What a place sees along one axis of the picture.

    ``size`` pixels (the largest, where places differ), ``stride`` from one place to the next, ``padding`` before the
    picture for place 0; ``spans`` say it for each place. ``whole`` names the operation that took all places together,
    and the module that it ran in; then ``size`` is from where to where these looked, if that is known. ``unknown``
    names an operation of which nobody can say what it does to places.
    """

    size: int | None = None
    spans: Spans | None = None
    whole: str | None = None
    unknown: str | None = None

    @property
    def stride(self) -> Fraction | None:
        """How many pixels lie between two neighbours, on average; None where places are all the same."""
        return None if self.spans is None else self.spans.stride

    @property
    def padding(self) -> int | None:
        """How far before the picture's first pixel that of place 0 begins."""
        return None if self.spans is None else self.spans.padding

    def __str__(self) -> str:
        if self.unknown:
            return f"unknown ({self.unknown})"
        return f"whole image ({self.whole})" if self.whole else str(self.size)


Field = tuple[AxisField, ...]
"""Of each axis of the picture."""


def field_of(seen: Seen | None) -> Field | None:
    """What is said of a tensor; None if it sees nothing of a picture."""
    return None if seen is None else tuple(_said(state, _times(seen, axis)) for axis, state in enumerate(seen.axes))


def _times(seen: Seen, axis: int) -> int:
    """How often each place along an axis comes, one after the other, in the dimension that goes along it."""
    for dim in seen.dims:
        along = [factor.axis for factor in dim]
        if along[:1] == [axis] and not any(other is not None for other in along[1:]):
            return math.prod(factor.size for factor in dim[1:])
    return 1


def _said(state: State, times: int) -> AxisField:
    match state:
        case Spans() if times > 1:
            return _said(state.spread(times), 1)
        case Spans():
            return AxisField(state.size, state)
        case Whole(by, reach):
            size = None if reach is None else reach[1] - reach[0] + 1
            return AxisField(size, whole=f"{by.name} in {by.path}" if by.path else by.name)
        case Unknown(by):
            return AxisField(unknown=f"{by.name} in {by.path}" if by.path else by.name)
        case _:
            return AxisField(size=0)


def seen_by(function: Any, call: Call) -> list[Seen | None]:
    """What each of an operation's outputs sees; of several, nobody knows of those of other shapes than the first."""
    rule = RULES.get(call.by.name)
    if rule is None:
        known = torch.Tag.pointwise in function.tags or call.by.name in _ELEMENTWISE
        rule = field_shapes.elementwise if known else field_shapes.nobody_knows
    found = rule(call)
    if isinstance(found, list):
        return list(found)
    first = call.outputs[0].shape
    return [found if output.shape == first else _of_another_shape(call, output.shape) for output in call.outputs]


def _of_another_shape(call: Call, shape: Sequence[int]) -> Seen:
    x = call.first()
    axes = tuple(Unknown(call.by) if isinstance(state, Spans) else state for state in x.axes)
    return Seen(plain(shape), axes)
