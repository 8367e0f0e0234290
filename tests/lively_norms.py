"""Networks of nobody's training whose answers differ from place to place."""

import torch
from torch import nn


def enliven(network: nn.Module) -> None:
    """Let norms differ from channel to channel, so that many classes are answered."""
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=random)
            module.running_var.uniform_(0.5, 1.5, generator=random)
