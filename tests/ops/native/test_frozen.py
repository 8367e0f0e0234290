"""Blocks that do not learn in a step of training: their bfloat16 is computed by the kernels of those that do."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from striate.layers import BatchNormAct2d, ConvNormAct
from striate.ops.recomputation import promised
from tests.ops.native.levels import computing_with, needs_products

pytestmark = needs_products

SLOW_IN_TORCH = ("native_batch_norm", "hardtanh", "convolution")
"""Operations that torch would be asked for, by parts of their names."""


@pytest.fixture(autouse=True)
def by_kernels() -> Iterator[None]:
    with computing_with("auto"):
        yield


class Asked(TorchDispatchMode):
    """Writes down which operations torch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def block(window: int, stride: int, groups: int) -> ConvNormAct:
    torch.manual_seed(5)
    norm = partial(BatchNormAct2d, act="relu6")
    made = ConvNormAct(32, 32, window, stride=stride, groups=groups, padding="same", norm=norm, act=None)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, BatchNormAct2d):
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
    return made.to(memory_format=torch.channels_last).eval()


@pytest.mark.parametrize(("window", "stride", "groups"), [(1, 1, 1), (3, 1, 1), (3, 1, 32), (5, 2, 32), (3, 2, 32)])
def test_what_does_not_learn_is_computed_as_what_does(window: int, stride: int, groups: int) -> None:
    images = torch.randn(2, 32, 56, 56).contiguous(memory_format=torch.channels_last)
    learning = block(window, stride, groups)
    with torch.autocast("cpu", torch.bfloat16):
        learnt = learning(images)
    frozen = block(window, stride, groups).requires_grad_(False)
    with Asked() as asked, torch.autocast("cpu", torch.bfloat16):
        answered = frozen(images)
    assert learnt.requires_grad and not answered.requires_grad
    assert torch.equal(answered, learnt)
    assert not [name for name in asked.names for part in SLOW_IN_TORCH if part in name]


def test_a_frozen_block_behind_one_that_learns_hands_on_its_gradient() -> None:
    images = torch.randn(2, 32, 28, 28).contiguous(memory_format=torch.channels_last)
    gradients = []
    for frozen in (False, True):
        first, second = block(1, 1, 1), block(1, 1, 1).requires_grad_(not frozen)
        with torch.autocast("cpu", torch.bfloat16):
            second(first(images)).float().square().sum().backward()
        gradients.append([parameter.grad for parameter in first.parameters()])
        assert all((parameter.grad is None) == frozen for parameter in second.parameters())
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_nothing_is_kept_to_compute_again_what_nobody_differentiates() -> None:
    images = torch.randn(2, 32, 28, 28).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        assert promised(block(1, 1, 1)(images)) is not None
        assert promised(block(1, 1, 1).requires_grad_(False)(images)) is None
