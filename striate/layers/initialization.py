"""How weights begin."""

import math

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.layers.convolution import Conv2d


def he_fan_out_(weight: Tensor, groups: int = 1) -> Tensor:
    """Fill ``[out, in / groups, h, w]`` from a normal of variance ``2 / (h * w * out / groups)``, in place.

    He and others, "Delving deep into rectifiers", 2015, section 2.2, the backward case: it keeps the size of the
    gradients. torch's own function forgets the groups, which makes depthwise windows begin far too small.
    """
    fan_out = weight.shape[0] // groups * weight.shape[2] * weight.shape[3]
    return nn.init.normal_(weight, 0.0, math.sqrt(2 / fan_out))


def begin_he_(network: nn.Module) -> None:
    """Begin a network as most here do: He's weights in convolutions, deviation 0.01 in dense layers, biases zero.

    The small dense weights make the first answers nearly alike, whatever the number of classes: the first loss is that
    of guessing.
    """
    for module in network.modules():
        if isinstance(module, Conv2d):
            he_fan_out_(module.weight, module.groups)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
        if isinstance(module, Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def bilinear_weights(channels: int, factor: int, *, groups: int | None = None) -> Tensor:
    """Weights that make a transposed convolution start as bilinear interpolation by ``factor``.

    For ``ConvTranspose2d(channels, channels, 2 * factor - factor % 2, stride=factor, padding="same")``: of shape
    ``[channels, 1, h, w]`` with ``groups=channels`` (the default), or with the one group of a dense convolution
    ``[channels, channels, h, w]``, where no channel reaches another. Long, Shelhamer and Darrell, "Fully convolutional
    networks for semantic segmentation", 2015, section 3.3.

    Raises:
        ModelError: ``factor`` is below 1, or ``groups`` does not divide ``channels``.

    Example:
        >>> bilinear_weights(1, 2)[0, 0, 1].tolist()
        [0.1875, 0.5625, 0.5625, 0.1875]
    """
    groups = channels if groups is None else groups
    if factor < 1 or groups < 1 or channels % groups:
        raise ModelError(
            f"bilinear_weights: {channels} channels in {groups} groups by a factor of {factor}; the factor is at "
            "least 1, and the groups divide the channels"
        )
    window = 2 * factor - factor % 2
    line = 1 - (torch.arange(window) - (window - 1) / 2).abs() / factor
    weight = torch.zeros(channels, channels // groups, window, window)
    every = torch.arange(channels)
    weight[every, every % (channels // groups)] = line[:, None] * line
    return weight
