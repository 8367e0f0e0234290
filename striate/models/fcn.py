"""Fully convolutional networks: a classifier's dense layers slide over the picture, and their scores are enlarged.

Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2015, section 4: VGG-16 whose
fc6 and fc7 are convolutions, 1x1 convolutions that score classes on them and on the maps of pool4 and pool3, and
transposed convolutions that enlarge the sums and begin as bilinear interpolation. FCN-32s enlarges the scores of fc7 by
32; 16s enlarges them by 2, adds those of pool4, and enlarges by 16; 8s adds those of pool3 as well. For 500x500:

==============  =======================================  ==================
layer           what                                     shape
==============  =======================================  ==================
fc7             VGG's convolutions, 100 pixels around    4096x16x16
score_fr        convolution 1x1, behind dropout          21x16x16
upscore2        transposed 4x4, stride 2                 21x34x34
score_pool4     convolution 1x1, its middle added        21x44x44
upscore_pool4   transposed 4x4, stride 2                 21x70x70
score_pool3     convolution 1x1, its middle added        21x88x88
upscore8        transposed 16x16, stride 8, middle taken 21x500x500
==============  =======================================  ==================

In the authors' files conv1_1 pads 100 pixels, so that fc6, which pads none, leaves something of every picture; where
the middles begin follows from that. The forms called SAME need neither: windows and pools pad as SAME, and a transposed
convolution makes just the size from which its SAME window would make what it reads.

Weights begin as He's where the network has no others, in VGG's convolutions by fan-out, in ``score_fr`` by fan-in. The
authors start from ImageNet's weights and with all scores zero, which here only those of pool3 and pool4 are: they learn
from the first step on, but from zero ``score_fr`` nothing would reach the layers before it. The transposed convolutions
learn in all three, where the authors' files keep them fixed in 16s and 8s.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from striate.layers import Conv2d, ConvTranspose2d, bilinear_weights
from striate.models.network import FeatureInfo

CROPS = {32: (19,), 16: (5, 27), 8: (5, 9, 31)}
"""Where in the scores of pool4 and pool3, and in the enlarged answer, what belongs together begins, by the last stride,
if the pictures have 100 pixels around them: place i of pool4 lies 16 i - 91 pixels from the picture's border and place
i of the enlarged scores 16 i - 11, and so on."""


class _Scores(nn.Module):
    """The layers of both forms; ``strides`` are those of the maps, finest first."""

    def __init__(
        self, in_channels: Sequence[int], strides: Sequence[int], classes: int, padding: str, dropout: float
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.score_fr = Conv2d(in_channels[-1], classes, 1)
        nn.init.normal_(self.score_fr.weight, std=math.sqrt(2 / in_channels[-1]))
        nn.init.zeros_(cast("Tensor", self.score_fr.bias))
        steps, layer = [], "upscore2"
        for channels, stride in [*zip(in_channels, strides, strict=True)][-2::-1]:
            self.add_module(layer, _enlarging(classes, 2, padding))
            score = f"score_pool{stride.bit_length() - 1}"
            self.add_module(score, Conv2d(channels, classes, 1))
            for parameter in self.get_submodule(score).parameters():
                nn.init.zeros_(parameter)
            steps.append((layer, score))
            layer = f"upscore_{score.removeprefix('score_')}"
        self.last = f"upscore{strides[0]}"
        self.add_module(self.last, _enlarging(classes, strides[0], padding))
        self.steps = tuple(steps)


class PaddedScores(_Scores):
    """Gives a logit for each class and pixel, ``[N, classes, H, W]``, of maps with 100 pixels around the picture."""

    def __init__(self, in_channels: Sequence[int], strides: Sequence[int], classes: int, dropout: float) -> None:
        super().__init__(in_channels, strides, classes, "valid", dropout)
        self.crops = CROPS[strides[0]]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The size of the pictures, ``[N, 0, H, W]``, and maps ``[N, C_i, H_i, W_i]``, finest first."""
        size, *finer, x = maps
        x = self.score_fr(self.dropout(x))
        for (enlarge, score), y, crop in zip(self.steps, finer[::-1], self.crops, strict=False):
            x = self.get_submodule(enlarge)(x)
            x = x + _middle(self.get_submodule(score)(y), crop, x)
        return _middle(self.get_submodule(self.last)(x), self.crops[-1], size).contiguous()


class SameScores(_Scores):
    """Gives a logit for each class and pixel, ``[N, classes, H, W]``, of maps that SAME windows made."""

    def __init__(self, in_channels: Sequence[int], strides: Sequence[int], classes: int, dropout: float) -> None:
        super().__init__(in_channels, strides, classes, "same", dropout)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The size of the pictures, ``[N, 0, H, W]``, and maps ``[N, C_i, H_i, W_i]``, finest first."""
        size, *finer, x = maps
        x = self.score_fr(self.dropout(x))
        for (enlarge, score), y in zip(self.steps, finer[::-1], strict=True):
            x = self.get_submodule(enlarge)(x, output_size=y.shape[2:]) + self.get_submodule(score)(y)
        return self.get_submodule(self.last)(x, output_size=size.shape[2:])


def fcn(features: Sequence[FeatureInfo], *, classes: int, dropout: float = 0.5) -> PaddedScores:
    """The head for the maps of a backbone that pads 100 pixels."""
    return PaddedScores([info.channels for info in features], [info.stride for info in features], classes, dropout)


def fcn_same(features: Sequence[FeatureInfo], *, classes: int, dropout: float = 0.5) -> SameScores:
    """The head for the maps of a backbone that pads as SAME."""
    return SameScores([info.channels for info in features], [info.stride for info in features], classes, dropout)


def _enlarging(classes: int, factor: int, padding: str) -> ConvTranspose2d:
    made = ConvTranspose2d(classes, classes, 2 * factor, stride=factor, padding=padding, bias=False)
    with torch.no_grad():
        made.weight.copy_(bilinear_weights(classes, factor, groups=1))
    return made


def _middle(x: Tensor, begin: int, like: Tensor) -> Tensor:
    """As much of a map as another is large, from one place on in both directions."""
    return x[:, :, begin : begin + like.shape[2], begin : begin + like.shape[3]]
