"""From other frameworks' layouts and habits to ours; all take and give torch tensors.

In each framework a layer has its numbers in an order of its own, some add a bias where a batch norm follows, and the
epsilon of batch norms differs. Each function here changes one of these and keeps what evaluation answers.
"""

import numpy as np
import torch
from torch import Tensor

from striate.ops import from_tensorflow


def as_tensor(array: np.ndarray) -> Tensor:
    """A tensor of its own with the array's numbers, shape and kind of number."""
    return torch.from_numpy(np.array(array, order="C"))


def convolution_kernel(kernel: Tensor) -> Tensor:
    """``[h, w, in, out]`` to ``[out, in, h, w]``."""
    return from_tensorflow(kernel, "HWIO").contiguous()


def depthwise_kernel(kernel: Tensor) -> Tensor:
    """``[h, w, C, M]``, which makes M maps of each of C channels, to ``[C * M, 1, h, w]``."""
    return from_tensorflow(kernel, "HWCM").contiguous()


def dense_kernel(kernel: Tensor) -> Tensor:
    """``[in, out]`` to ``[out, in]``; a 1x1 convolution ``[1, 1, in, out]`` behind a global pool is dense too."""
    return kernel.flatten(0, -2).t().contiguous()


def dense_kernel_behind_map(kernel: Tensor, channels: int) -> Tensor:
    """``[h * w * C, out]`` of a layer that reads a map flattened as h, w, C, to ``[out, C * h * w]``.

    Inputs that are no map of ``channels`` are left in their order; whoever compares shapes will find it.
    """
    if kernel.shape[0] % channels:
        return dense_kernel(kernel)
    return kernel.unflatten(0, (-1, channels)).permute(2, 1, 0).flatten(1).contiguous()


def fold_bias(mean: Tensor, bias: Tensor) -> Tensor:
    """A batch norm's running mean that takes over the bias of the convolution before it.

    ``(x + bias) - mean`` is ``x - (mean - bias)``, so our convolutions do without.
    """
    return (mean.double() - bias.double()).to(mean.dtype)


def move_epsilon(gamma: Tensor, variance: Tensor, *, theirs: float, ours: float) -> tuple[Tensor, Tensor]:
    """A batch norm's scale and running variance for another epsilon, with the same answers in evaluation.

    What counts is ``gamma / sqrt(variance + epsilon)``. The difference goes into the variance; where that could become
    negative (ours is the larger epsilon), the scale is changed instead.
    """
    wide = variance.double()
    if theirs >= ours:
        return gamma, (wide + (theirs - ours)).to(variance.dtype)
    factor = torch.sqrt((wide + ours) / (wide + theirs))
    return (gamma.double() * factor).to(gamma.dtype), variance
