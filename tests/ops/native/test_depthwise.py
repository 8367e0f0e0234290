"""Our kernels against torch's convolution in float64, in shapes drawn at random; and what lies around their results."""

import ctypes

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.ops import conv2d
from striate.ops import depthwise as rules
from striate.ops.native import depthwise, description, kernels

pytestmark = pytest.mark.skipif(kernels() is None, reason=description())

ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 8e-3}  # of the largest number of the result


@st.composite
def calls(draw):
    window = draw(st.sampled_from(depthwise.WINDOWS))
    padding = draw(st.sampled_from(["same", "symmetric", "valid", 1, ((0, 3), (2, 1))]))
    dilation = draw(st.sampled_from([1, 1, 1, 2, 3]))
    reach = (window - 1) * dilation + 1
    least = 1 if padding in ("same", "symmetric") else reach
    return {
        "channels": draw(st.integers(2, 70)),
        "size": (draw(st.integers(least, 40)), draw(st.integers(least, 40))),
        "pictures": draw(st.integers(1, 3)),
        "window": window,
        "stride": draw(st.sampled_from(depthwise.STRIDES)),
        "dilation": dilation,
        "padding": padding,
        "dtype": draw(st.sampled_from(list(ROUNDING))),
        "bias": draw(st.booleans()),
        "offset": draw(st.integers(0, 3)),
    }


def channels_last(values, offset: int):
    """The same numbers, channels-last, beginning ``offset`` numbers behind where memory was given."""
    count, channels, height, width = values.shape
    memory = torch.empty(values.numel() + offset, dtype=values.dtype)[offset:]
    placed = memory.view(count, height, width, channels).permute(0, 3, 1, 2)
    return placed.copy_(values)


@given(calls())
@settings(max_examples=200)
def test_outputs_and_gradients_equal_torchs_in_float64(call) -> None:
    torch.manual_seed(0)
    dtype, channels, window = call["dtype"], call["channels"], call["window"]
    x = channels_last(torch.randn(call["pictures"], channels, *call["size"]).to(dtype), call["offset"])
    tensors = [x, torch.randn(channels, 1, window, window).to(dtype)]
    tensors += [torch.randn(channels).to(dtype)] if call["bias"] else []
    arguments = {name: call[name] for name in ("stride", "dilation", "padding")} | {"groups": channels}
    ours = [tensor.requires_grad_() for tensor in tensors]
    theirs = [tensor.detach().double().requires_grad_() for tensor in tensors]
    steps = ((call["stride"],) * 2, (call["dilation"],) * 2)
    expected = dtype if dtype == torch.float32 or rules.slow_in_bfloat16((window, window), *steps) else None
    assert rules.kernel_type(x, ours[1], *steps, channels) == expected
    found, wanted = conv2d(*ours, **arguments), conv2d(*theirs, **arguments)
    assert found.dtype == dtype
    gradient = torch.randn_like(found)
    found.backward(gradient)
    wanted.backward(gradient.double())
    pairs = [(found, wanted), *((a.grad, b.grad) for a, b in zip(ours, theirs, strict=True))]
    for a, b in pairs:
        assert a is not None and a.shape == b.shape
        assert (a.double() - b).abs().max() <= ROUNDING[dtype] * b.abs().max() + 1e-12


@given(calls())
@settings(max_examples=100)
def test_nothing_is_written_beside_the_results(call) -> None:
    window, channels, stride, dilation = (call[name] for name in ("window", "channels", "stride", "dilation"))
    reach = (window - 1) * dilation + 1
    outputs = tuple((side + 2 * reach - reach) // stride + 1 for side in call["size"])  # padded all around
    before, dtype = (reach, reach), call["dtype"]
    count, (height, width) = call["pictures"], call["size"]
    shape = depthwise.Shape(count, height, width, channels, *outputs, window, stride, dilation, *before)
    low, library = int(dtype == torch.bfloat16), kernels()
    x = torch.randn(count * height * width * channels).to(dtype)
    gradient = torch.randn(count * outputs[0] * outputs[1] * channels).to(dtype)
    rows = torch.randn(window * window * (-(-channels // 16) * 16))
    for function, sources, size, kind in (
        (library.depthwise_forward, (x, rows), gradient.numel(), dtype),
        (library.depthwise_input, (gradient, rows), x.numel(), dtype),
        (library.depthwise_weight, (x, gradient), 2 * rows.numel(), torch.float32),
    ):
        fence = 64 + call["offset"]
        memory = torch.full((size + 2 * fence,), 7.0, dtype=kind)
        memory[fence:-fence] = 0
        places = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (*sources, memory[fence:])]
        function(*places, ctypes.byref(shape), low, 2)
        assert bool((memory[:fence] == 7).all()) and bool((memory[-fence:] == 7).all())


def test_gradients_of_gradients() -> None:
    torch.manual_seed(0)
    x = channels_last(torch.randn(2, 5, 6, 7), 0).requires_grad_()
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
    x = channels_last(torch.randn(1, 4, 8, 8), 0)
    weight = torch.randn(4, 1, 3, 3, requires_grad=True)
    assert rules.kernel_type(x, weight, (1, 1), (1, 1), 4) == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert rules.kernel_type(x, weight, (1, 1), (1, 1), 4) is None  # torch's own are the faster ones
        assert rules.kernel_type(x, weight, (2, 2), (1, 1), 4) == torch.bfloat16
        y = conv2d(x, weight, stride=2, groups=4, padding="same")
        assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert weight.grad.dtype == torch.float32
