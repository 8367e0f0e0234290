"""Pooling as modules."""

from torch import Tensor, nn


class GlobalAveragePool(nn.Module):
    """The mean of each map, ``[N, C, H, W]`` to ``[N, C]``: what makes a network take pictures of any size.

    Lin and others, "Network in network", 2014, section 3.2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, C]``."""
        return x.mean((2, 3))
