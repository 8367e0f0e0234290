"""What the elements of a tensor see of the picture: which of its dimensions go along which axis, and how.

A dimension of a tensor is a product of factors, outermost first, as after `flatten` or `view`. At most one factor of
all goes along each axis of the picture; along it, `Spans` say what each place sees. Where all places were taken
together (a mean over a map, attention) no factor goes along the axis any more, and every element sees the `Whole`.

The field of a place is what all of its channels see together: what is no place is taken together without a word.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from striate.tracing.spans import AperiodicError, Span, Spans


class Factor(NamedTuple):
    """So many places along an axis of the picture, or along none: channels, pictures, steps.

    ``within`` is the axis that was cut into pieces of so many, which this goes through: all of a piece count as seen.
    """

    size: int
    axis: int | None = None
    within: int | None = None


Dim = tuple[Factor, ...]


class Place(NamedTuple):
    """An operation by its name, and the module that it ran in."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Whole:
    """Every element sees all of the picture along an axis, since an operation took all places together.

    ``reach`` is from where to where these looked, beyond the picture, too; None where nobody knows.
    """

    by: Place
    reach: Span = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say what is seen along an axis, because of one operation: ``by`` may say why."""

    by: Place


State = Spans | Whole | Unknown | None
"""What is seen along one axis of the picture; None is nothing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tensor's elements see: its dimensions' factors, and along each axis of the picture what they see."""

    dims: tuple[Dim, ...]
    axes: tuple[State, ...]


def plain(shape: Sequence[int]) -> tuple[Dim, ...]:
    """Dimensions that go along nothing."""
    return tuple((Factor(size),) for size in shape)


def settled(dims: Sequence[Dim], axes: Sequence[State], by: Place) -> Seen:
    """Dimensions and axes brought into agreement: one factor for each axis along which places differ, else none.

    Where two go along the same axis, each place of the one is beside all places of the other, which is the whole. Where
    pieces are put together again that nobody mixed, what each place sees is less than what its piece does.
    """
    found: list[State] = []
    for axis, state in enumerate(axes):
        factors = [factor for dim in dims for factor in dim if factor.axis == axis]
        if isinstance(state, Spans) and len(factors) != 1:
            state = Whole(by, state.over(range(factors[0].size))) if factors else Unknown(by)
        if isinstance(state, Spans) and any(_pieces(dim, axis) for dim in dims):
            state = Unknown(by)
        found.append(state)
    kept = {axis for axis, state in enumerate(found) if isinstance(state, Spans)}
    return Seen(tuple(_tidy(dim, kept) for dim in dims), tuple(found))


def _pieces(dim: Dim, axis: int) -> bool:
    """Whether a dimension goes along pieces of an axis and through them."""
    return any(factor.axis == axis for factor in dim) and any(factor.within == axis for factor in dim)


def _tidy(dim: Dim, kept: set[int]) -> Dim:
    """Factors along axes in ``kept``, and between them what goes along nothing, as one."""
    tidy: list[Factor] = []
    for factor in dim:
        size = factor.size
        if factor.axis in kept or (factor.within in kept and size != 1):
            tidy.append(factor)
        elif size != 1:
            alone = tidy and tidy[-1].axis is None and tidy[-1].within is None
            tidy[-1:] = [Factor(tidy[-1].size * size)] if alone else [*tidy[-1:], Factor(size)]
    return tuple(tidy)


def _blended(seen: Seen, axes: set[int | None]) -> Seen:
    """The same when what is within pieces along these axes has been taken together."""
    dims = [tuple(Factor(f.size, f.axis, None if f.within in axes else f.within) for f in dim) for dim in seen.dims]
    return Seen(tuple(dims), seen.axes)


def joined(one: State, other: State, by: Place) -> State:
    """What either sees along an axis."""
    if one is None or other is None:
        return other if one is None else one
    for kind in (Whole, Unknown):  # with the whole in it, it does not matter what else is
        for state in (one, other):
            if isinstance(state, kind):
                return state
    assert isinstance(one, Spans)
    assert isinstance(other, Spans)
    return steady(lambda: one.beside(other), by)


def steady(spans: Callable[[], Spans], by: Place) -> State:
    """What an operation makes of spans, or why nobody can say."""
    try:
        return spans()
    except AperiodicError as error:
        return Unknown(Place(f"{by.name}: {error}", by.path))


def mixed(seen: Seen, where: Iterable[int], by: Place) -> Seen:
    """The same when all places along these dimensions are taken together; the dimensions stay."""
    axes, where = list(seen.axes), list(where)
    for place in where:
        for size, axis, _ in seen.dims[place]:
            state = None if axis is None else axes[axis]
            if axis is not None and size > 1 and isinstance(state, Spans):
                axes[axis] = Whole(by, state.over(range(size)))
    seen = _blended(seen, {factor.within for place in where for factor in seen.dims[place]})
    return settled(seen.dims, axes, by)


def unknown(seen: Seen, where: Iterable[int], by: Place, shape: Sequence[int]) -> Seen:
    """Nobody can say what happens to places along these dimensions; ``shape`` is the result's."""
    lost = {axis for place in where for factor in seen.dims[place] for axis in (factor.axis, factor.within)}
    axes = [Unknown(by) if axis in lost and isinstance(state, Spans) else state for axis, state in enumerate(seen.axes)]
    if len(shape) != len(seen.dims):
        axes = [Unknown(by) if isinstance(state, Spans) else state for state in axes]
        return settled(plain(shape), axes, by)
    dims = [
        dim if math.prod(factor.size for factor in dim) == side else (Factor(side),)
        for dim, side in zip(seen.dims, shape, strict=True)
    ]
    return settled(dims, axes, by)


def together(parts: Sequence[Seen], shape: Sequence[int], by: Place) -> Seen:
    """Element by element, spread to one shape as torch does."""
    stretched = [_stretched(part, shape, by) for part in parts]
    ways = [[[factor.within for factor in dim] for dim in part.dims] for part in stretched]
    for axis in range(len(stretched[0].axes)):  # who goes through pieces otherwise takes them together
        through = [[[each == axis for each in dim] for dim in way] for way in ways]
        reading = [way for way, part in zip(through, stretched, strict=True) if isinstance(part.axes[axis], Spans)]
        if any(way != reading[0] for way in reading):
            stretched = [_blended(part, {axis}) for part in stretched]
    dims: list[Dim] = []
    clashing: set[int | None] = set()
    for place, size in enumerate(shape):
        along = {part.dims[place] for part in stretched if any(f[1:] != (None, None) for f in part.dims[place])}
        if len(along) > 1:
            clashing |= {axis for dim in along for factor in dim for axis in factor[1:]}
        dims.append(along.pop() if len(along) == 1 else (Factor(size),))
    axes: list[State] = list(stretched[0].axes)
    for part in stretched[1:]:
        axes = [joined(one, other, by) for one, other in zip(axes, part.axes, strict=True)]
    axes = [Unknown(by) if axis in clashing and isinstance(a, Spans) else a for axis, a in enumerate(axes)]
    return settled(dims, axes, by)


def _stretched(seen: Seen, shape: Sequence[int], by: Place) -> Seen:
    """With as many dimensions; a single place that is spread over many is seen by all of them."""
    dims: list[Dim] = [()] * (len(shape) - len(seen.dims)) + list(seen.dims)
    axes = list(seen.axes)
    for place, size in enumerate(shape):
        if math.prod(factor.size for factor in dims[place]) != size:
            for _, axis, _ in dims[place]:
                state = None if axis is None else axes[axis]
                if axis is not None and isinstance(state, Spans):
                    axes[axis] = Whole(by, state.at(0))
            dims[place] = (Factor(size),)
    return settled(dims, axes, by)


def reshaped(seen: Seen, shape: Sequence[int], by: Place) -> Seen:
    """The same elements in the same order, in other dimensions.

    Where an axis is cut into pieces, the outer factor goes along it, and what is within a piece is taken together.
    """
    if tuple(math.prod(factor.size for factor in dim) for dim in seen.dims) == tuple(shape):
        return seen
    axes = list(seen.axes)
    left = [factor for dim in seen.dims for factor in dim]
    dims: list[Dim] = []
    for size in shape:
        dim, wanted = list[Factor](), size
        while left and (wanted > 1 or (left[0].size == 1 and size == 1 and not dim)):
            factor = left.pop(0)
            part = math.gcd(factor.size, wanted)
            if part not in (factor.size, wanted):
                return unknown(seen, range(len(seen.dims)), by, shape)
            if part < factor.size:
                left.insert(0, Factor(factor.size // part, None, factor.axis))
                state = None if factor.axis is None else axes[factor.axis]
                if factor.within is not None:  # pieces of pieces
                    axes[factor.within] = Unknown(by)
                if factor.axis is not None and isinstance(state, Spans):
                    pieces = factor.size // part
                    axes[factor.axis] = steady(lambda s=state, n=pieces: s.window(n, stride=n), by)  # type: ignore[misc]
            dim.append(factor if part == factor.size else Factor(part, factor.axis))
            wanted //= part
        dims.append(tuple(dim))
    if dims:  # single places that are left
        dims[-1] += tuple(left)
    return settled(dims, axes, by)


Walk = Callable[[Spans], Spans]


def walked(seen: Seen, walks: Mapping[int, Walk], shape: Sequence[int], by: Place) -> Seen:
    """Windows that walk along dimensions, each of which must lie along one axis at most; ``shape`` is the result's."""
    dims, axes = list(seen.dims), list(seen.axes)
    for place, walk in walks.items():
        line = _line(dims[place], axes, by)
        dims[place] = (Factor(shape[place]),)
        if line is not None:
            axis, state = line
            axes[axis] = steady(lambda s=state, w=walk: w(s), by) if isinstance(state, Spans) else state  # type: ignore[misc]
            dims[place] = (Factor(shape[place], axis),)
    for place, size in enumerate(shape):
        if place not in walks and math.prod(factor.size for factor in dims[place]) != size:
            dims[place] = (Factor(size),)
    return settled(dims, axes, by)


def _line(dim: Dim, axes: list[State], by: Place) -> tuple[int, State] | None:
    """The axis that a dimension lies along, and what its places see; None if it lies along none."""
    along = [place for place, factor in enumerate(dim) if factor.axis is not None]
    for factor in dim:
        if factor.within is not None:
            axes[factor.within] = Unknown(by)
    if not along:
        return None
    axis = dim[along[0]].axis
    assert axis is not None
    before = math.prod(factor.size for factor in dim[: along[0]])
    within = math.prod(factor.size for factor in dim[along[0] + 1 :])
    if len(along) > 1 or before > 1:
        for place in along:
            axes[dim[place].axis or 0] = Unknown(by)
        return axis, Unknown(by)
    state = axes[axis]
    if within > 1 and isinstance(state, Spans):
        return axis, steady(lambda: state.spread(within), by)
    return axis, state
