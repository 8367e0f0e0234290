"""The networks that are measured, as a training step has them, and pictures for them."""

import torch
from torch import Tensor

from accept.commands import CommandError
from striate.models import build
from striate.models.network import Network
from striate.ops.native import description, kernels

NAMES = ("resnet50", "efficientnet_lite0")
SIZE = (128, 128)


def network(name: str) -> tuple[Network, Tensor]:
    """The network, which learns 1,000 classes, and 4 pictures, channels-last; the process has kernels.

    Raises:
        CommandError: it has none.
    """
    if kernels() is None:
        raise CommandError(description())
    built = build(name, classes=1000, seed=0).train()
    built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(4, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    return built, images.contiguous(memory_format=torch.channels_last)
