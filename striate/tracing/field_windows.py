"""What operations with windows see: convolutions, pools, interpolations, paddings and what moves places to channels."""

from collections.abc import Callable
from fractions import Fraction

from striate.tracing.calls import Call
from striate.tracing.seen import Seen, Walk, mixed, unknown, walked
from striate.tracing.spans import Spans, cubic, linear

# `torch.nn.functional` documents the windows; the names and arguments are those of torch's operations (aten).


def convolution(call: Call) -> Seen:
    """Windows over all axes but pictures and channels; a weight that the picture made sees what made it."""
    x, count = call.seen("input"), len(call.shape) - 2
    if x is None or call.seen("weight") is not None:
        return unknown(call.first(), range(len(call.first().dims)), call.by, call.shape)
    options = [call.numbers(name, count) for name in ("stride", "padding", "dilation")]
    walks: dict[int, Walk] = {}
    for place, stride, before, dilation in zip(range(2, 2 + count), *options, strict=True):
        taps = call.given["weight"].shape[place]
        kind = Spans.transposed if call.given["transposed"] else Spans.window
        walks[place] = _walk(kind, taps, stride, dilation, before)
    return walked(mixed(x, [1], call.by), walks, call.shape, call.by)


def _walk(kind: Callable[..., Spans], taps: int, stride: int, dilation: int, before: int) -> Walk:
    return lambda spans: kind(spans, taps, stride=stride, dilation=dilation, before=before)


def pool(call: Call) -> Seen:
    """Windows over the last axes; one that is asked for at the end only makes the map larger (``ceil_mode``)."""
    x = call.first()
    count = len(call.given["kernel_size"])
    taps = call.numbers("kernel_size", count)
    steps = call.numbers("stride", count, 0)
    befores, dilations = call.numbers("padding", count, 0), call.numbers("dilation", count)
    walks: dict[int, Walk] = {}
    for index, place in enumerate(range(len(x.dims) - count, len(x.dims))):
        stride = steps[index] or taps[index]
        walks[place] = _walk(Spans.window, taps[index], stride, dilations[index], befores[index])
    return walked(x, walks, call.shape, call.by)


def adaptive_pool(call: Call) -> Seen:
    """A map cut into so many cells; one cell is the whole map."""
    x = call.first()
    counts = call.given["output_size"]
    places = range(len(x.dims) - len(counts), len(x.dims))
    sides = {place: call.given["self"].shape[place] for place in places}
    x = mixed(x, [place for place in places if call.shape[place] == 1], call.by)
    walks: dict[int, Walk] = {
        place: lambda spans, n=call.shape[place], side=side: spans.cells(n, side)  # type: ignore[misc]
        for place, side in sides.items()
        if call.shape[place] > 1
    }
    return walked(x, walks, call.shape, call.by)


def unfold_windows(call: Call) -> Seen:
    """``[N, C, H, W]`` to ``[N, C * h * w, places]``: windows as columns of a matrix."""
    x, taps = call.first(), call.given["kernel_size"]
    stride, before, dilation = (call.given[name] for name in ("stride", "padding", "dilation"))
    sides = call.given["self"].shape[-2:]
    counts = [
        (side + 2 * lead - d * (tap - 1) - 1) // step + 1
        for side, lead, d, tap, step in zip(sides, before, dilation, taps, stride, strict=True)
    ]
    places = (len(x.dims) - 2, len(x.dims) - 1)
    walks = {
        place: _walk(Spans.window, *each) for place, *each in zip(places, taps, stride, dilation, before, strict=True)
    }
    maps = walked(x, walks, (*call.shape[:-1], *counts), call.by)
    return Seen((*maps.dims[:-2], maps.dims[-2] + maps.dims[-1]), maps.axes)


def slide(call: Call) -> Seen:
    """``Tensor.unfold``: pieces of one dimension, whose places become a new last one."""
    x, size, step = call.first(), call.given["size"], call.given["step"]
    place = call.place("dimension", len(x.dims))
    maps = walked(x, {place: _walk(Spans.window, size, step, 1, 0)}, call.shape[:-1], call.by)
    return Seen((*maps.dims, ()), maps.axes)


# Interpolation


def _scales(call: Call, x: Seen, *, ends: bool = False) -> dict[int, tuple[Fraction, int, int]]:
    """For each of the last axes: places here for one place there, the size here, and the size there."""
    given = call.given
    names = ("scales", "scales_d", "scales_h", "scales_w")
    factors = given.get("scale_factors") or [given[name] for name in names if name in given]
    source = given["self"] if given.get("self") is not None else given["input"]
    scales = {}
    for factor, place in zip(factors, range(len(x.dims) - len(factors), len(x.dims)), strict=True):
        here, there = source.shape[place], call.shape[place]
        scale = Fraction(here - 1, max(1, there - 1)) if ends else Fraction(here, there)
        if factor and not ends and here * factor != there:  # the sizes are rounded; the steps are not
            scale = 1 / Fraction(factor).limit_denominator(1000)
        scales[place] = (scale, here, there)
    return scales


def nearest(shift: Fraction) -> Callable[[Call], Seen]:
    """Interpolation that takes the nearest place, counted from a place's begin or from its middle."""

    def rule(call: Call) -> Seen:
        x = call.first()
        walks: dict[int, Walk] = {
            place: lambda spans, scale=scale: spans.nearest(scale, shift)  # type: ignore[misc]
            for place, (scale, _, _) in _scales(call, x).items()
        }
        return walked(x, walks, call.shape, call.by)

    return rule


def interpolation(
    weight: Callable[[Fraction], Fraction], reach: int, *, widened: bool = False
) -> Callable[[Call], Seen]:
    """Interpolation with weights, over ``reach`` places on either side."""

    def rule(call: Call) -> Seen:
        x, ends = call.first(), bool(call.given["align_corners"])
        walks: dict[int, Walk] = {
            place: lambda spans, scale=scale: spans.resampled(scale, weight, reach, ends=ends, widened=widened)  # type: ignore[misc]
            for place, (scale, here, there) in _scales(call, x, ends=ends).items()
            if here != there
        }
        return walked(x, walks, call.shape, call.by)

    return rule


# Paddings, and places that become channels


def pad(call: Call) -> Seen:
    """What is added before moves all places. Places that mirror or repeat the border count as outside the picture."""
    x = call.first()
    amounts = call.given["pad"] if "pad" in call.given else call.given["padding"]
    walks: dict[int, Walk] = {}
    for index, before in enumerate(amounts[::2]):
        walks[len(x.dims) - 1 - index] = _walk(Spans.window, 1, 1, 1, before)
    return walked(x, walks, call.shape, call.by)


def pixel_shuffle(call: Call) -> Seen:
    """Channels become places: each place stands as often as that."""
    x, times = call.first(), call.given["upscale_factor"]
    walk: Walk = lambda spans: spans.spread(times)  # noqa: E731 - a table's row
    return walked(mixed(x, [len(x.dims) - 3], call.by), dict.fromkeys(_last_two(x), walk), call.shape, call.by)


def pixel_unshuffle(call: Call) -> Seen:
    """Places become channels: each place sees a square of them."""
    x, times = call.first(), call.given["downscale_factor"]
    return walked(x, dict.fromkeys(_last_two(x), _walk(Spans.window, times, times, 1, 0)), call.shape, call.by)


def _last_two(x: Seen) -> tuple[int, int]:
    return len(x.dims) - 2, len(x.dims) - 1


PADS = ("constant_pad_nd", *(f"{kind}_pad{axes}d" for kind in ("reflection", "replication") for axes in (1, 2, 3)))
POOLS = (
    *(f"{kind}_pool{axes}d" for kind in ("max", "avg") for axes in (1, 2, 3)),
    *(f"max_pool{axes}d_with_indices" for axes in (1, 2, 3)),
)
ADAPTIVE = tuple(
    f"{mark}adaptive_{kind}_pool{axes}d" for mark in ("", "_") for kind in ("avg", "max") for axes in (1, 2, 3)
)
RULES: dict[str, Callable[[Call], Seen]] = {
    "convolution": convolution,
    "_convolution": convolution,
    **dict.fromkeys(POOLS, pool),
    **dict.fromkeys(ADAPTIVE, adaptive_pool),
    **dict.fromkeys(PADS, pad),
    "im2col": unfold_windows,
    "unfold": slide,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    **{f"upsample_nearest{axes}d": nearest(Fraction(0)) for axes in (1, 2, 3)},
    **{f"_upsample_nearest_exact{axes}d": nearest(Fraction(1, 2)) for axes in (1, 2, 3)},
    "upsample_linear1d": interpolation(linear, 1),
    "upsample_bilinear2d": interpolation(linear, 1),
    "upsample_trilinear3d": interpolation(linear, 1),
    "upsample_bicubic2d": interpolation(cubic, 2),
    "_upsample_bilinear2d_aa": interpolation(linear, 1, widened=True),
    "_upsample_bicubic2d_aa": interpolation(cubic, 2, widened=True),
}
