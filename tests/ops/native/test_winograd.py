"""Convolutions in tiles by our kernels against the definition in float64."""

import ctypes
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from striate.ops.native import kernels, norm, winograd
from tests.ops.native.levels import needs_products
from tests.ops.native.placing import Fenced, addresses, placed
from tests.ops.native.tiles import LOST, UNIT, USUAL, gradients, in_tiles

pytestmark = needs_products

EXAMPLES = [pytest.param(30), pytest.param(300, marks=pytest.mark.slow)]
OPEN = norm.OPEN


@dataclass(frozen=True)
class Call:
    seed: int
    pictures: int
    inputs: int
    outputs: int
    size: tuple[int, int]
    padding: tuple[int, int]
    bias: bool
    bounds: tuple[float, float] | None  # of the activation behind a norm, None without
    offset: int
    threads: int


@st.composite
def calls(draw) -> Call:
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    size = tuple(draw(st.integers(max(1, 3 - 2 * amount), 40)) for amount in padding)
    return Call(
        seed=draw(st.integers(0, 2**16)),
        pictures=draw(st.integers(1, 3)),
        inputs=draw(st.integers(1, 70)),
        outputs=draw(st.integers(1, 70)),
        size=size,
        padding=padding,
        bias=draw(st.booleans()),
        bounds=draw(st.sampled_from([None, OPEN, (0.0, torch.inf), (0.0, 6.0)])),
        offset=draw(st.integers(0, 17)),
        threads=draw(st.integers(1, 5)),
    )


def maps(call: Call) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The input, the gradient of the output, the weight and the bias."""
    torch.manual_seed(call.seed)
    down, across = (side + 2 * amount - 2 for side, amount in zip(call.size, call.padding, strict=True))
    x = placed(torch.randn(call.pictures, call.inputs, *call.size).bfloat16(), "channels_last", call.offset)
    gradient = placed(torch.randn(call.pictures, call.outputs, down, across).bfloat16(), "channels_last", call.offset)
    weight = placed(torch.randn(call.outputs, call.inputs, 3, 3), "channels_last", call.offset)
    return x, gradient, weight, torch.randn(call.outputs) if call.bias else None


def near(ours: Tensor, exact: Tensor, most: Tensor, size: Tensor) -> bool:
    """Whether no number is off by more than rounding can explain, and many together by no more than is usual.

    ``most`` is the most that products amount to, ``size`` the sum of their squares.
    """
    error = ours.double() - exact
    usual = USUAL * (size.sum() + exact.square().sum()).sqrt()
    explained = (error.abs() <= LOST * most + 1.01 * UNIT * exact.abs()).all()
    return bool(explained and (error.norm() <= usual or error.numel() < 256))


def test_the_definition_is_a_convolution() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 7, 8, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    for padding in ((0, 0), (1, 1), (2, 0), (1, 2)):
        assert torch.allclose(in_tiles(x, weight, padding), F.conv2d(x, weight, padding=padding), atol=1e-12)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_equals_the_definition(examples: int) -> None:
    @given(calls())
    @settings(max_examples=examples)
    def holds(call: Call) -> None:
        x, gradient, weight, bias = maps(call)
        how = None
        if call.bounds:
            tables = [torch.randn(call.inputs) for _ in range(2)]
            how = norm.Statistics(tables[0], tables[0], *tables, 1e-5, own=True)
        seen = x if how is None else norm.apply(kernels(), x, None, how, call.bounds or OPEN)
        wide = [tensor.double().contiguous() for tensor in (seen, weight, gradient)]
        steps = (None, (1, 1), call.padding, (1, 1), False, (0, 0), 1, [True, True, False])

        y = winograd.convolve(kernels(), seen, weight, bias, call.padding)
        exact, size = (F.conv2d(*pair, padding=call.padding) for pair in (wide[:2], [t.square() for t in wide[:2]]))
        if bias is not None:
            exact = exact + bias.double()[:, None, None]
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert near(y, exact, in_tiles(wide[0], wide[1], call.padding, positive=True), size)

        of_x, of_weight, _ = torch.ops.aten.convolution_backward(wide[2], wide[0], wide[1], *steps)
        squares = [tensor.square() for tensor in wide]
        sizes = torch.ops.aten.convolution_backward(squares[2], squares[0], squares[1], *steps)
        most = gradients(*wide, call.padding)
        found = winograd.input_gradient(kernels(), gradient, weight, call.size, call.padding)
        assert near(found, of_x, most[0], sizes[0])
        normalised = None if how is None else (how, call.bounds or OPEN)
        found = winograd.weight_gradient(kernels(), gradient, x, call.padding, normalised)
        assert found.dtype == torch.float32
        assert near(found, of_weight, most[1], sizes[1])

    holds()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_nothing_is_written_beside_results(examples: int) -> None:
    """And nothing of the maps is read: around them are numbers that are none."""

    @given(calls())
    @settings(max_examples=examples)
    def holds(call: Call) -> None:
        library = kernels()
        x, gradient, weight, bias = maps(call)
        tables = [torch.randn(call.inputs) for _ in range(2)] if call.bounds else [None, None]
        channels = (ctypes.c_int64(call.inputs), ctypes.c_int64(call.outputs))
        sides = (call.pictures, *call.size, call.inputs, *gradient.shape[2:], call.outputs)
        tiling = winograd.Tiling(*sides, *call.padding, *(call.bounds or OPEN))
        parts = Fenced.of(library.winograd_parts(*channels), torch.float32, call.offset)
        y = Fenced.of(gradient.numel(), torch.bfloat16, call.offset)
        result = Fenced.of(weight.numel(), torch.float32, call.offset)
        library.winograd_weights(*addresses(weight, parts.inside), *channels, 0, call.threads)
        how = ctypes.byref(tiling), call.threads
        assert library.winograd_forward(*addresses(x, parts.inside, bias, y.inside), *how) == 0
        assert library.winograd_weight(*addresses(x, gradient, *tables, result.inside), *how) == 0
        for written in (parts, y, result):
            assert written.whole
        assert y.inside.isfinite().all()
        assert result.inside.isfinite().all()

    holds()


@pytest.mark.parametrize("turned", [False, True])
def test_parts_of_channels_that_are_not_there_are_zero(turned: bool) -> None:
    """Whatever was in memory before: no number times zero is none."""
    weight = placed(torch.randn(35, 5, 3, 3), "channels_last")
    seen, given = (35, 5) if turned else (5, 35)
    count = kernels().winograd_parts(ctypes.c_int64(seen), ctypes.c_int64(given))
    parts = torch.full((count,), torch.nan)
    counts = map(ctypes.c_int64, (5, 35))
    kernels().winograd_weights(*addresses(weight, parts), *counts, int(turned), 2)
    found = parts.view(torch.bfloat16).float().view(-1, 16, (seen + 1) // 2, 32, 2)
    assert found.isfinite().all()
    assert (found[-1, :, :, given % 32 :] == 0).all()
    assert (found[:, :, -1, :, seen % 2 :] == 0).all() or seen % 2 == 0


def test_few_tiles_are_left_to_torch() -> None:
    window = torch.Size((3, 3))
    assert winograd.pays(torch.Size((1, 32, 16, 16)), window, (1, 1))
    assert not winograd.pays(torch.Size((1, 32, 14, 14)), window, (1, 1))
    assert winograd.pays(torch.Size((1, 32, 15, 15)), window, (1, 1))
    assert not winograd.pays(torch.Size((1, 32, 16, 16)), window, (0, 0))
    assert not winograd.pays(torch.Size((9, 32, 16, 16)), torch.Size((1, 1)), (0, 0))
