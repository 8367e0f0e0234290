"""An exponential moving average of the weights, which is what is evaluated and saved."""

import copy
from typing import cast

import torch

from striate.models.network import Network


class AveragedWeights:
    """A copy of a network whose parameters follow the original's.

    The decay of update t is ``min(decay, (1 + t) / (10 + t))``, so that the first steps are not dragged along;
    buffers (running statistics) are copied as they are.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._buffers = list(zip(self.network.buffers(), network.buffers(), strict=True))
        self._averages = cast("list[torch.Tensor]", list(self.network.parameters()))
        self._weights = cast("list[torch.Tensor]", list(network.parameters()))

    @torch.no_grad()
    def update(self) -> None:
        """Take one step towards the original's weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay)
        for average, buffer in self._buffers:
            average.copy_(buffer)
