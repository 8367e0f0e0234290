"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation and with ReLU6, for processors that like neither.

Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019, table 1; the Lite forms
have no paper, their code is tensorflow/tpu, ``efficientnet/lite/efficientnet_lite_builder.py``. Lite0 at 224:

======  =================================================  ==========
block   what                                               shape
======  =================================================  ==========
stem    convolution 3x3, stride 2                          32x112x112
stage1  1 unit 3x3, no expansion                           16x112x112
stage2  2 units 3x3, expansion 6, the first of stride 2    24x56x56
stage3  2 units 5x5, expansion 6, the first of stride 2    40x28x28
stage4  3 units 3x3, expansion 6, the first of stride 2    80x14x14
stage5  3 units 5x5, expansion 6                           112x14x14
stage6  4 units 5x5, expansion 6, the first of stride 2    192x7x7
stage7  1 unit 3x3, expansion 6                            320x7x7
stage8  convolution 1x1                                    1280x7x7
pool    mean of each map                                   1280
head    dropout, dense                                     1000
======  =================================================  ==========

Every padding is SAME: with symmetric ones the published weights lose 6.4 points of top-1. Wider and deeper forms
scale the rows; the stem, stage8 and the numbers of units in the first and last row stay as they are. Parameter names
are timm's, but for its ``blocks.0``, which is our ``stage1``.

Weights are He's (fan-out, counted within the groups), as in the original. Its dense layer, uniform within
1 / sqrt(classes), starts a handful of classes at a loss of several nats; ours is normal of deviation 0.01.
"""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from striate.layers import Conv2d, GlobalAveragePool, StochasticDepth, he_fan_out_
from striate.models.network import FeatureInfo, Network

STEM_CHANNELS, LAST_CHANNELS = 32, 1280


@dataclass(frozen=True, slots=True)
class Row:
    """One stage of the table: so many units of a depthwise window; stride is the first unit's."""

    units: int
    window: int
    stride: int
    expansion: int
    channels: int


@dataclass(frozen=True, slots=True)
class Scale:
    """One member of the family: factors of width and depth, the picture's size in pixels, and the dropout."""

    width: float
    depth: float
    size: int
    dropout: float


ROWS = (
    Row(1, 3, 1, 1, 16),
    Row(2, 3, 2, 6, 24),
    Row(2, 5, 2, 6, 40),
    Row(3, 3, 2, 6, 80),
    Row(3, 5, 1, 6, 112),
    Row(4, 5, 2, 6, 192),
    Row(1, 3, 1, 6, 320),
)
LITE0 = Scale(width=1.0, depth=1.0, size=224, dropout=0.2)


def scaled_rows(scale: Scale) -> tuple[Row, ...]:
    """The table at a scale: channels to the nearest eight (never below 90 %), units rounded up."""
    scaled = []
    for position, row in enumerate(ROWS):
        ends = position in (0, len(ROWS) - 1)
        units = row.units if ends else math.ceil(row.units * scale.depth)
        scaled.append(Row(units, row.window, row.stride, row.expansion, _eights(row.channels * scale.width)))
    return tuple(scaled)


def _eights(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _norm(channels: int) -> nn.BatchNorm2d:
    # TensorFlow's decay of 0.99 is torch's momentum of 0.01.
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SeparableUnit(nn.Module):
    """A depthwise window and a 1x1 convolution: the first stage's unit, which does not expand."""

    def __init__(self, in_channels: int, row: Row, stride: int, drop_rate: float) -> None:
        super().__init__()
        self.conv_dw = _depthwise(in_channels, row.window, stride)
        self.bn1 = _norm(in_channels)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_pw = Conv2d(in_channels, row.channels, 1, bias=False)
        self.bn2 = _norm(row.channels)
        self.drop = _residual(in_channels, row, stride, drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        y = self.act1(self.bn1(self.conv_dw(x)))
        y = self.bn2(self.conv_pw(y))
        return y if self.drop is None else self.drop(y) + x


class InvertedUnit(nn.Module):
    """1x1 to more channels, a depthwise window there, 1x1 back without activation; beside a shortcut if it fits.

    Sandler and others, "MobileNetV2", 2018, section 3.
    """

    def __init__(self, in_channels: int, row: Row, stride: int, drop_rate: float) -> None:
        super().__init__()
        wide = in_channels * row.expansion
        self.conv_pw = Conv2d(in_channels, wide, 1, bias=False)
        self.bn1 = _norm(wide)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_dw = _depthwise(wide, row.window, stride)
        self.bn2 = _norm(wide)
        self.act2 = nn.ReLU6(inplace=True)
        self.conv_pwl = Conv2d(wide, row.channels, 1, bias=False)
        self.bn3 = _norm(row.channels)
        self.drop = _residual(in_channels, row, stride, drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        y = self.act1(self.bn1(self.conv_pw(x)))
        y = self.act2(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return y if self.drop is None else self.drop(y) + x


def _depthwise(channels: int, window: int, stride: int) -> Conv2d:
    return Conv2d(channels, channels, window, stride=stride, groups=channels, padding="same", bias=False)


def _residual(in_channels: int, row: Row, stride: int, drop_rate: float) -> StochasticDepth | None:
    return StochasticDepth(drop_rate) if stride == 1 and in_channels == row.channels else None


class EfficientNetLite(Network):
    """A network of the family from its scale: ``[N, C, H, W]``, any size, to ``[N, classes]``.

    ``stochastic_depth`` is the drop rate that units approach towards the end (the original trains on ImageNet with
    0.2); 0 keeps every unit, which is right for fine-tuning on few pictures.
    """

    def __init__(self, scale: Scale, *, classes: int, in_channels: int, stochastic_depth: float = 0.0) -> None:
        rows = scaled_rows(scale)
        names = [f"stage{number}" for number in range(1, len(rows) + 1)]
        last = f"stage{len(rows) + 1}"
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={
                "stem": ("conv_stem", "bn1", "act1"),
                **{name: (name,) for name in names},
                last: ("conv_head", "bn2", "act2"),
                "pool": ("global_pool",),
                "head": ("dropout", "classifier"),
            },
            feature_info=_feature_info(rows),
        )
        self.conv_stem = Conv2d(in_channels, STEM_CHANNELS, 3, stride=2, padding="same", bias=False)
        self.bn1 = _norm(STEM_CHANNELS)
        self.act1 = nn.ReLU6(inplace=True)
        channels, done, total = STEM_CHANNELS, 0, sum(row.units for row in rows)
        for name, row in zip(names, rows, strict=True):
            units: list[nn.Module] = []
            kind = SeparableUnit if row.expansion == 1 else InvertedUnit
            for unit in range(row.units):
                units.append(kind(channels, row, row.stride if unit == 0 else 1, stochastic_depth * done / total))
                channels, done = row.channels, done + 1
            self.add_module(name, nn.Sequential(*units))
        self.conv_head = Conv2d(channels, LAST_CHANNELS, 1, bias=False)
        self.bn2 = _norm(LAST_CHANNELS)
        self.act2 = nn.ReLU6(inplace=True)
        self.global_pool = GlobalAveragePool()
        self.dropout = nn.Dropout(scale.dropout)
        self.classifier = nn.Linear(LAST_CHANNELS, classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, Conv2d):
                he_fan_out_(module.weight, module.groups)
        nn.init.normal_(self.classifier.weight, 0.0, 0.01)
        nn.init.zeros_(self.classifier.bias)


def _feature_info(rows: tuple[Row, ...]) -> tuple[FeatureInfo, ...]:
    """The last stage at each stride."""
    infos, stride = [], 2
    for position, row in enumerate(rows):
        stride *= row.stride
        if position + 1 == len(rows) or rows[position + 1].stride > 1:
            infos.append(FeatureInfo(f"stage{position + 1}", row.channels, stride))
    return tuple(infos)


def efficientnet_lite0(*, classes: int, in_channels: int, stochastic_depth: float = 0.0) -> EfficientNetLite:
    """EfficientNet-Lite0: 4,652,008 parameters for 1,000 classes."""
    return EfficientNetLite(LITE0, classes=classes, in_channels=in_channels, stochastic_depth=stochastic_depth)
