"""Our max pools against torch's in float64 over a padded copy, in shapes drawn at random; and what is left alone."""

import ctypes
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.ops import max_pool2d, padding_amounts, reach
from striate.ops.native import pooling
from striate.ops.recomputation import Promise, promises
from tests.ops.native import levels
from tests.ops.native.levels import needs_kernels
from tests.ops.native.placing import LAYOUTS, Fenced, addresses, placed

pytestmark = needs_kernels

UNIT = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}  # what rounding to the nearest may lose
ARITHMETIC = 1e-6  # what a sum in float32 may lose of the sum of what is added up
LOWEST = -1e300  # stands for an infinity that is no padding

RUNS = levels.runs(40)


@dataclass(frozen=True)
class Call:
    """One pool: how large, how the window walks, what the numbers are, and where things lie."""

    seed: int
    shape: tuple[int, int, int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: object
    dtype: torch.dtype
    numbers: str
    gradient: str
    offset: int


@st.composite
def calls(draw) -> Call:
    side = st.integers(1, 40)
    window = draw(st.one_of(st.sampled_from([(2, 2), (3, 3)]), st.tuples(*[st.integers(1, 7)] * 2), st.just((15, 17))))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (1, 1), (2, 2), (1, 3), (4, 2)]))
    spans = [st.integers(0, reach(*axis) - 1) for axis in zip(window, dilation, strict=True)]
    pairs = st.tuples(*(st.tuples(span, span) for span in spans))
    return Call(
        seed=draw(st.integers(0, 2**16)),
        shape=(draw(st.integers(1, 3)), draw(st.integers(1, 70)), draw(side), draw(side)),
        window=window,
        stride=draw(st.one_of(st.sampled_from([(1, 1), (2, 2), window]), st.tuples(*[st.integers(1, 4)] * 2))),
        dilation=dilation,
        padding=draw(st.one_of(st.sampled_from(["same", "valid", "symmetric", "ceil"]), pairs)),
        dtype=draw(st.sampled_from(list(UNIT))),
        numbers=draw(st.sampled_from(["all", "few", "zeros", "odd", "lowest"])),
        gradient=draw(st.sampled_from([*LAYOUTS, "one_number"])),
        offset=draw(st.integers(0, 17)),
    )


def drawn(call: Call) -> Tensor:
    torch.manual_seed(call.seed)
    values = torch.randn(call.shape)
    match call.numbers:
        case "few":  # most windows have their largest number more than once
            values = values.round()
        case "zeros":  # of both signs
            values = values.sign() * 0.0
        case "odd":
            odd = torch.tensor([math.nan, -math.nan, math.inf, -math.inf])[torch.randint(4, call.shape)]
            values = torch.where(torch.rand(call.shape) < 0.3, odd, values)
        case "lowest":
            values = torch.where(torch.rand(call.shape) < 0.9, -math.inf, values)
    return placed(values.to(call.dtype), "channels_last", call.offset).requires_grad_()


def incoming(call: Call, y: Tensor) -> Tensor:
    if call.gradient == "one_number":  # what the backward of a sum sends
        return torch.full((), 1.5, dtype=call.dtype).expand(y.shape)
    return placed(torch.randn(y.shape).to(call.dtype), call.gradient, call.offset)


def pooled(call: Call, x: Tensor) -> Tensor:
    return max_pool2d(x, call.window, stride=call.stride, dilation=call.dilation, padding=call.padding)


def by_torch(call: Call, wide: Tensor) -> Tensor:
    """Of a padded copy, in which all that is no padding exceeds the padding."""
    each = call.padding if isinstance(call.padding, tuple) else (call.padding,) * 2
    axes = zip(call.shape[2:], call.window, call.stride, call.dilation, each, strict=True)
    (top, bottom), (left, right) = (padding_amounts(*axis) for axis in axes)
    values = F.pad(wide, (left, right, top, bottom), value=-math.inf)
    return F.max_pool2d(values, call.window, call.stride, 0, call.dilation)


def check(call: Call) -> None:
    x = drawn(call)
    try:
        found = pooled(call, x)
    except ModelError:  # the window does not fit
        reject()
    assert found.grad_fn.name() == "_LargestBackward"
    assert found.dtype == call.dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    wide = x.detach().double().contiguous().clamp_min(LOWEST).requires_grad_()
    wanted = by_torch(call, wide)
    lowest = wanted.detach() == LOWEST
    exact = wanted.detach().masked_fill(lowest, -math.inf)
    torch.testing.assert_close(found.detach().double(), exact, rtol=0, atol=0, equal_nan=True)
    gradient = incoming(call, found)
    ours = torch.autograd.grad(found, x, gradient)[0]
    theirs, sums = (
        torch.autograd.grad(wanted, wide, each, retain_graph=True)[0]
        for each in (gradient.double(), gradient.double().abs())
    )
    allowed = 1.01 * UNIT[call.dtype] * theirs.abs() + ARITHMETIC * sums + 1e-30
    assert ours.dtype == call.dtype
    assert ((ours.double() - theirs).abs() <= allowed).all()


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_outputs_and_gradients_equal_torchs_in_float64(level: str, examples: int) -> None:
    levels.holds_at(level, examples, calls(), check)


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_nothing_is_written_beside_the_results(level: str, examples: int) -> None:
    """And nothing beside the maps is read: there stands what is no number, and none of it comes out."""

    @given(calls(), st.integers(1, 5), st.tuples(*[st.integers(0, 9)] * 4))
    @settings(max_examples=examples)
    def holds(call: Call, threads: int, sides: tuple[int, int, int, int]) -> None:
        before, after = sides[:2], sides[2:]
        axes = zip(call.shape[2:], call.window, call.stride, call.dilation, before, after, strict=True)
        outputs = tuple(max(1, (n + a + b - reach(k, d)) // step + 1) for n, k, step, d, a, b in axes)
        count, channels, height, width = call.shape
        size, walk = (count, height, width, channels), (call.window, call.stride, call.dilation, before)
        shape = pooling.Shape(*size[:3], channels, *outputs, *(number for pair in walk for number in pair))
        x = placed(torch.randn(call.shape).to(call.dtype), "channels_last", call.offset)
        gradient = placed(torch.randn(count, channels, *outputs).to(call.dtype), "channels_last", 1)
        y, places, result = (
            Fenced.of(numbers, dtype, call.offset)
            for numbers, dtype in (
                (gradient.numel(), call.dtype),
                (gradient.numel(), torch.uint8),
                (x.numel(), call.dtype),
            )
        )
        how = (ctypes.byref(shape), int(call.dtype == torch.bfloat16), threads)
        library.pooling_forward(*addresses(x, y.inside, places.inside), *how)
        library.pooling_backward(*addresses(gradient, places.inside, result.inside), *how)
        assert all(fenced.whole for fenced in (y, places, result))
        assert not y.inside.isnan().any()
        assert result.inside.isfinite().all()

    with levels.computing_with(level) as library:
        holds()


def test_gradients_of_gradients() -> None:
    torch.manual_seed(0)
    x = placed(torch.randn(2, 5, 9, 7), "channels_last").requires_grad_()
    twice = []
    for first in (x, x.detach().double().contiguous().requires_grad_()):
        y = max_pool2d(first, 3, stride=(2, 1), dilation=(1, 2), padding="same")
        (inner,) = torch.autograd.grad(y.pow(3).sum(), first, create_graph=True)
        inner.square().sum().backward()
        twice.append(first.grad)
    ours, theirs = twice
    assert (ours.double() - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_only_a_byte_for_each_output_is_kept_and_no_promise_is_asked_for() -> None:
    def never(source: Tensor) -> Tensor:
        raise AssertionError("computed again")

    source = placed(torch.randn(2, 5, 9, 7), "channels_last")
    x = placed(torch.randn(2, 5, 9, 7), "channels_last").requires_grad_()
    promised, kept = promises(x * 1, Promise(never, source)), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda kept: kept):
        y = max_pool2d(promised, 3, stride=2, padding="same")
    assert [(each.dtype, each.shape) for each in kept] == [(torch.uint8, y.shape)]
    with torch.no_grad():
        promised.zero_()  # which does not matter any more
    y.sum().backward()
    assert x.grad.sum() == y.numel()


@pytest.mark.parametrize(
    "change", [{"window": 16}, {"contiguous": True}, {"watched": False}, {"dtype": torch.float64}], ids=str
)
def test_what_stays_with_torch(change) -> None:
    call = {"window": 15, "contiguous": False, "watched": True, "dtype": torch.float32}
    for case, ours in ((call, True), (call | change, False)):
        x = torch.randn(1, 4, 20, 20, dtype=case["dtype"])
        x = x if case["contiguous"] else x.contiguous(memory_format=torch.channels_last)
        y = max_pool2d(x.requires_grad_(case["watched"]), case["window"])
        assert (y.grad_fn is not None and y.grad_fn.name() == "_LargestBackward") == ours


def test_transforms_go_by_torch() -> None:
    x = placed(torch.randn(2, 5, 8, 8), "channels_last").requires_grad_()
    wanted = torch.autograd.grad(max_pool2d(x, 2).square().sum(), x)[0]
    found = torch.func.grad(lambda x: max_pool2d(x, 2).square().sum())(x.detach())
    assert torch.equal(found, wanted)
