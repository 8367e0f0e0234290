"""Depthwise convolution in bfloat16: which backward is used, and that its gradients are right."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from striate.ops import conv2d, depthwise
from striate.ops.depthwise import slow_in_bfloat16


@pytest.fixture(autouse=True)
def torch_alone(monkeypatch):
    """As on a machine where there are no kernels of ours."""
    monkeypatch.setattr(depthwise, "kernels_without_waiting", lambda *tensors: None)


class BackwardTypes(TorchDispatchMode):
    """Writes down the type of the gradient that every convolution's backward got, and for how many images."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[torch.dtype, int]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "convolution_backward" in str(function):
            self.seen.append((args[0].dtype, len(args[0])))
        return function(*args, **(kwargs or {}))


def step(window: int, stride: int, *, groups: int = 16, autocast: bool = True, channels_last: bool = True, bias=False):
    """One forward and backward: the leaves, with their gradients, and what the backward saw."""
    torch.manual_seed(3)
    x = torch.randn(6, 16, 12, 12)
    x = (x.contiguous(memory_format=torch.channels_last) if channels_last else x).requires_grad_()
    w = torch.randn(16, 16 // groups, window, window, requires_grad=True)
    b = torch.randn(16, requires_grad=True) if bias else None
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = conv2d(x, w, b, stride=stride, groups=groups, padding="same")
    with BackwardTypes() as mode:
        y.float().square().sum().backward()
    return (x, w, b), y, mode.seen


def relative(ours: torch.Tensor, wanted: torch.Tensor) -> float:
    return ((ours - wanted).norm() / wanted.norm()).item()


@pytest.mark.parametrize(("window", "stride", "slow"), [(3, 1, False), (3, 2, True), (5, 1, True), (5, 2, True)])
def test_the_rule_decides_the_backward(window: int, stride: int, slow: bool) -> None:
    assert slow_in_bfloat16((window, window), (stride, stride), (1, 1)) == slow
    _, y, seen = step(window, stride)
    assert y.dtype == torch.bfloat16
    assert [kind for kind, _ in seen] == [torch.float32 if slow else torch.bfloat16]


@pytest.mark.parametrize("change", [{"groups": 1}, {"groups": 4}, {"channels_last": False}])
def test_other_convolutions_stay_in_bfloat16(change: dict) -> None:
    _, y, seen = step(5, 2, **change)
    assert y.dtype == torch.bfloat16
    assert [kind for kind, _ in seen] == [torch.bfloat16]


def test_float32_is_left_alone() -> None:
    _, y, seen = step(5, 2, autocast=False)
    assert y.dtype == torch.float32
    assert [kind for kind, _ in seen] == [torch.float32]


@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_are_those_of_float64(window: int, stride: int) -> None:
    leaves, y, _ = step(window, stride, bias=True)
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    wanted = conv2d(*wide, stride=stride, groups=16, padding="same")
    assert relative(y.double(), wanted) < 0.01
    wanted.square().sum().backward()
    for leaf, exact in zip(leaves, wide, strict=True):
        assert leaf.grad.dtype == torch.float32
        assert relative(leaf.grad.double(), exact.grad) < 0.01  # bfloat16 keeps 8 bits


def test_slices_of_the_batch_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    (x, w, _), _, seen = step(5, 2)
    assert [images for _, images in seen] == [6]
    monkeypatch.setattr(depthwise, "_SLICE_BYTES", 2 * x[0].numel() * 4 * 2)
    (x2, w2, _), _, seen = step(5, 2)
    assert len(seen) > 1
    assert sum(images for _, images in seen) == 6
    assert torch.equal(x.grad, x2.grad)
    torch.testing.assert_close(w.grad, w2.grad, rtol=1e-5, atol=1e-4)


def test_frozen_leaves_get_no_gradient() -> None:
    x = torch.randn(2, 16, 9, 9).contiguous(memory_format=torch.channels_last)
    w = torch.randn(16, 1, 5, 5)
    for wants_x in (True, False):
        a, b = x.clone().requires_grad_(wants_x), w.clone().requires_grad_(not wants_x)
        with torch.autocast("cpu", torch.bfloat16):
            conv2d(a, b, groups=16, padding="same").float().sum().backward()
        assert (a.grad is not None) == wants_x
        assert (b.grad is not None) != wants_x


def test_without_autocast_bfloat16_tensors_take_the_same_road() -> None:
    x = torch.randn(2, 16, 9, 9, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last).requires_grad_()
    w = torch.randn(16, 1, 5, 5, dtype=torch.bfloat16, requires_grad=True)
    y = conv2d(x, w, groups=16, padding="same")
    with BackwardTypes() as mode:
        y.float().sum().backward()
    assert [kind for kind, _ in mode.seen] == [torch.float32]
    assert x.grad.dtype == w.grad.dtype == torch.bfloat16


def test_evaluation_is_the_plain_call() -> None:
    x = torch.randn(2, 16, 9, 9).contiguous(memory_format=torch.channels_last)
    w = torch.randn(16, 1, 5, 5, requires_grad=True)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(conv2d(x, w, groups=16, padding="same"), F.conv2d(x, w, None, 1, 2, 1, 16))
