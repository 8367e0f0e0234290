"""What kernels are not given: tensors of other sizes, of transforms; and that defaults do not matter."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, DepthwiseConv2d, Linear, MaxPool2d
from tests.ops.native.levels import computing_with, needs_kernels

pytestmark = needs_kernels
CHANNELS = 32


@pytest.fixture(autouse=True)
def by_kernels() -> Iterator[None]:
    with computing_with("auto"):
        yield


def layers() -> nn.Sequential:
    """One of each that has kernels."""
    torch.manual_seed(0)
    return nn.Sequential(
        Conv2d(CHANNELS, CHANNELS, 3, padding="same"),
        BatchNormAct2d(CHANNELS, act="relu"),
        DepthwiseConv2d(CHANNELS, 3, padding="same"),
        Conv2d(CHANNELS, CHANNELS, 1),
        MaxPool2d(2),
        nn.Flatten(),
        Linear(CHANNELS * 16, 2048),
    )


def picture() -> Tensor:
    drawn = torch.randn(2, CHANNELS, 8, 8, generator=torch.Generator().manual_seed(1))
    return drawn.contiguous(memory_format=torch.channels_last)


def gradients(network: nn.Module, x: Tensor) -> list[Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x)
    return list(torch.autograd.grad(y.float().square().sum(), list(network.parameters())))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_type_does_not_matter(dtype: torch.dtype) -> None:
    network, x = layers(), picture()
    wanted = gradients(network, x)
    torch.set_default_dtype(dtype)
    try:
        found = gradients(network, x)
    finally:
        torch.set_default_dtype(torch.float32)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_a_norm_of_other_channels_is_refused(training: bool) -> None:
    norm = BatchNormAct2d(3, act="relu").train(training)
    with pytest.raises(RuntimeError, match="running_mean"):
        norm(picture())


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4, 6])
def test_weights_alone_within_a_transform(index: int) -> None:
    """The picture is an ordinary tensor; what learns is wrapped."""
    layer, x = layers().eval()[index], picture()  # running statistics cannot move within a transform
    x = x.flatten(1)[:, : CHANNELS * 16].contiguous() if index == 6 else x
    names = dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, parameters, (x.clone(),)).square().sum()

    found = torch.func.grad(loss)({name: value.detach() for name, value in names.items()})
    wanted = torch.autograd.grad(layer(x).square().sum(), list(names.values())) if names else ()
    for name, theirs in zip(names, wanted, strict=True):
        assert (found[name] - theirs).norm() <= 1e-3 * theirs.norm() + 1e-3
