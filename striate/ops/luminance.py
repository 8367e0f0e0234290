"""Luma as the papers on super-resolution have it: ITU-R BT.601 in studio range, 16 to 235 of 255.

The weights are those of MATLAB's ``rgb2ycbcr``: Y = 16 + 65.481 R + 128.553 G + 24.966 B of colours from 0 to 1, all
over 255. `striate.pictures.channels` has the same on bytes.
"""

from torch import Tensor

WEIGHTS = (65.481 / 255, 128.553 / 255, 24.966 / 255)
BLACK = 16 / 255
RANGE = 219 / 255
"""How far white is above black: grey that is brighter by so much is so much brighter in luma."""


def luma(x: Tensor, channels: int) -> Tensor:
    """Of pictures ``[N, channels, H, W]`` from 0 to 1, the luma of RGB ``[N, 1, H, W]``.

    Where ``channels`` are not three each is a grey picture of its own, ``[N * channels, 1, H, W]``.

    Example:
        >>> import torch
        >>> luma(torch.ones(1, 3, 1, 1), 3).mul(255).round().item()
        235.0
    """
    if channels != 3:
        return x.flatten(0, 1).unsqueeze(1) * RANGE + BLACK
    red, green, blue = WEIGHTS
    return red * x[:, 0:1] + green * x[:, 1:2] + blue * x[:, 2:3] + BLACK
