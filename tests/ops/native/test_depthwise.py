"""Our kernels against torch's convolution in float64, in shapes drawn at random; and what lies around their results."""

import ctypes
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from striate.ops import conv2d
from striate.ops import depthwise as rules
from striate.ops.native import depthwise
from tests.ops.native import levels
from tests.ops.native.levels import needs_kernels
from tests.ops.native.placing import LAYOUTS, Fenced, addresses, placed

pytestmark = needs_kernels

UNIT = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}  # what rounding to the nearest may lose
ARITHMETIC = 1e-6  # what a sum in float32 may lose of the sum of what is added up

RUNS = levels.runs(30)


@dataclass(frozen=True)
class Call:
    """One convolution: how large, how the window walks, and where things lie."""

    seed: int
    channels: int
    size: tuple[int, int]
    pictures: int
    window: int
    stride: int
    dilation: int
    padding: object
    dtype: torch.dtype
    bias: bool
    gradient: str
    offset: int


@st.composite
def calls(draw) -> Call:
    window = draw(st.sampled_from(depthwise.WINDOWS))
    padding = draw(st.sampled_from(["same", "symmetric", "valid", 1, ((0, 3), (2, 1)), ((9, 0), (0, 8))]))
    dilation = draw(st.sampled_from([1, 1, 1, 2, 3]))
    least = 1 if padding in ("same", "symmetric") else (window - 1) * dilation + 1
    return Call(
        seed=draw(st.integers(0, 2**16)),
        channels=draw(st.integers(1, 70)),
        size=(draw(st.integers(least, 40)), draw(st.integers(least, 40))),
        pictures=draw(st.integers(1, 3)),
        window=window,
        stride=draw(st.sampled_from(depthwise.STRIDES)),
        dilation=dilation,
        padding=padding,
        dtype=draw(st.sampled_from(list(UNIT))),
        bias=draw(st.booleans()),
        gradient=draw(st.sampled_from([*LAYOUTS, "one_number"])),
        offset=draw(st.integers(0, 17)),
    )


def drawn(call: Call) -> tuple[list[Tensor], dict]:
    """The map, the window and the bias, asking for gradients; and how the window walks."""
    torch.manual_seed(call.seed)
    x = placed(torch.randn(call.pictures, call.channels, *call.size).to(call.dtype), "channels_last", call.offset)
    tensors = [x, torch.randn(call.channels, 1, call.window, call.window).to(call.dtype)]
    tensors += [torch.randn(call.channels).to(call.dtype)] * call.bias
    arguments = {"stride": call.stride, "dilation": call.dilation, "padding": call.padding, "groups": call.channels}
    return [tensor.requires_grad_() for tensor in tensors], arguments


def incoming(call: Call, y: Tensor) -> Tensor:
    if call.gradient == "one_number":  # what the backward of a sum sends
        return torch.full((), 1.5, dtype=call.dtype).expand(y.shape)
    return placed(torch.randn(y.shape).to(call.dtype), call.gradient, call.offset)


def check(call: Call) -> None:
    ours, arguments = drawn(call)
    # A single map is no group; torch's own convolution serves it.
    by_kernels = call.channels > 1
    kind = rules.kernel_type(ours[0], ours[1], (call.stride,) * 2, (call.dilation,) * 2, call.channels)
    assert kind == (call.dtype if by_kernels else None)
    wide = [tensor.detach().double().requires_grad_() for tensor in ours]
    positive = [tensor.detach().abs().requires_grad_() for tensor in wide]
    found, wanted, added = (conv2d(*tensors, **arguments) for tensors in (ours, wide, positive))
    assert found.dtype == call.dtype
    gradient = incoming(call, found)
    pairs = [
        (found, wanted, added),
        *zip(
            torch.autograd.grad(found, ours, gradient),
            torch.autograd.grad(wanted, wide, gradient.double()),
            torch.autograd.grad(added, positive, gradient.double().abs()),
            strict=True,
        ),
    ]
    roundings = 1.01 if by_kernels and not call.bias else 2.02  # the bias is added to what was rounded already
    for name, (mine, exact, sums) in zip(("y", "x", "weight", "bias"), pairs, strict=False):
        # What is cancelled by the bias was rounded before it was.
        rounded = UNIT[call.dtype] * (sums if name == "y" and call.bias else exact.abs())
        allowed = roundings * rounded + ARITHMETIC * sums + 1e-30
        assert mine.shape == exact.shape
        assert ((mine.double() - exact).abs() <= allowed).all(), name


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_outputs_and_gradients_equal_torchs_in_float64(level: str, examples: int) -> None:
    levels.holds_at(level, examples, calls(), check)


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_nothing_is_written_beside_the_results(level: str, examples: int) -> None:
    """And nothing beside the maps is read: there stands what is no number, and none of it comes out."""

    @given(calls(), st.integers(1, 5), st.tuples(*[st.integers(0, 25)] * 4))
    @settings(max_examples=examples)
    def holds(call: Call, threads: int, sides: tuple[int, int, int, int]) -> None:
        reach = (call.window - 1) * call.dilation + 1
        ahead, behind = sides[:2], sides[2:]
        outputs = tuple(
            max(1, (side + a + b - reach) // call.stride + 1)
            for side, a, b in zip(call.size, ahead, behind, strict=True)
        )
        shape = depthwise.Shape(
            call.pictures, *call.size, call.channels, *outputs, call.window, call.stride, call.dilation, *ahead
        )
        x = placed(torch.randn(call.pictures, call.channels, *call.size).to(call.dtype), "channels_last", call.offset)
        gradient = placed(torch.randn(call.pictures, call.channels, *outputs).to(call.dtype), "channels_last", 1)
        rows = torch.randn(call.window**2 * (-(-call.channels // 16) * 16))
        low = int(call.dtype == torch.bfloat16)
        for function, sources, size, kind in (
            (library.depthwise_forward, (x, rows), gradient.numel(), call.dtype),
            (library.depthwise_input, (gradient, rows), x.numel(), call.dtype),
            (library.depthwise_weight, (x, gradient), threads * rows.numel(), torch.float32),
        ):
            fenced = Fenced.of(size, kind, call.offset)
            function(*addresses(*sources, fenced.inside), ctypes.byref(shape), low, threads)
            assert fenced.whole
            assert fenced.inside.isfinite().all()

    with levels.computing_with(level) as library:
        holds()


@pytest.mark.parametrize("examples", [pytest.param(20), pytest.param(250, marks=pytest.mark.slow)])
def test_what_is_no_number_comes_out_where_torch_lets_it(examples: int) -> None:
    """Infinities too. Outputs and the input's gradient have them in the same places, the weight's in the same map."""

    @given(calls(), st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(0, 2**30), st.sampled_from("xg"))
    @settings(max_examples=examples)
    def holds(call: Call, value: float, place: int, where: str) -> None:
        results = []
        for level in ("auto", "off"):
            with levels.computing_with(level):
                tensors, arguments = drawn(call)
                tensors = [tensor.float().detach().requires_grad_() for tensor in tensors]
                if where == "x":
                    broken(tensors[0], place, value)
                y = conv2d(*tensors, **arguments)
                gradient = torch.randn(y.shape).contiguous(memory_format=torch.channels_last)
                if where == "g":
                    broken(gradient, place, value)
                results.append([y, *torch.autograd.grad(y, tensors, gradient)])
        for name, ours, theirs in zip(("y", "x", "weight", "bias"), *results, strict=False):
            if name == "weight":  # places that a tap leaves out are multiplied by zero, by torch others than by us
                mine, exact = ((~weight.isfinite()).any(dim=(1, 2, 3)) for weight in (ours, theirs))
                assert mine.sum() <= 1
                # Windows that see nothing but padding do not count for us.
                assert (mine >= exact).all() or not isinstance(call.padding, str)
            else:
                assert torch.equal(ours.isfinite(), theirs.isfinite()), name

    levels.built("auto")
    holds()


def broken(tensor: Tensor, place: int, value: float) -> None:
    tensor.detach()[torch.unravel_index(torch.tensor(place % tensor.numel()), tensor.shape)] = value


def test_gradients_of_gradients() -> None:
    torch.manual_seed(0)
    x = placed(torch.randn(2, 5, 6, 7), "channels_last").requires_grad_()
    weight = torch.randn(5, 1, 3, 3, requires_grad=True)
    twice = []
    for first, second in (
        (x, weight),
        (x.detach().double().requires_grad_(), weight.detach().double().requires_grad_()),
    ):
        y = conv2d(first, second, stride=2, groups=5, padding="same")
        inner = torch.autograd.grad(y.square().sum(), (first, second), create_graph=True)
        sum(gradient.square().sum() for gradient in inner).backward()
        twice.append((first.grad, second.grad))
    for ours, theirs in zip(*twice, strict=True):
        assert (ours.double() - theirs).abs().max() <= 1e-4 * theirs.abs().max()


@pytest.mark.parametrize(
    "change",
    [
        {"window": 9},
        {"stride": 3},
        {"groups": 2},
        {"contiguous": True},
        {"watched": False},
        {"dtype": torch.float64},
    ],
)
def test_what_stays_with_torch(change) -> None:
    call = {
        "window": 3,
        "stride": 1,
        "groups": 4,
        "contiguous": False,
        "watched": True,
        "dtype": torch.float32,
    } | change
    x = torch.randn(1, 4, 12, 12, dtype=call["dtype"])
    x = x if call["contiguous"] else x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(4, 4 // call["groups"], call["window"], call["window"], dtype=call["dtype"])
    weight.requires_grad_(call["watched"])
    assert rules.kernel_type(x, weight, (call["stride"],) * 2, (1, 1), call["groups"]) is None


def test_autocast_decides_the_type() -> None:
    x = placed(torch.randn(1, 4, 8, 8), "channels_last")
    weight = torch.randn(4, 1, 3, 3, requires_grad=True)
    assert rules.kernel_type(x, weight, (1, 1), (1, 1), 4) == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert rules.kernel_type(x, weight, (2, 2), (1, 1), 4) == torch.bfloat16
        y = conv2d(x, weight, stride=2, groups=4, padding="same")
        assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert weight.grad.dtype == torch.float32
