"""Every operation with a window against its definition in NumPy, float64 to 1e-12: 1, 2 and 3 dimensions.

The definition is written a second time here, from TensorFlow's and Caffe's documentation: places that are padding are
NaN in an array of patches, so what they must not touch (means, maxima) shows at once if they do.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate import ops
from striate.base.errors import ModelError

SLOWER = settings(deadline=None, max_examples=150)


def stops(size: int, span: int, stride: int, padding) -> tuple[int, int]:
    """How many outputs, and how many places before the first: each padding from its documentation."""
    if padding == "same":
        outputs = math.ceil(size / stride)
        return outputs, max((outputs - 1) * stride + span - size, 0) // 2
    if padding == "ceil":
        outputs = math.ceil((size - span) / stride) + 1
        return (outputs - 1 if (outputs - 1) * stride >= size else outputs), 0
    before, after = padding
    return math.floor((before + size + after - span) / stride) + 1, before


def patches(x: np.ndarray, windows, strides, dilations, paddings) -> np.ndarray | None:
    """[N, C, *outputs, *windows] of what each window sees, NaN for padding; None if a window does not fit."""
    spans = [(k - 1) * d + 1 for k, d in zip(windows, dilations, strict=True)]
    found = [stops(*axis) for axis in zip(x.shape[2:], spans, strides, paddings, strict=True)]
    if any(outputs < 1 for outputs, _ in found):
        return None
    axes = zip(found, x.shape[2:], strides, spans, strict=True)
    line_sizes = [before + n + o * s + span for (o, before), n, s, span in axes]
    padded = np.full((*x.shape[:2], *line_sizes), np.nan)
    padded[(..., *(slice(b, b + n) for (_, b), n in zip(found, x.shape[2:], strict=True)))] = x
    outputs = [o for o, _ in found]
    seen = np.empty((*x.shape[:2], *outputs, *windows))
    for place in np.ndindex(*outputs):
        taps = [slice(i * s, i * s + span, d) for i, s, span, d in zip(place, strides, spans, dilations, strict=True)]
        seen[(slice(None), slice(None), *place)] = padded[(..., *taps)]
    return seen


def convolved(x, weight, bias, strides, dilations, groups, paddings) -> np.ndarray | None:
    seen = patches(x, weight.shape[2:], strides, dilations, paddings)
    if seen is None:
        return None
    axes = x.ndim - 2
    seen = np.nan_to_num(seen).reshape(len(x), groups, -1, *seen.shape[2:])
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    places, taps = "abc"[:axes], "xyz"[:axes]
    y = np.einsum(f"ngi{places}{taps},goi{taps}->ngo{places}", seen, grouped)
    return y.reshape(len(x), -1, *y.shape[3:]) + (0 if bias is None else bias.reshape(-1, *[1] * axes))


def spread(x, weight, bias, strides, dilations, groups, paddings, asked) -> np.ndarray | None:
    """A transposed convolution by its definition: every input place adds a scaled window to the output."""
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    whole = [(n - 1) * s + span for n, s, span in zip(x.shape[2:], strides, spans, strict=True)]
    outs = weight.shape[1]
    y = np.zeros((len(x), groups * outs, *whole))
    for place in np.ndindex(*x.shape[2:]):
        for tap in np.ndindex(*weight.shape[2:]):
            to = tuple(i * s + a * d for i, s, a, d in zip(place, strides, tap, dilations, strict=True))
            values = x[(slice(None), slice(None), *place)].reshape(len(x), groups, -1)
            w = weight[(slice(None), slice(None), *tap)].reshape(groups, -1, outs)
            y[(slice(None), slice(None), *to)] += np.einsum("ngi,gio->ngo", values, w).reshape(len(x), -1)
    for axis, (n, s, span, padding) in enumerate(zip(x.shape[2:], strides, spans, paddings, strict=True)):
        if padding == "same":
            wanted = n * s if asked is None else asked[axis]
            before = max((math.ceil(wanted / s) - 1) * s + span - wanted, 0) // 2
        else:
            before, after = padding
            wanted = (n - 1) * s + span - before - after if asked is None else asked[axis]
        if wanted < 1:
            return None
        missing = max(before + wanted - whole[axis], 0)
        widths = [(0, missing if at == axis + 2 else 0) for at in range(y.ndim)]
        y = np.take(np.pad(y, widths), range(before, before + wanted), axis=axis + 2)
    return y + (0 if bias is None else bias.reshape(-1, *[1] * (x.ndim - 2)))


@st.composite
def windows(draw, *, largest: tuple[int, ...] = (13, 9, 5), pools: bool = False):
    """Axes, and for each axis a size, a window, a stride, a dilation and a padding as the operations take them."""
    axes = draw(st.integers(1, 3))

    def numbers(most: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(1, most)) for _ in range(axes))

    sizes, taps, strides, dilations = numbers(largest[axes - 1]), numbers(5 - axes // 2), numbers(4), numbers(3)
    named = ["same", "valid", "symmetric"] + ["ceil"] * pools
    amount = st.integers(0, 4)
    padding = draw(
        st.one_of(st.sampled_from(named), amount, st.tuples(*[st.tuples(amount, amount) for _ in range(axes)]))
    )
    return axes, sizes, taps, strides, dilations, padding


def spelled_out(padding, taps, dilations) -> list:
    """One padding an axis, amounts as pairs."""
    if padding in ("same", "ceil"):
        return [padding] * len(taps)
    if padding == "symmetric":
        return [(d * (k // 2),) * 2 for k, d in zip(taps, dilations, strict=True)]
    if isinstance(padding, tuple):
        return list(padding)
    return [(0, 0) if padding == "valid" else (padding, padding)] * len(taps)


def tensor(array: np.ndarray | None, *, watched: bool = False) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(array).requires_grad_(watched)


def equal(found: torch.Tensor, wanted: np.ndarray) -> None:
    assert tuple(found.shape) == wanted.shape
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=0, atol=1e-12)


@SLOWER
@given(windows(), st.sampled_from([1, 2, 4]), st.integers(1, 2), st.booleans(), st.booleans())
def test_convolution(case, groups: int, each: int, biased: bool, watched: bool) -> None:
    axes, sizes, taps, strides, dilations, padding = case
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, groups * each, *sizes)), rng.standard_normal((groups * 2, each, *taps))
    bias = rng.standard_normal(groups * 2) if biased else None
    wanted = convolved(x, w, bias, strides, dilations, groups, spelled_out(padding, taps, dilations))
    operation = getattr(ops, f"conv{axes}d")
    tensors = [tensor(array, watched=watched) for array in (x, w, bias)]
    options = {"stride": strides, "dilation": dilations, "groups": groups, "padding": padding}
    if wanted is None:
        with pytest.raises(ModelError, match=rf"conv{axes}d on x \[.*does not fit"):
            operation(*tensors, **options)
    else:
        equal(operation(*tensors, **options), wanted)


@SLOWER
@given(windows(largest=(7, 5, 3)), st.sampled_from([1, 2]), st.booleans(), st.data())
def test_transposed(case, groups: int, biased: bool, data) -> None:
    axes, sizes, taps, strides, dilations, padding = case
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, groups * 2, *sizes)), rng.standard_normal((groups * 2, 3, *taps))
    bias = rng.standard_normal(groups * 3) if biased else None
    operation = getattr(ops, f"conv_transpose{axes}d")
    options = {"stride": strides, "dilation": dilations, "groups": groups, "padding": padding}
    paddings = spelled_out(padding, taps, dilations)
    asked = None
    legal = [ops.transposed_sizes(*axis) for axis in zip(sizes, taps, strides, dilations, paddings, strict=True)]
    if all(legal) and data.draw(st.booleans()):
        asked = tuple(data.draw(st.sampled_from(sizes)) for sizes in legal)
    wanted = spread(x, w, bias, strides, dilations, groups, paddings, asked)
    if wanted is None:
        with pytest.raises(ModelError, match="takes everything"):
            operation(tensor(x), tensor(w), tensor(bias), **options)
    else:
        equal(operation(tensor(x), tensor(w), tensor(bias), output_size=asked, **options), wanted)


@SLOWER
@given(windows(pools=True), st.sampled_from(["max", "average"]))
def test_pools(case, kind: str) -> None:
    axes, sizes, taps, strides, dilations, padding = case
    x = np.random.default_rng(0).standard_normal((2, 3, *sizes)) - 3  # zeros from a padding would be the largest
    paddings = spelled_out(padding, taps, dilations)
    seen = patches(x, taps, strides, dilations, paddings)
    operation = getattr(ops, f"{kind}_pool{axes}d")
    options = {"stride": strides, "dilation": dilations, "padding": padding}
    spans = [(k - 1) * d + 1 for k, d in zip(taps, dilations, strict=True)]
    too_much = any(max(p) >= span for p, span in zip(paddings, spans, strict=True) if isinstance(p, tuple))
    places = tuple(range(-axes, 0))
    if seen is None or too_much or np.isnan(seen).all(places).any():
        with pytest.raises(ModelError, match=rf"{kind}_pool{axes}d on x"):
            operation(tensor(x), taps, **options)
    else:
        equal(operation(tensor(x), taps, **options), (np.nanmax if kind == "max" else np.nanmean)(seen, axis=places))


@SLOWER
@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from(["same", "valid", "ceil"]),
    st.sampled_from(["max", "average"]),
    st.booleans(),
)
def test_pools_over_channels(channels, window, stride, padding, kind, channels_last) -> None:
    x = np.random.default_rng(0).standard_normal((2, channels, 3, 4))
    line = x.transpose(0, 2, 3, 1).reshape(2, 12, channels)
    seen = patches(line, (window,), (stride,), (1,), spelled_out(padding, (window,), (1,)))
    operation = getattr(ops, f"depth_{kind}_pool")
    given_x = tensor(x).contiguous(memory_format=torch.channels_last) if channels_last else tensor(x)
    if seen is None:
        with pytest.raises(ModelError, match=rf"depth_{kind}_pool on x"):
            operation(given_x, window, stride=stride, padding=padding)
    else:
        wanted = (np.nanmax if kind == "max" else np.nanmean)(seen, axis=-1)
        wanted = wanted.reshape(2, 3, 4, -1).transpose(0, 3, 1, 2)
        equal(operation(given_x, window, stride=stride, padding=padding), wanted)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), ((2, 1), 1), (1, 2), (3, 2)])
def test_depthwise_and_separable(padding: str, stride, dilation) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 9, 8)), rng.standard_normal((6, 1, 3, 2))
    mix, bias = rng.standard_normal((5, 6, 1, 1)), rng.standard_normal(5)
    strides = stride if isinstance(stride, tuple) else (stride, stride)
    wanted = convolved(x, w, None, strides, (dilation,) * 2, 3, spelled_out(padding, (3, 2), (dilation,) * 2))
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    equal(ops.depthwise_conv2d(tensor(x), tensor(w), **options), wanted)
    wanted = np.einsum("oi,nihw->nohw", mix[:, :, 0, 0], wanted) + bias[:, None, None]
    equal(ops.separable_conv2d(tensor(x), tensor(w), tensor(mix), tensor(bias), **options), wanted)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    ("window", "stride", "dilation", "padding"),
    [(3, 2, 1, "same"), (2, 1, 1, "same"), (3, 1, 2, "same"), (2, 2, 1, "valid"), (3, 2, 1, "ceil"), (2, 3, 1, "same")],
)
def test_gradients(axes: int, window: int, stride: int, dilation: int, padding: str) -> None:
    torch.set_num_threads(1)  # thousands of tiny calls: a second thread would only be waited for
    sizes = {1: (9,), 2: (6, 5), 3: (4, 5, 4)}[axes]
    x = torch.randn(1, 2, *sizes, dtype=torch.float64, requires_grad=True)
    options = {"stride": stride, "dilation": dilation}
    for kind in ("max", "average"):
        pool = getattr(ops, f"{kind}_pool{axes}d")
        assert torch.autograd.gradcheck(lambda x, pool=pool: pool(x, window, padding=padding, **options), (x,))
    if padding == "ceil":
        return
    w = torch.randn(2, 2, *[window] * axes, dtype=torch.float64, requires_grad=True)
    b = torch.randn(2, dtype=torch.float64, requires_grad=True)
    for name in ("conv", "conv_transpose"):
        operation = getattr(ops, f"{name}{axes}d")
        check = torch.autograd.gradcheck
        assert check(lambda x, w, b, run=operation: run(x, w, b, padding=padding, **options), (x, w, b), fast_mode=True)


@pytest.mark.parametrize(("kind", "stride"), [("max", 1), ("max", 3), ("average", 1), ("average", 3)])
def test_gradients_of_pools_over_channels(kind: str, stride: int) -> None:
    x = torch.randn(1, 7, 2, 3, dtype=torch.float64, requires_grad=True)
    pool = getattr(ops, f"depth_{kind}_pool")
    assert torch.autograd.gradcheck(lambda x: pool(x, 3, stride=stride, padding="same"), (x,))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_transposed_convolution_is_the_gradient_of_the_convolution(axes: int) -> None:
    for padding, stride, size in itertools.product(("same", "valid"), (1, 2, 3), (7, 8)):
        x = torch.randn(1, 2, *[size] * axes, dtype=torch.float64, requires_grad=True)
        w = torch.randn(3, 2, *[3] * axes, dtype=torch.float64)
        y = getattr(ops, f"conv{axes}d")(x, w, stride=stride, padding=padding)
        gradient = torch.randn_like(y)
        (wanted,) = torch.autograd.grad(y, x, gradient)
        transposed = getattr(ops, f"conv_transpose{axes}d")
        found = transposed(gradient, w, stride=stride, padding=padding, output_size=(size,) * axes)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
