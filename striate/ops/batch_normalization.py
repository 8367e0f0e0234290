"""Batch norm, residual addition and activation as one operation.

Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
2015, section 3. The activation and the addition behind it read and write the same maps; done together, and in backward
too, they cost less than half of what they cost one by one, and only the norm's input is kept for backward.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.ops.native import norm as native
from striate.ops.native.library import kernels_for, kernels_without_waiting
from striate.ops.native.tensors import will_be_differentiated
from striate.ops.recomputation import computed_again

Activation = Literal["none", "relu", "relu6"]
BOUNDS: dict[Activation, tuple[float, float]] = {
    "none": (-math.inf, math.inf),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
}


def batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    training: bool,
    momentum: float,
    eps: float,
    act: Activation = "none",
    residual: Tensor | None = None,
) -> Tensor:
    """``act(norm(x) + residual)`` of maps ``[N, C, H, W]``; all other tensors but ``residual`` are ``[C]``.

    ``training`` takes mean and variance of the batch and moves the running ones towards them by ``momentum`` (the
    variance of a sample, as torch), otherwise the running ones are taken. Without a residual and with ``act="none"``
    this is `torch.nn.functional.batch_norm`, except that a forward pass that checkpointing computes again, within
    backward, does not move the running statistics a second time. On CPUs, where maps are channels-last and it is
    bfloat16 or will be differentiated, kernels of ours compute it.

    Raises:
        ModelError: there is only one value a channel to take statistics of.

    Example:
        >>> import torch
        >>> x = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
        >>> mean, variance = torch.zeros(1), torch.ones(1)
        >>> batch_norm(x, mean, variance, training=True, momentum=0.1, eps=1e-12, act="relu").flatten().tolist()
        [0.0, 1.0]
        >>> round(mean.item(), 6), round(variance.item(), 6)
        (0.2, 1.1)
    """
    if training and x.numel() == x.shape[1]:
        raise ModelError(
            f"batch_norm on x {list(x.shape)}: in training the statistics are those of the batch, which has one value "
            "a channel; it takes at least 2, of two pictures or of maps of two places"
        )
    if training and computed_again():
        running_mean, running_var = running_mean.clone(), running_var.clone()
    tables = (weight, bias, running_mean, running_var)
    if _by_kernels(x, residual, tables) and kernels_without_waiting(x, residual, *tables) is not None:
        if training:
            mean, variance = _statistics(x, running_mean, running_var, momentum)
        else:
            mean, variance = running_mean.clone(), running_var  # which may move on before backward
        with torch.no_grad():
            how = native.Statistics.of(mean, variance, weight, bias, eps, own=training)
        return native.normalise(x, weight, bias, residual, how, BOUNDS[act])
    y = F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    if residual is not None:
        y = y.add_(residual) if y.dtype == residual.dtype else y + residual
    if act == "none":
        return y
    return F.relu_(y) if act == "relu" else F.hardtanh_(y, *BOUNDS[act])


def _by_kernels(x: Tensor, residual: Tensor | None, tables: Sequence[Tensor | None]) -> bool:
    ours = x.dtype == torch.bfloat16 or will_be_differentiated(x, residual, *tables)
    return ours and not torch.compiler.is_compiling() and native.suits(x, residual, tables)


def _statistics(x: Tensor, running_mean: Tensor, running_var: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    values = x.numel() // x.shape[1]
    mean, variance = native.statistics(kernels_for(x), x)
    with torch.no_grad():
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((variance * (values / (values - 1))).to(running_var.dtype), momentum)
    return mean, variance
