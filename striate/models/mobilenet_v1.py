"""MobileNetV1: every window depthwise, every mixing of channels 1x1.

Howard and others, "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017, table 1.
At 224 and width 1:

======  ==========================================  ==========
block   what                                        shape
======  ==========================================  ==========
stem    convolution 3x3, stride 2                   32x112x112
stage1  1 unit                                      64x112x112
stage2  2 units, the first of stride 2              128x56x56
stage3  2 units, the first of stride 2              256x28x28
stage4  6 units, the first of stride 2              512x14x14
stage5  2 units, the first of stride 2              1024x7x7
pool    mean of each map                            1024
head    dropout, dense                              1000
======  ==========================================  ==========

Narrower forms multiply all channels by 0.75, 0.5 or 0.25 (the paper's width multiplier). The table of the paper gives
its last depthwise window a stride of 2 and leaves its shape at 7x7; the stride is 1.

As in the authors' TensorFlow code: SAME paddings (``mobilenet_v1_symmetric`` has those of the weights that were trained
in Caffe and PyTorch), ReLU6 where the paper says ReLU, batch norm of eps 1e-3. Keras pads
windows of stride 2 by (0, 1) whatever the size, which is SAME as long as sizes are even, so at multiples of 32. Its
last layer is a 1x1 convolution on the one place that the mean leaves; ours is a dense layer of the same numbers. The
paper states no initialisation; weights are He's (fan-out, counted within the groups).
"""

from dataclasses import dataclass

from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, GlobalAveragePool, begin_he_
from striate.models.network import FeatureInfo, Network
from striate.ops.axes import Paddings

STEM_CHANNELS = 32


@dataclass(frozen=True, slots=True)
class Row:
    """One stage of the table: so many units, their channels, and the stride of the first."""

    units: int
    channels: int
    stride: int


ROWS = (Row(1, 64, 1), Row(2, 128, 2), Row(2, 256, 2), Row(6, 512, 2), Row(2, 1024, 2))


def scaled_rows(width: float) -> tuple[Row, ...]:
    """The table with all channels times ``width``."""
    return tuple(Row(row.units, int(row.channels * width), row.stride) for row in ROWS)


def _norm(channels: int) -> BatchNormAct2d:
    # Keras' momentum of 0.99 is torch's of 0.01.
    return BatchNormAct2d(channels, eps=1e-3, momentum=0.01, act="relu6")


class DepthwiseSeparableUnit(nn.Module):
    """A depthwise window and a 1x1 convolution, each with a norm and an activation (the paper's figure 3, right)."""

    def __init__(self, in_channels: int, channels: int, stride: int, padding: Paddings) -> None:
        super().__init__()
        self.conv_dw = Conv2d(
            in_channels, in_channels, 3, stride=stride, groups=in_channels, padding=padding, bias=False
        )
        self.bn1 = _norm(in_channels)
        self.conv_pw = Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = _norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        x = self.bn1(self.conv_dw(x))
        return self.bn2(self.conv_pw(x))


class MobileNetV1(Network):
    """The network at a width: ``[N, C, H, W]``, any size, to ``[N, classes]``."""

    def __init__(self, width: float, *, classes: int, in_channels: int, padding: Paddings = "same") -> None:
        rows = scaled_rows(width)
        names = [f"stage{number}" for number in range(1, len(rows) + 1)]
        infos, stride = [], 2
        for name, row in zip(names, rows, strict=True):
            stride *= row.stride
            infos.append(FeatureInfo(name, row.channels, stride))
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={
                "stem": ("conv_stem", "bn1"),
                **{name: (name,) for name in names},
                "pool": ("global_pool",),
                "head": ("dropout", "classifier"),
            },
            feature_info=tuple(infos),
        )
        channels = int(STEM_CHANNELS * width)
        self.conv_stem = Conv2d(in_channels, channels, 3, stride=2, padding=padding, bias=False)
        self.bn1 = _norm(channels)
        for name, row in zip(names, rows, strict=True):
            units = []
            for unit in range(row.units):
                stride = row.stride if unit == 0 else 1
                units.append(DepthwiseSeparableUnit(channels, row.channels, stride, padding))
                channels = row.channels
            self.add_module(name, nn.Sequential(*units))
        self.global_pool = GlobalAveragePool()
        self.dropout = nn.Dropout(1e-3)
        self.classifier = nn.Linear(channels, classes)
        begin_he_(self)


def mobilenet_v1(*, classes: int, in_channels: int) -> MobileNetV1:
    """MobileNetV1 at width 1: 4,231,976 parameters for 1,000 classes."""
    return MobileNetV1(1.0, classes=classes, in_channels=in_channels)


def mobilenet_v1_symmetric(*, classes: int, in_channels: int) -> MobileNetV1:
    """MobileNetV1 at width 1 with symmetric paddings: 4,231,976 parameters for 1,000 classes."""
    return MobileNetV1(1.0, classes=classes, in_channels=in_channels, padding="symmetric")


def mobilenet_v1_075(*, classes: int, in_channels: int) -> MobileNetV1:
    """MobileNetV1 at width 0.75: 2,585,560 parameters for 1,000 classes."""
    return MobileNetV1(0.75, classes=classes, in_channels=in_channels)


def mobilenet_v1_050(*, classes: int, in_channels: int) -> MobileNetV1:
    """MobileNetV1 at width 0.5: 1,331,592 parameters for 1,000 classes."""
    return MobileNetV1(0.5, classes=classes, in_channels=in_channels)


def mobilenet_v1_025(*, classes: int, in_channels: int) -> MobileNetV1:
    """MobileNetV1 at width 0.25: 470,072 parameters for 1,000 classes."""
    return MobileNetV1(0.25, classes=classes, in_channels=in_channels)
