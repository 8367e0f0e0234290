"""Task-aligned detection without anchors: a light pyramid over three maps, and a tower a scale for classes and boxes.

Feng, Zhong, Gao, Scott and Huang, "TOOD: Task-aligned one-stage object detection", ICCV 2021, whose assignment the task
"detect" learns by; towers for classes and boxes are apart as in Ge et al., "YOLOX", 2021. The pyramid goes down and up
again as in Liu et al., "Path aggregation network", CVPR 2018. All windows are depthwise, so that the head costs a
fraction of its backbone.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, ConvNormAct, begin_he_
from striate.models.network import FeatureInfo
from striate.ops.enlarging import add_enlarged

SEEN_AT_FIRST = 0.01
"""The probability of a class at the start: most places show nothing (Lin et al., "Focal loss", 2017, section 4.1)."""
REACH_AT_FIRST = 1.0
"""What a side's distance begins with: e strides."""


def point(in_channels: int, channels: int) -> ConvNormAct:
    """A 1x1 convolution with a norm and a ReLU."""
    return ConvNormAct(in_channels, channels, 1, padding="valid", norm=partial(BatchNormAct2d, act="relu"), act=None)


def plain_point(channels: int, count: int, begin: float = 0.0) -> Conv2d:
    """A 1x1 convolution alone, in which a head ends: to so many numbers a place, which begin near one value."""
    last = Conv2d(channels, count, 1)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.constant_(cast("Tensor", last.bias), begin)
    return last


class Separable(nn.Sequential):
    """A depthwise window of 5x5 and a 1x1 convolution, each with a norm, a ReLU behind the second."""

    def __init__(self, in_channels: int, channels: int, *, stride: int = 1) -> None:
        super().__init__(
            ConvNormAct(
                *(in_channels, in_channels, 5),
                stride=stride,
                groups=in_channels,
                padding="same",
                norm=BatchNormAct2d,
                act=None,
            ),
            point(in_channels, channels),
        )


class Pyramid(nn.Module):
    """Maps of one width from a backbone's: what coarse maps know goes down to the fine ones, and up again."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        scales = len(in_channels)
        self.lateral = nn.ModuleList([point(count, channels) for count in in_channels])
        self.down = nn.ModuleList([Separable(channels, channels) for _ in range(scales - 1)])
        self.shrink = nn.ModuleList([Separable(channels, channels, stride=2) for _ in range(scales - 1)])
        self.up = nn.ModuleList([Separable(channels, channels) for _ in range(scales - 1)])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps ``[N, C_i, H_i, W_i]``, finest first, to as many ``[N, channels, H_i, W_i]``."""
        sides = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        for at in range(len(sides) - 2, -1, -1):
            sides[at] = self.down[at](add_enlarged(sides[at], sides[at + 1]))
        for at in range(len(sides) - 1):
            sides[at + 1] = self.up[at](sides[at + 1] + self.shrink[at](sides[at]))
        return sides


class TaskAlignedHead(nn.Module):
    """The pyramid, and for each scale two towers: one says where the sides are, the other what it is.

    Gives ``[N, places, 4 + classes]``: distances of the sides left, top, right, bottom as `striate.ops.grids` decodes
    them, and a logit for each class, for all places of the finest map row by row, then of the next.
    """

    def __init__(self, in_channels: Sequence[int], classes: int, channels: int, depth: int) -> None:
        super().__init__()
        self.pyramid = Pyramid(in_channels, channels)
        towers = [[nn.Sequential(*[Separable(channels, channels) for _ in range(depth)]) for _ in in_channels]]
        towers.append([nn.Sequential(*[Separable(channels, channels) for _ in range(depth)]) for _ in in_channels])
        self.places, self.kinds = (nn.ModuleList(each) for each in towers)
        begin_he_(self)
        seldom = math.log(SEEN_AT_FIRST / (1 - SEEN_AT_FIRST))
        self.boxes = nn.ModuleList([plain_point(channels, 4, REACH_AT_FIRST) for _ in in_channels])
        self.classes = nn.ModuleList([plain_point(channels, classes, seldom) for _ in in_channels])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps ``[N, C_i, H_i, W_i]``, finest first."""
        found = []
        scales = zip(self.pyramid(maps), self.places, self.kinds, self.boxes, self.classes, strict=True)
        for x, place, kind, box, name in scales:
            numbers = torch.cat([box(place(x)), name(kind(x))], 1)
            found.append(numbers.flatten(2).transpose(1, 2))
        return torch.cat(found, 1)


def task_aligned(
    features: Sequence[FeatureInfo], *, classes: int, channels: int = 96, depth: int = 2
) -> TaskAlignedHead:
    """The head for a backbone's maps; ``channels`` is the pyramid's width, ``depth`` how many windows a tower has."""
    return TaskAlignedHead([info.channels for info in features], classes, channels, depth)
