"""A batch norm that ends in an activation: torch's own module in all but what it does besides."""

import copy

import pytest
import torch
from torch import nn

from striate.base.errors import ModelError
from striate.layers import BatchNormAct2d
from tests.ops.native.levels import computing_with, needs_kernels

BY = [pytest.param("auto", marks=needs_kernels), "off"]
ACTIVATIONS = {"none": nn.Identity(), "relu": nn.ReLU(), "relu6": nn.ReLU6()}


def pictures(*shape: int) -> torch.Tensor:
    return (2 * torch.randn(shape) + 1).contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("act", list(ACTIVATIONS))
def test_steps_of_training_and_an_evaluation_equal_those_of_torchs_modules(by: str, act: str, momentum) -> None:
    ours, theirs = BatchNormAct2d(6, act=act, momentum=momentum), nn.BatchNorm2d(6, momentum=momentum)
    with computing_with(by):
        for step in range(4):
            frozen = step == 2
            ours.train(not frozen), theirs.train(not frozen)
            x, residual = pictures(3, 6, 5, 7), pictures(3, 6, 5, 7)
            for norm, y in (
                (ours, ours(x, residual)),
                (theirs, ACTIVATIONS[act](theirs(x) + residual)),
            ):
                y.square().mean().backward()
                with torch.no_grad():
                    for parameter in norm.parameters():
                        parameter -= parameter.grad
                norm.zero_grad()
                leaves = x.grad.clone(), residual.grad.clone()
                x.grad = residual.grad = None
                if norm is ours:
                    found = y.detach(), *leaves
            torch.testing.assert_close(found, (y.detach(), *leaves), rtol=1e-4, atol=1e-5)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-5, atol=1e-5)
    assert ours.num_batches_tracked == 3
    x = pictures(3, 6, 5, 7).detach()
    torch.testing.assert_close(ours.eval()(x), ACTIVATIONS[act](theirs.eval()(x)))


def test_weights_are_torchs_by_name_and_kind() -> None:
    ours, theirs = BatchNormAct2d(6, act="relu", eps=1e-3, momentum=0.01), nn.BatchNorm2d(6, eps=1e-3, momentum=0.01)
    assert isinstance(ours, nn.BatchNorm2d)
    for (name, value), (wanted_name, wanted) in zip(
        ours.state_dict().items(), theirs.state_dict().items(), strict=True
    ):
        assert (name, value.dtype, value.tolist()) == (wanted_name, wanted.dtype, wanted.tolist())
    theirs.weight.data.uniform_()
    theirs.running_var.uniform_()
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.running_var, theirs.running_var)
    assert (ours.eps, ours.momentum) == (theirs.eps, theirs.momentum)


def test_it_says_what_it_is() -> None:
    assert "act='relu6'" in repr(BatchNormAct2d(6, act="relu6"))
    assert copy.deepcopy(BatchNormAct2d(6, act="relu6")).act == "relu6"


def test_an_activation_that_there_is_not_is_refused_when_it_is_built() -> None:
    with pytest.raises(ModelError, match=r"act is 'rel'. Did you mean 'relu'"):
        BatchNormAct2d(6, act="rel")


@pytest.mark.parametrize("shape", [(6,), (2, 6), (2, 6, 5), (2, 6, 5, 7, 3)])
def test_only_maps_are_taken(shape: tuple[int, ...]) -> None:
    norm = BatchNormAct2d(6)
    with pytest.raises(ValueError, match="expected 4D input"):
        norm(torch.zeros(shape))
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize("by", BY)
def test_frozen_parameters_get_no_gradient_and_pass_it_on(by: str) -> None:
    norm = BatchNormAct2d(6, act="relu").requires_grad_(False).eval()
    x = pictures(2, 6, 5, 7)
    with computing_with(by):
        norm(x).sum().backward()
    assert norm.weight.grad is None and norm.bias.grad is None
    torch.testing.assert_close(x.grad, (x > 0) / torch.sqrt(torch.tensor(1 + norm.eps)))
