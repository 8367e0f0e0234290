"""Maps made larger, to meet finer ones."""

from torch import Tensor
from torch.nn import functional as F


def add_enlarged(fine: Tensor, coarse: Tensor) -> Tensor:
    """A fine map ``[N, C, H, W]`` plus a coarse one ``[N, C, h, w]``, of which each place gets its nearest.

    The top-down path of Lin et al., "Feature pyramid networks for object detection", CVPR 2017, section 3.

    Example:
        >>> import torch
        >>> add_enlarged(torch.zeros(1, 1, 2, 4), torch.tensor([[[[1.0, 2.0]]]])).tolist()
        [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """
    return fine + F.interpolate(coarse, size=fine.shape[2:], mode="nearest")
