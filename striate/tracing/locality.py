"""How far a module looks around each place: what a part of a picture must show to be answered as the whole is.

Two things make a part answer as the whole does. It begins a multiple of the *step* from the picture's corner, and both
have sides of multiples of it: then all windows stop where they would in the whole, and SAME pads alike, which depends
on what a stride leaves over. And the places that are believed lie far enough from borders behind which the picture goes
on that nothing they see lies beyond, in any map on the way.

Spans say the second, since a place that a map of the part does not have always sees something outside of the part. That
is looked at, too: maps of which places are cut off that lie inside the picture would break it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from striate.tracing.counting import Counted
from striate.tracing.fields import AxisField, field_of
from striate.tracing.seen import Place, Unknown
from striate.tracing.spans import Spans

_JOINING = "cat"
"""Maps of several scales, one behind the other, are no map; whoever asks for them knows where each begins."""
_MOVING = frozenset(
    (_JOINING, "view", "reshape", "_unsafe_view", "permute", "transpose", "clone", "contiguous", "alias", "detach")
)


@dataclass(frozen=True, slots=True)
class Locality:
    """Along each axis of a picture the ``step``, and how many pixels ``before`` and ``after`` are seen.

    Places of the output that begin at a multiple c of the step see pixels from c - before on; those that end at c see
    pixels up to c + after. ``wholes`` are operations that take all places together, each as ``mean in head.pyramid``;
    what is said is what the module sees besides. ``unknown`` says why nothing of this is certain, where it is not.
    """

    step: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    wholes: tuple[str, ...] = ()
    unknown: str | None = None


def local(counted: Sequence[Counted], aside: Sequence[Place], sides: tuple[int, ...]) -> Locality:
    """Of the operations of a pass over a picture with these sides, and those that were put aside."""
    wholes = tuple(dict.fromkeys(_said(place) for place in aside))
    step, before, after = ([least] * len(sides) for least in (1, 0, 0))
    unknown = _unknown(counted)
    for each in counted:
        for axis, seen in enumerate(field_of(each.seen) or ()):
            if seen.spans is None:
                continue
            step[axis] = math.lcm(step[axis], seen.spans.advance)
            ends = [span for span in seen.spans.phases if span]
            before[axis] = max(before[axis], -min((first for first, _ in ends), default=0))
            after[axis] = max(after[axis], max((last for _, last in ends), default=0) - seen.spans.advance + 1)
            if unknown is None and _cut(each, axis, seen, sides[axis]):
                unknown = f"{_said(Place(each.name, each.path))} cuts off places that lie inside the picture"
    for axis, side in enumerate(sides):
        if unknown is None and side % step[axis]:
            unknown = f"its maps repeat themselves only after {step[axis]} pixels"
    return Locality(tuple(step), tuple(before), tuple(after), wholes, unknown)


def _said(place: Place) -> str:
    return f"{place.name} in {place.path}" if place.path else place.name


def _unknown(counted: Sequence[Counted]) -> str | None:
    """The operation of which nobody can say what it does to places, unless it joins maps at the very end."""
    for each in counted:
        for state in each.seen.axes if each.seen else ():
            if isinstance(state, Unknown) and not (state.by.name == _JOINING and each.name in _MOVING):
                return _said(state.by)
    return None


def _cut(each: Counted, axis: int, field: AxisField, side: int) -> bool:
    """Whether a place that the map lacks, before its first or behind its last, sees nothing outside of the picture."""
    assert each.seen is not None
    assert isinstance(field.spans, Spans)
    dims = [dim for dim in each.seen.dims if any(factor.axis == axis for factor in dim)]
    count = 1
    for factor in dims[0]:
        count *= factor.size if factor.axis in (axis, None) else 1
    period = field.spans.period
    before = [span for place in range(-period, 0) if (span := field.spans.at(place))]
    behind = [span for place in range(count, count + period) if (span := field.spans.at(place))]
    return any(first >= 0 for first, _ in before) or any(last < side for _, last in behind)
