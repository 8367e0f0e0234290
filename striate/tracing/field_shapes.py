"""What operations see that only move elements: views, pieces, concatenations, permutations of dimensions."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from striate.tracing.calls import Call
from striate.tracing.numbers import places_in, slope
from striate.tracing.seen import Factor, Seen, plain, reshaped, settled, together, unknown, walked
from striate.tracing.spans import AS_IT_IS


def same(call: Call) -> Seen:
    """The same elements in the same places."""
    return call.first()


def view(call: Call) -> Seen:
    """The same elements in the same order."""
    return reshaped(call.first(), call.shape, call.by)


def unsqueeze(call: Call) -> Seen:
    """A new dimension of one place."""
    x = call.first()
    place = call.place("dim", len(x.dims) + 1)
    return Seen((*x.dims[:place], (), *x.dims[place:]), x.axes)


def permute(call: Call) -> Seen:
    """Dimensions in another order."""
    x = call.first()
    return Seen(tuple(x.dims[place] for place in call.given["dims"]), x.axes)


def transpose(call: Call) -> Seen:
    """Two dimensions change places."""
    x = call.first()
    dims = list(x.dims)
    names = ("dim0", "dim1") if "dim0" in call.given else ("axis0", "axis1")
    one, other = (call.place(name, len(dims)) for name in names)
    dims[one], dims[other] = dims[other], dims[one]
    return Seen(tuple(dims), x.axes)


def turned(call: Call) -> Seen:
    """The transpose of a matrix."""
    x = call.first()
    return Seen(x.dims[::-1], x.axes)


def expand(call: Call) -> Seen:
    """Single places spread over many."""
    return together([call.first()], call.shape, call.by)


def repeat(call: Call) -> Seen:
    """Copies one behind the other: places then come again, which no stride says."""
    x, shape = call.first(), call.shape
    times = call.given["repeats"]
    x = Seen((*[()] * (len(shape) - len(x.dims)), *x.dims), x.axes)
    again = [place for place, count in enumerate(times) if count > 1]
    return unknown(x, again, call.by, shape)


def cut(call: Call) -> Seen:
    """Every so many places of one dimension, from a first one on."""
    x = call.first()
    return _piece(call, x, call.place("dim", len(x.dims)), call.given["start"] or 0, call.given["step"], call.shape)


def split(call: Call) -> list[Seen]:
    """One dimension in pieces."""
    x, pieces, start = call.first(), [], 0
    place = call.place("dim", len(x.dims))
    for output in call.outputs:
        pieces.append(_piece(call, x, place, start, 1, tuple(output.shape)))
        start += output.shape[place]
    return pieces


def _piece(call: Call, x: Seen, place: int, start: int, step: int, shape: tuple[int, ...]) -> Seen:
    size = call.given["self"].shape[place]
    if shape[place] == size:
        return x
    first = min(max(start + size if start < 0 else start, 0), size)
    return walked(x, {place: lambda spans: spans.window(1, stride=step, before=-first)}, shape, call.by)


def select(call: Call) -> Seen | list[Seen]:
    """One place of a dimension, or each by itself: of channels nothing is lost."""
    x = call.first()
    place = call.place("dim", len(x.dims))
    x = unknown(x, [place], call.by, tuple(call.given["self"].shape))
    one = Seen(x.dims[:place] + x.dims[place + 1 :], x.axes)
    return [one] * len(call.outputs) if len(call.outputs) > 1 else one


def chosen(call: Call) -> Seen:
    """Places of one dimension by their numbers, where they are known to go evenly; of channels nothing is lost."""
    x = call.first()
    return _by_numbers(call, x, call.place("dim", len(x.dims)), call.given["index"])


def indexed(call: Call) -> Seen:
    """The same in brackets; of several dimensions at once nobody knows."""
    x, named = call.first(), list(call.given["indices"])
    places = [place for place, index in enumerate(named) if index is not None]
    if len(places) == 1 and named[places[0]].dim() == 1 and named[places[0]].dtype is not torch.bool:
        return _by_numbers(call, x, places[0], named[places[0]])
    return unknown(x, range(len(x.dims)), call.by, call.shape)


def _by_numbers(call: Call, x: Seen, place: int, index: Tensor) -> Seen:
    side = call.given["self"].shape[place]
    places = places_in(index, side)
    way = None if places is None else slope(places, side)
    if way is None:
        return unknown(x, [place], call.by, call.shape)
    first, step, times = way
    return walked(
        x, {place: lambda spans: spans.read(lambda i: (first + step * (i // times),), times, step)}, call.shape, call.by
    )


def reversed_places(call: Call) -> Seen:
    """Places in another order, which no stride says."""
    x = call.first()
    places = [place % len(x.dims) for place in call.given["dims"]] or range(len(x.dims))
    return unknown(x, places, call.by, call.shape)


def concatenated(call: Call) -> Seen:
    """One behind the other: channels together see what each sees; places of several maps are no map."""
    place = call.place("dim", len(call.shape))
    parts = []
    for tensor in call.given["tensors"]:
        part = call.look(tensor)
        if part is None or tensor.shape[place] == call.shape[place]:
            parts.append(part)
            continue
        part = unknown(part, [place], call.by, tuple(tensor.shape))
        parts.append(Seen((*part.dims[:place], (Factor(call.shape[place]),), *part.dims[place + 1 :]), part.axes))
    return together([part for part in parts if part is not None], call.shape, call.by)


def stacked(call: Call) -> Seen:
    """One beside the other, in a new dimension."""
    place = call.place("dim", len(call.shape))
    parts = [part for tensor in call.given["tensors"] if (part := call.look(tensor)) is not None]
    beside = [Seen((*part.dims[:place], (Factor(call.shape[place]),), *part.dims[place:]), part.axes) for part in parts]
    return together(beside, call.shape, call.by)


def nobody_knows(call: Call) -> Seen:
    """What has no rule: wherever places may be mixed, nobody can say what is seen."""
    x = call.first()
    return unknown(x, range(len(x.dims)), call.by, call.shape)


def elementwise(call: Call) -> Seen:
    """Each element of what is at the same place."""
    return together(call.every(), call.shape, call.by)


def written(base: Seen | None, view: Seen, base_shape: Sequence[int], view_shape: Sequence[int], call: Call) -> Seen:
    """What a tensor sees of which a part was written to: what it saw before and what was written.

    The part has the same dimensions; where it is smaller, only pictures or channels may be left out.
    """
    dims = [
        dim if size == part else (Factor(size),)
        for dim, size, part in zip(view.dims, base_shape, view_shape, strict=True)
    ]
    cut_along = [place for place, (size, part) in enumerate(zip(base_shape, view_shape, strict=True)) if size != part]
    part = unknown(view, cut_along, call.by, view_shape)
    whole = settled(dims, part.axes, call.by)
    return whole if base is None else together([base, whole], tuple(base_shape), call.by)


def fresh(shape: Sequence[int]) -> Seen:
    """A picture ``[N, C, ...]``, which sees itself."""
    dims = list(plain(shape))
    for axis, place in enumerate(range(2, len(shape))):
        dims[place] = (Factor(shape[place], axis),)
    return Seen(tuple(dims), (AS_IT_IS,) * (len(shape) - 2))


RULES: dict[str, Callable[[Call], Seen | list[Seen]]] = {
    **dict.fromkeys(
        ("alias", "clone", "contiguous", "_to_copy", "detach", "lift", "lift_fresh", "lift_fresh_copy", "to"), same
    ),
    **dict.fromkeys(("bernoulli", "view_of", "resolve_conj", "channel_shuffle", "native_dropout", "dropout"), same),
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "_reshape_alias", "squeeze", "unflatten", "flatten"), view),
    "unsqueeze": unsqueeze,
    "permute": permute,
    "transpose": transpose,
    "t": turned,
    "expand": expand,
    "repeat": repeat,
    "slice": cut,
    "split": split,
    "split_with_sizes": split,
    "select": select,
    "unbind": select,
    "index_select": chosen,
    "index": indexed,
    "flip": reversed_places,
    "roll": reversed_places,
    "cat": concatenated,
    "stack": stacked,
}
