"""ESPCN, super-resolution by pixel shuffle.

Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
network", CVPR 2016, sections 3.1 and 4.2.

All windows look at the small picture; the last one says factor * factor numbers a place, which become as many pixels.
The picture goes on beyond its border as it ends there, four pixels far.

======  =====================================================  ====================
block   layers                                                 shape at 96x96, x2
======  =====================================================  ====================
stem    5x5 convolution of the luma and its border, tanh       64x104x104
stage1  3x3 convolution, tanh                                  32x104x104
head    3x3 convolution, pixel shuffle; the border is cut off  4x104x104, 1x192x192
======  =====================================================  ====================
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from striate.layers import Conv2d
from striate.models.enlarging import Enlarging, Factor, pass_on_
from striate.ops.borders import continued

CHANNELS = (64, 32)
WINDOWS = (5, 3, 3)
LITTLE = 0.5
GREY = 0.5
MARGIN = sum(side // 2 for side in WINDOWS)


class ESPCN(Enlarging):
    """See the module; 21,284 parameters for x2."""

    def __init__(self, *, classes: int, in_channels: int, factor: int) -> None:
        blocks = {"stem": ("conv1", "act1"), "stage1": ("conv2", "act2"), "head": ("conv3", "shuffle")}
        super().__init__(classes=classes, in_channels=in_channels, factor=factor, margin=MARGIN, blocks=blocks)
        first, second = CHANNELS
        self.conv1, self.act1 = Conv2d(1, first, WINDOWS[0], padding="same"), nn.Tanh()
        self.conv2, self.act2 = Conv2d(first, second, WINDOWS[1], padding="same"), nn.Tanh()
        self.conv3, self.shuffle = Conv2d(second, factor**2, WINDOWS[2], padding="same"), nn.PixelShuffle(factor)
        self._begin()

    def _begin(self) -> None:
        """As bilinear interpolation: the first maps pass on the luma, less grey, which tanh hardly changes."""
        for conv in (self.conv1, self.conv2, self.conv3):
            nn.init.normal_(conv.weight, std=1 / math.sqrt(conv.weight[0].numel()))
            nn.init.zeros_(cast("Tensor", conv.bias))
        pass_on_(self.conv1, LITTLE)
        nn.init.constant_(cast("Tensor", self.conv3.bias), GREY)
        pass_on_(self.conv2)
        # Each of the factor pixels of a place along a side has its own distance to the places before, at and behind it.
        distances = ((torch.arange(self.factor) + 0.5) / self.factor - 0.5)[:, None] - torch.arange(-1, 2)
        line = (1 - distances.abs()).clamp(min=0)
        with torch.no_grad():
            cast("Tensor", self.conv1.bias)[0] = -LITTLE * GREY
            self.conv3.weight.mul_(0.01)
            self.conv3.weight[:, 0] = torch.einsum("ah,bw->abhw", line, line).flatten(0, 1) / LITTLE

    def luma(self, small: Tensor, large: Tensor) -> Tensor:
        """See `Enlarging.luma`."""
        x: Tensor = self._chain(continued(small, MARGIN), self.blocks)
        cut = MARGIN * self.factor
        return x[:, :, cut:-cut, cut:-cut]


def espcn(*, classes: int, in_channels: int, factor: Factor = 2) -> ESPCN:
    """ESPCN for pictures ``factor`` times as large: 21,284, 22,729 or 24,752 parameters for 2, 3 and 4."""
    return ESPCN(classes=classes, in_channels=in_channels, factor=factor)
