"""MobileNetV2: units that widen, look through depthwise windows, and narrow again without an activation.

Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks", 2018, table 2. At
224:

======  =================================================  ==========
block   what                                               shape
======  =================================================  ==========
stem    convolution 3x3, stride 2                          32x112x112
stage1  1 unit, no expansion                               16x112x112
stage2  2 units, expansion 6, the first of stride 2        24x56x56
stage3  3 units, expansion 6, the first of stride 2        32x28x28
stage4  4 units, expansion 6, the first of stride 2        64x14x14
stage5  3 units, expansion 6                               96x14x14
stage6  3 units, expansion 6, the first of stride 2        160x7x7
stage7  1 unit, expansion 6                                320x7x7
stage8  convolution 1x1                                    1280x7x7
pool    mean of each map                                   1280
head    dropout, dense                                     1000
======  =================================================  ==========

There are two of it, of equal parameters. ``mobilenet_v2`` has PyTorch's paddings (symmetric) and batch norms (eps
1e-5), ``mobilenet_v2_same`` TensorFlow's: SAME, eps 1e-3, and running statistics that move by a thousandth a step.
Weights trained with one padding lose several points of top-1 with the other. Whoever trains from scratch for less than
some thousand steps takes ``mobilenet_v2``: the statistics of the other still stand near their start then.

The paper's first unit has an expansion of 1; its 1x1 convolution before the depthwise one is left out, as everybody
does. Parameter names are timm's, but for its ``blocks.0``, which is our ``stage1``. The paper states no initialisation;
weights are He's (fan-out, counted within the groups), the dense layer normal of deviation 0.01.
"""

from dataclasses import dataclass
from functools import partial
from typing import Protocol

from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, GlobalAveragePool, StochasticDepth, begin_he_
from striate.models.network import FeatureInfo, Network
from striate.ops.axes import Paddings
from striate.ops.batch_normalization import Activation

STEM_CHANNELS, LAST_CHANNELS = 32, 1280


@dataclass(frozen=True, slots=True)
class Row:
    """One stage of the table: so many units of a depthwise window; stride is the first unit's."""

    units: int
    window: int
    stride: int
    expansion: int
    channels: int


ROWS = (
    Row(1, 3, 1, 1, 16),
    Row(2, 3, 2, 6, 24),
    Row(3, 3, 2, 6, 32),
    Row(4, 3, 2, 6, 64),
    Row(3, 3, 1, 6, 96),
    Row(3, 3, 2, 6, 160),
    Row(1, 3, 1, 6, 320),
)


class Norm(Protocol):
    """What makes the norm of so many channels, with the activation behind it."""

    def __call__(self, channels: int, *, act: Activation = "none") -> BatchNormAct2d:
        """The norm."""
        ...


@dataclass(frozen=True, slots=True)
class Style:
    """What ports of one table disagree on: the padding of every window, and the norms."""

    padding: Paddings
    norm: Norm


class SeparableUnit(nn.Module):
    """A depthwise window and a 1x1 convolution: the first stage's unit, which does not expand."""

    def __init__(self, in_channels: int, row: Row, stride: int, style: Style, drop_rate: float) -> None:
        super().__init__()
        self.conv_dw = _depthwise(in_channels, row.window, stride, style.padding)
        self.bn1 = style.norm(in_channels, act="relu6")
        self.conv_pw = Conv2d(in_channels, row.channels, 1, bias=False)
        self.bn2 = style.norm(row.channels)
        self.drop = _residual(in_channels, row, stride, drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        y = self.conv_pw(self.bn1(self.conv_dw(x)))
        return _joined(self.bn2, y, self.drop, x)


class InvertedUnit(nn.Module):
    """1x1 to more channels, a depthwise window there, 1x1 back without activation; beside a shortcut if it fits.

    The paper's section 3. ``drop_rate`` is for stochastic depth, which came later.
    """

    def __init__(self, in_channels: int, row: Row, stride: int, style: Style, drop_rate: float) -> None:
        super().__init__()
        wide = in_channels * row.expansion
        self.conv_pw = Conv2d(in_channels, wide, 1, bias=False)
        self.bn1 = style.norm(wide, act="relu6")
        self.conv_dw = _depthwise(wide, row.window, stride, style.padding)
        self.bn2 = style.norm(wide, act="relu6")
        self.conv_pwl = Conv2d(wide, row.channels, 1, bias=False)
        self.bn3 = style.norm(row.channels)
        self.drop = _residual(in_channels, row, stride, drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        y = self.conv_dw(self.bn1(self.conv_pw(x)))
        y = self.conv_pwl(self.bn2(y))
        return _joined(self.bn3, y, self.drop, x)


def _depthwise(channels: int, window: int, stride: int, padding: Paddings) -> Conv2d:
    return Conv2d(channels, channels, window, stride=stride, groups=channels, padding=padding, bias=False)


def _joined(norm: BatchNormAct2d, branch: Tensor, drop: StochasticDepth | None, shortcut: Tensor) -> Tensor:
    """The end of a unit: the branch's norm and, unless ``drop`` is None, the shortcut."""
    if drop is None:
        return norm(branch)
    return drop(norm(branch)) + shortcut if drop.drops else norm(branch, residual=shortcut)


def _residual(in_channels: int, row: Row, stride: int, drop_rate: float) -> StochasticDepth | None:
    return StochasticDepth(drop_rate) if stride == 1 and in_channels == row.channels else None


class MobileNetV2(Network):
    """A network of inverted units from its table: ``[N, C, H, W]``, any size, to ``[N, classes]``.

    ``padding`` is that of every window and ``norm`` makes the norm of so many channels. ``stochastic_depth`` is the
    drop rate that units approach towards the end; 0 keeps every unit.
    """

    def __init__(
        self,
        rows: tuple[Row, ...],
        *,
        classes: int,
        in_channels: int,
        padding: Paddings,
        norm: Norm,
        dropout: float,
        stochastic_depth: float = 0.0,
    ) -> None:
        names = [f"stage{number}" for number in range(1, len(rows) + 1)]
        last = f"stage{len(rows) + 1}"
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={
                "stem": ("conv_stem", "bn1"),
                **{name: (name,) for name in names},
                last: ("conv_head", "bn2"),
                "pool": ("global_pool",),
                "head": ("dropout", "classifier"),
            },
            feature_info=_feature_info(rows),
        )
        self.conv_stem = Conv2d(in_channels, STEM_CHANNELS, 3, stride=2, padding=padding, bias=False)
        self.bn1 = norm(STEM_CHANNELS, act="relu6")
        style, channels, done, total = Style(padding, norm), STEM_CHANNELS, 0, sum(row.units for row in rows)
        for name, row in zip(names, rows, strict=True):
            units: list[nn.Module] = []
            kind = SeparableUnit if row.expansion == 1 else InvertedUnit
            for unit in range(row.units):
                stride = row.stride if unit == 0 else 1
                units.append(kind(channels, row, stride, style, stochastic_depth * done / total))
                channels, done = row.channels, done + 1
            self.add_module(name, nn.Sequential(*units))
        self.conv_head = Conv2d(channels, LAST_CHANNELS, 1, bias=False)
        self.bn2 = norm(LAST_CHANNELS, act="relu6")
        self.global_pool = GlobalAveragePool()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(LAST_CHANNELS, classes)
        begin_he_(self)


def _feature_info(rows: tuple[Row, ...]) -> tuple[FeatureInfo, ...]:
    """The last stage at each stride."""
    infos, stride = [], 2
    for position, row in enumerate(rows):
        stride *= row.stride
        if position + 1 == len(rows) or rows[position + 1].stride > 1:
            infos.append(FeatureInfo(f"stage{position + 1}", row.channels, stride))
    return tuple(infos)


def mobilenet_v2(*, classes: int, in_channels: int) -> MobileNetV2:
    """MobileNetV2 as in PyTorch, symmetric paddings: 3,504,872 parameters for 1,000 classes."""
    return MobileNetV2(
        ROWS, classes=classes, in_channels=in_channels, padding="symmetric", norm=BatchNormAct2d, dropout=0.2
    )


def mobilenet_v2_same(*, classes: int, in_channels: int) -> MobileNetV2:
    """MobileNetV2 as in TensorFlow, SAME paddings: 3,504,872 parameters for 1,000 classes."""
    # Keras' momentum of 0.999 is torch's of 0.001.
    norm = partial(BatchNormAct2d, eps=1e-3, momentum=0.001)
    return MobileNetV2(ROWS, classes=classes, in_channels=in_channels, padding="same", norm=norm, dropout=0.2)
