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
scale the rows; the stem, stage8 and the numbers of units in the first and last row stay as they are. The units, and
what makes a network of rows, are MobileNetV2's. Parameter names are timm's, but for its ``blocks.0``, which is our
``stage1``.

Weights are He's (fan-out, counted within the groups), as in the original. Its dense layer, uniform within
1 / sqrt(classes), starts a handful of classes at a loss of several nats; ours is normal of deviation 0.01.
"""

import math
from dataclasses import dataclass
from functools import partial

from striate.layers import BatchNormAct2d
from striate.models.mobilenet_v2 import MobileNetV2, Row


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
LITE1 = Scale(width=1.0, depth=1.1, size=240, dropout=0.2)
LITE2 = Scale(width=1.1, depth=1.2, size=260, dropout=0.3)
LITE3 = Scale(width=1.2, depth=1.4, size=280, dropout=0.3)
LITE4 = Scale(width=1.4, depth=1.8, size=300, dropout=0.3)


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


class EfficientNetLite(MobileNetV2):
    """A network of the family from its scale: ``[N, C, H, W]``, any size, to ``[N, classes]``.

    ``stochastic_depth`` is the drop rate that units approach towards the end (the original trains on ImageNet with
    0.2); 0 keeps every unit, which is right for fine-tuning on few pictures.
    """

    def __init__(self, scale: Scale, *, classes: int, in_channels: int, stochastic_depth: float = 0.0) -> None:
        super().__init__(
            scaled_rows(scale),
            classes=classes,
            in_channels=in_channels,
            padding="same",
            # TensorFlow's decay of 0.99 is torch's momentum of 0.01.
            norm=partial(BatchNormAct2d, eps=1e-3, momentum=0.01),
            dropout=scale.dropout,
            stochastic_depth=stochastic_depth,
        )


def efficientnet_lite0(*, classes: int, in_channels: int, stochastic_depth: float = 0.0) -> EfficientNetLite:
    """EfficientNet-Lite0: 4,652,008 parameters for 1,000 classes."""
    return EfficientNetLite(LITE0, classes=classes, in_channels=in_channels, stochastic_depth=stochastic_depth)


def efficientnet_lite1(*, classes: int, in_channels: int, stochastic_depth: float = 0.0) -> EfficientNetLite:
    """EfficientNet-Lite1: 5,416,680 parameters for 1,000 classes."""
    return EfficientNetLite(LITE1, classes=classes, in_channels=in_channels, stochastic_depth=stochastic_depth)


def efficientnet_lite2(*, classes: int, in_channels: int, stochastic_depth: float = 0.0) -> EfficientNetLite:
    """EfficientNet-Lite2: 6,092,072 parameters for 1,000 classes."""
    return EfficientNetLite(LITE2, classes=classes, in_channels=in_channels, stochastic_depth=stochastic_depth)


def efficientnet_lite3(*, classes: int, in_channels: int, stochastic_depth: float = 0.0) -> EfficientNetLite:
    """EfficientNet-Lite3: 8,197,096 parameters for 1,000 classes."""
    return EfficientNetLite(LITE3, classes=classes, in_channels=in_channels, stochastic_depth=stochastic_depth)


def efficientnet_lite4(*, classes: int, in_channels: int, stochastic_depth: float = 0.0) -> EfficientNetLite:
    """EfficientNet-Lite4: 13,006,568 parameters for 1,000 classes."""
    return EfficientNetLite(LITE4, classes=classes, in_channels=in_channels, stochastic_depth=stochastic_depth)
