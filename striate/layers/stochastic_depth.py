"""Residual branches that are sometimes not there."""

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError


class StochasticDepth(nn.Module):
    """In training, drop each picture's branch with probability ``rate`` and scale the others by ``1 / (1 - rate)``.

    Huang and others, "Deep networks with stochastic depth", 2016; scaled in training, as EfficientNet does, so that
    evaluation does nothing at all.

    Raises:
        ModelError: ``rate`` is not in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ModelError(f"StochasticDepth: rate is {rate}; it is a probability from 0 up to, not including, 1")
        self.rate = rate

    @property
    def drops(self) -> bool:
        """Whether it does anything now."""
        return self.training and self.rate > 0

    def forward(self, branch: Tensor) -> Tensor:
        """``[N, ...]`` to the same shape."""
        if not self.drops:
            return branch
        stays = torch.empty([len(branch)] + [1] * (branch.dim() - 1), dtype=branch.dtype, device=branch.device)
        return branch * stays.bernoulli_(1 - self.rate).div_(1 - self.rate)

    def extra_repr(self) -> str:
        """What the printed module says in its brackets."""
        return f"rate={self.rate}"
