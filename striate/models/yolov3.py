"""YOLOv3's head on three scales of any backbone, whole with Darknet-53, and the tiny one; one grid with its head.

Redmon and Farhadi, "YOLOv3: an incremental improvement", 2018, section 2.3; the layers are those of the authors'
``yolov3.cfg`` and ``yolov3-tiny.cfg``. From the coarsest map on, each scale has windows of 1x1 and 3x3 in turns, a last
window of 3x3, and a 1x1 convolution that says the numbers. What comes before the last window also goes, narrowed and
enlarged, to the next finer scale, beside the backbone's map. Layers stand in the order of darknet's files.

The head of one grid (`yolo_grid`) is one such scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.layers import Conv2d, MaxPool2d, begin_he_
from striate.models.darknet53 import convolution, darknet53
from striate.models.headed import Headed
from striate.models.network import FeatureInfo, Network

SEEN_AT_FIRST = 0.01
"""How sure of an object each place is at first (Lin et al., "Focal loss", 2017, section 4.1): most show none."""
ANCHORS = 3
"""Of each scale."""
GRID_ANCHORS = 5
"""Of the one grid (Redmon and Farhadi, "YOLO9000", CVPR 2017, section 2)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One scale: the channels of its 1x1 windows (its 3x3 have twice as many), and how many windows come first."""

    channels: int
    windows: int


YOLOV3 = (Row(128, 5), Row(256, 5), Row(512, 5))
TINY = (Row(128, 0), Row(256, 1))
GRID = (Row(512, 3),)
NARROWEST = 32

# On a trained backbone a head learns in a few hundred steps, for which darknet's running statistics are too slow: after
# 4 epochs of 160 raccoons AP50 was 0.34 with theirs and 0.49 with torch's.
_window = partial(convolution, momentum=0.1)


class Scale(nn.Module):
    """One scale: what it takes from the coarser one, its windows, and the numbers of its cells."""

    def __init__(self, in_channels: int, row: Row, numbers: int, coarser: int | None) -> None:
        super().__init__()
        if coarser is not None:
            self.lateral = _window(coarser, coarser // 2, 1)
            in_channels += coarser // 2
        self.windows = nn.Sequential()
        for number in range(row.windows):
            window, channels = (3, 2 * row.channels) if number % 2 else (1, row.channels)
            self.windows.append(_window(in_channels, channels, window))
            in_channels = channels
        self.last = _window(in_channels, 2 * row.channels, 3)
        self.numbers = Conv2d(2 * row.channels, numbers, 1)

    def forward(self, x: Tensor, coarser: Tensor | None) -> tuple[Tensor, Tensor]:
        """A map ``[N, C, H, W]`` and the coarser scale's, to what the next scale takes and ``[N, numbers, H, W]``."""
        if coarser is not None:
            x = torch.cat([F.interpolate(self.lateral(coarser), size=x.shape[2:], mode="nearest"), x], 1)
        x = self.windows(x)
        return x, self.numbers(self.last(x))


class YoloHead(nn.Module):
    """The scales, of which the coarsest is first; ``rows`` and ``in_channels`` are given finest first.

    Gives ``[N, places, numbers]``, the places of the finest map first, its cells row by row, and in each cell
    ``places`` of them, one after the other. ``objectness`` are those of a place's numbers that say how sure it is of an
    object.
    """

    def __init__(
        self, in_channels: Sequence[int], rows: Sequence[Row], *, numbers: int, places: int, objectness: Sequence[int]
    ) -> None:
        super().__init__()
        self.places, self.scales = places, nn.ModuleList()
        coarser = None
        for channels, row in zip(reversed(in_channels), reversed(rows), strict=True):
            self.scales.append(Scale(channels, row, places * numbers, coarser))
            coarser = row.channels
        begin_he_(self)
        for scale in self.scales:
            last = cast("Scale", scale).numbers
            nn.init.normal_(last.weight, std=0.01)
            with torch.no_grad():
                cast("Tensor", last.bias).view(places, numbers)[:, objectness] = math.log(
                    SEEN_AT_FIRST / (1 - SEEN_AT_FIRST)
                )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps ``[N, C_i, H_i, W_i]``, finest first."""
        found: list[Tensor] = []
        x = None
        for scale, each in zip(self.scales, reversed(maps), strict=True):
            x, numbers = scale(each, x)
            cells = numbers.permute(0, 2, 3, 1)
            found.insert(0, cells.reshape(len(cells), -1, numbers.shape[1] // self.places))
        return torch.cat(found, 1)


def yolov3_head(features: Sequence[FeatureInfo], *, classes: int) -> YoloHead:
    """The head for a backbone's maps: as wide as with Darknet-53 at most, and half as wide as the maps."""
    return _anchored(features, _fitting(YOLOV3, features), classes)


def yolo_grid(features: Sequence[FeatureInfo], *, classes: int) -> YoloHead:
    """The head of one grid for a backbone's last map: 5 numbers for each of five anchors, and the classes once."""
    numbers = 5 * GRID_ANCHORS + classes
    objectness = range(4, 5 * GRID_ANCHORS, 5)
    channels = [info.channels for info in features]
    return YoloHead(channels, _fitting(GRID, features), numbers=numbers, places=1, objectness=objectness)


def yolov3(*, classes: int, in_channels: int) -> Headed:
    """YOLOv3 whole: 61,949,149 parameters for 80 classes."""
    backbone = darknet53(classes=1, in_channels=in_channels)
    features = backbone.feature_info[-len(YOLOV3) :]
    return Headed(backbone, _anchored(features, YOLOV3, classes), features=features, classes=classes)


def yolov3_tiny(*, classes: int, in_channels: int) -> Headed:
    """YOLOv3-tiny: 8,852,366 parameters for 80 classes."""
    backbone = TinyBackbone(in_channels)
    features = backbone.feature_info[-len(TINY) :]
    return Headed(backbone, _anchored(features, TINY, classes), features=features, classes=classes)


class TinyBackbone(Network):
    """What YOLOv3-tiny stands on: windows of 3x3 with max pools before them, the last of which keeps the size."""

    def __init__(self, in_channels: int) -> None:
        names = ("stem", "stage1", "stage2", "stage3", "stage4", "stage5")
        infos = tuple(FeatureInfo(name, 16 << at, 1 << at) for at, name in enumerate(names[:-1]))
        super().__init__(
            classes=1,
            in_channels=in_channels,
            blocks={"stem": ("stem.conv", "stem.bn", "stem.act"), **{name: (name,) for name in names[1:]}},
            feature_info=(*infos, FeatureInfo("stage5", 1024, 32)),
        )
        self.stem = convolution(in_channels, 16, 3)
        for at, name in enumerate(names[1:]):
            parts = [MaxPool2d(2, stride=2, padding="same"), convolution(16 << at, 32 << at, 3)]
            if name == names[-1]:
                parts += [MaxPool2d(2, stride=1, padding="same"), convolution(512, 1024, 3)]
            self.add_module(name, nn.Sequential(*parts))
        begin_he_(self)


def _anchored(features: Sequence[FeatureInfo], rows: Sequence[Row], classes: int) -> YoloHead:
    channels = [info.channels for info in features]
    return YoloHead(channels, rows, numbers=5 + classes, places=ANCHORS, objectness=[4])


def _fitting(rows: Sequence[Row], features: Sequence[FeatureInfo]) -> list[Row]:
    """The rows, narrower on a backbone that is narrower than Darknet-53."""
    widths = [max(NARROWEST, info.channels // 2) for info in features]
    return [Row(min(row.channels, width), row.windows) for row, width in zip(rows, widths, strict=True)]
