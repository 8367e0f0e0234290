"""Our convolutions and their gradients against torch's in float64, behind a norm and without one."""

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from striate.ops import conv2d
from striate.ops.batch_normalization import BOUNDS, batch_norm
from striate.ops.native import kernels, pointwise, products, windows, winograd
from tests.ops.native import tiles
from tests.ops.native.levels import computing_with, needs_products
from tests.ops.native.placing import LAYOUTS, Fenced, addresses, placed

pytestmark = needs_products

ARITHMETIC = 2e-6  # what sums in float32 may lose of the sum of what is added up
EXAMPLES = [pytest.param(20), pytest.param(250, marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def by_kernels() -> Iterator[None]:
    with computing_with("auto"):
        yield


@dataclass(frozen=True)
class Call:
    """One convolution: how large, what stands before it, and where things lie."""

    seed: int
    inputs: int
    outputs: int
    pictures: int
    size: tuple[int, int]
    window: tuple[int, int]
    padding: tuple[int, int]
    stride: int
    act: str | None
    residual: bool
    bias: bool
    autocast: bool
    gradient: str
    offset: int


@st.composite
def calls(draw) -> Call:
    act = draw(st.sampled_from([None, *BOUNDS]))
    window = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (3, 3), (5, 5), (7, 7), (2, 3), (1, 7), (4, 1)]))
    padding = (draw(st.integers(0, window[0] - 1)), draw(st.integers(0, window[1] - 1)))
    least = [max(1, side - 2 * amount) for side, amount in zip(window, padding, strict=True)]
    return Call(
        seed=draw(st.integers(0, 2**16)),
        inputs=draw(st.integers(products.FEWEST, 70)),
        outputs=draw(st.integers(products.FEWEST, 70)),
        pictures=draw(st.integers(2, 4)),
        size=(draw(st.integers(least[0], 40)), draw(st.integers(least[1], 40))),
        window=window,
        padding=padding,
        stride=draw(st.integers(1, 3)) if window == (1, 1) else 1,
        act=act,
        residual=act is not None and draw(st.booleans()),
        bias=draw(st.booleans()),
        autocast=draw(st.booleans()),
        gradient=draw(st.sampled_from(LAYOUTS)),
        offset=draw(st.integers(0, 17)),
    )


def map_and_seen(call: Call) -> tuple[Tensor, Tensor]:
    """What the convolution reads, in bfloat16: given, or the output of a norm; and the leaf behind it."""
    shape = (call.pictures, call.inputs, *call.size)
    x = placed(torch.randn(shape).bfloat16(), "channels_last", call.offset).requires_grad_()
    if call.act is None:
        return x, x
    residual = placed(torch.randn(shape).bfloat16(), "channels_last") if call.residual else None
    statistics = torch.zeros(call.inputs), torch.ones(call.inputs)
    weight, bias = torch.randn(call.inputs, requires_grad=True), torch.randn(call.inputs)
    how = {"training": True, "momentum": 0.1, "eps": 1e-3, "act": call.act, "residual": residual}
    return batch_norm(x, *statistics, weight, bias, **how), x


def parameters(call: Call) -> list[Tensor]:
    dtype = torch.float32 if call.autocast else torch.bfloat16
    shapes = [(call.outputs, call.inputs, *call.window)] + [(call.outputs,)] * call.bias
    return [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]


def check(call: Call) -> None:
    torch.manual_seed(call.seed)
    padding = tuple((amount, amount) for amount in call.padding)
    convolved = partial(conv2d, stride=call.stride, padding=padding)
    seen, leaf = map_and_seen(call)
    given = parameters(call)
    with torch.autocast("cpu", torch.bfloat16, enabled=call.autocast):
        y = convolved(seen, *given)
    assert y.grad_fn.name() == "_ProductBackward" and y.dtype == torch.bfloat16
    # The weight is rounded to bfloat16 before it is multiplied, or, in tiles, its parts are; its gradient is summed in
    # float32.
    tiled = winograd.pays(seen.shape, given[0].shape[2:], call.padding)
    read = (seen, *given) if tiled else [tensor.bfloat16() for tensor in (seen, *given)]
    wide = [tensor.detach().double().contiguous().requires_grad_() for tensor in read]
    gradient = placed(torch.randn(y.shape).bfloat16(), call.gradient, call.offset)
    found = torch.autograd.grad(y, [seen, *given, leaf], gradient)
    exactly, positive = convolved(*wide), [tensor.detach().abs().requires_grad_() for tensor in wide]
    together = convolved(*positive)
    if not tiled:  # whose outputs have a test of their own
        bias = tiles.UNIT * given[1].detach().abs().double()[:, None, None] if call.bias else 0
        bound = 1.01 * tiles.UNIT * exactly.abs() + ARITHMETIC * together + bias
        assert ((y.double() - exactly).abs() <= bound).all()
    exact = torch.autograd.grad(exactly, wide, gradient.double())
    sums = torch.autograd.grad(together, positive, gradient.double().abs())
    most = tiles.gradients(*(tensor.detach() for tensor in wide[:2]), gradient.double(), call.padding) if tiled else ()
    for i, (name, ours, theirs) in enumerate(zip(("x", "weight", "bias"), found, exact, strict=False)):
        in_float32 = name == "weight" and ours.dtype == torch.float32
        unit = 2.0**-24 if in_float32 else tiles.UNIT
        bound = 1.01 * unit * theirs.abs() + ARITHMETIC * sums[i] + (tiles.LOST * most[i] if i < len(most) else 0)
        assert ((ours.double() - theirs).abs() <= bound).all(), name
    assert found[-1].isfinite().all()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_outputs_and_gradients_equal_torchs_in_float64(examples: int) -> None:
    @given(calls())
    @settings(max_examples=examples)
    def holds(call: Call) -> None:
        check(call)

    holds()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_nothing_is_written_beside_sums_and_result(examples: int) -> None:
    """And nothing of the maps is read: around them are numbers that are none."""

    @given(calls(), st.integers(1, 5))
    @settings(max_examples=examples)
    def holds(call: Call, threads: int) -> None:
        sides = zip(call.size, call.window, call.padding, strict=True)
        down, across = ((side + 2 * before - window) // call.stride + 1 for side, window, before in sides)
        bounds = BOUNDS[call.act or "none"]
        sizes = (call.pictures, *call.size, call.inputs, down, across, call.outputs)
        if call.window == (1, 1):
            shape, name = pointwise.Product(*sizes, call.stride, *bounds), "pointwise"
        else:
            shape, name = windows.Window(*sizes, *call.window, *call.padding, *bounds), "windows"
            threads = kernels().windows_threads(ctypes.byref(shape), threads)
        x = placed(torch.randn(call.pictures, call.inputs, *call.size).bfloat16(), "channels_last", call.offset)
        gradient = placed(torch.randn(call.pictures, call.outputs, down, across).bfloat16(), "channels_last", 1)
        tables = [torch.randn(call.inputs) for _ in range(2)] if call.act else [None, None]
        each = getattr(kernels(), f"{name}_sums")(ctypes.byref(shape))
        sums = Fenced.of(threads * each, torch.float32, call.offset)
        result = Fenced.of(call.outputs * call.inputs * math.prod(call.window), torch.float32, call.offset)
        places = addresses(x, gradient, *tables, sums.inside, result.inside)
        assert getattr(kernels(), f"{name}_weight")(*places, ctypes.byref(shape), threads) == 0
        assert sums.whole
        assert result.whole
        assert result.inside.isfinite().all()

    holds()


def ready(act: str | None = "relu", *, dtype: torch.dtype = torch.bfloat16) -> tuple[Tensor, Tensor, Tensor]:
    """A map, its leaf, and a weight."""
    leaf = placed(torch.randn(2, 32, 6, 5).to(dtype), "channels_last").requires_grad_()
    weight = torch.randn(40, 32, 1, 1, requires_grad=True)
    if act is None:
        return leaf, leaf, weight
    statistics = torch.zeros(32), torch.ones(32)
    return batch_norm(leaf, *statistics, training=True, momentum=0.1, eps=1e-3, act=act), leaf, weight


@pytest.mark.parametrize("alone", [True, False])
def test_behind_a_norm_in_float32(alone: bool) -> None:
    """Autocast rounds between the two, so what the convolution reads is not what the norm can give again."""
    found = []
    for by in ("auto", "off"):
        torch.manual_seed(0)
        with computing_with(by), torch.autocast("cpu", torch.bfloat16):
            seen, leaf, weight = ready(dtype=torch.float32)
            y = conv2d(seen, weight)
            found.append(torch.autograd.grad(y.float().exp().sum(), [weight] if alone else [weight, leaf]))
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() <= 0.02 * theirs.norm()


@pytest.mark.parametrize("act", [None, "relu6"])
def test_gradients_of_gradients(act: str | None) -> None:
    twice = []
    for by in ("auto", "off"):
        torch.manual_seed(0)
        with computing_with(by), torch.autocast("cpu", torch.bfloat16):
            seen, leaf, weight = ready(act)
            y = conv2d(seen, weight)
            inner = torch.autograd.grad(y.float().square().mean(), [weight, leaf], create_graph=True)
            outer = torch.autograd.grad(sum(g.float().square().sum() for g in inner), [weight, leaf])
            twice.append([*inner, *outer])
    for ours, theirs in zip(*twice, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours - theirs).float().norm() <= 0.03 * theirs.float().norm()


def test_a_weight_that_was_changed_is_noticed() -> None:
    seen, _, weight = ready()
    with torch.autocast("cpu", torch.bfloat16):
        y = conv2d(seen, weight)
    with torch.no_grad():
        weight.mul_(2)
    with pytest.raises(RuntimeError, match=r"changed in place|by an inplace"):
        y.float().sum().backward()


def test_a_graph_that_is_kept_gives_the_same_gradients_again() -> None:
    seen, leaf, weight = ready()
    with torch.autocast("cpu", torch.bfloat16):
        y = conv2d(seen, weight)
    gradient = torch.randn_like(y)
    first = torch.autograd.grad(y, [leaf, weight], gradient, retain_graph=True)
    again = torch.autograd.grad(y, [leaf, weight], gradient)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
