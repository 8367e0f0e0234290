"""Xception: depthwise separable convolutions beside shortcuts.

Chollet, "Xception: deep learning with depthwise separable convolutions", 2017, figure 5. At 299:

======  ======================================================================  ===========
block   what                                                                    shape
======  ======================================================================  ===========
stem    convolutions 3x3 VALID, 32 of stride 2 and 64                           64x147x147
stage1  block1: 2 separable 128, pool 3x3 of stride 2                           128x74x74
stage2  block2: 2 separable 256, pool                                           256x37x37
stage3  block3: 2 separable 728, pool; block4 to block11: 3 separable 728 each  728x19x19
stage4  block12: separable 728 and 1024, pool                                   1024x10x10
stage5  separable 1536 and 2048                                                 2048x10x10
pool    mean of each map                                                        2048
head    dropout, dense                                                          1000
======  ======================================================================  ===========

All separable windows are 3x3 SAME, pools SAME. The shortcut is a 1x1 convolution of stride 2 where the shape changes,
else the input as it is. Every convolution, of separable ones the whole, is followed by a batch norm (eps 1e-3).

Paddings and norms are those of the author's own code, Keras applications; the dropout of 0.5 is the paper's (section
4.3). Parameter names are those of timm's ``legacy_xception``, which counts the blocks from the first unit (Keras'
``block2`` is its ``block1``), and pads its pools symmetrically: another network wherever a pool reads an even size (at
299, ``block2``'s). The paper states no initialisation; weights are He's (fan-out, counted within the groups).
"""

from dataclasses import dataclass

from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, GlobalAveragePool, MaxPool2d, begin_he_
from striate.models.network import FeatureInfo, Network
from striate.ops.batch_normalization import Activation

STEM_CHANNELS, LAST_CHANNELS = (32, 64), (1536, 2048)


@dataclass(frozen=True, slots=True)
class Row:
    """So many units of equal separable convolutions, with their channels; ``stride`` is that of the pool behind them.

    A ReLU stands before every convolution, but not before the very first, which reads what has passed one.
    """

    units: int
    channels: tuple[int, ...]
    stride: int
    begins_with_relu: bool = True


ROWS = (
    Row(1, (128, 128), 2, begins_with_relu=False),
    Row(1, (256, 256), 2),
    Row(1, (728, 728), 2),
    Row(8, (728, 728, 728), 1),
    Row(1, (728, 1024), 2),
)


def _norm(channels: int, act: Activation = "none") -> BatchNormAct2d:
    # Keras' momentum of 0.99 is torch's of 0.01.
    return BatchNormAct2d(channels, eps=1e-3, momentum=0.01, act=act)


class SeparableConvolution(nn.Module):
    """A depthwise window 3x3 and a 1x1 convolution, nothing between them."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, in_channels, 3, groups=in_channels, padding="same", bias=False)
        self.pointwise = Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H, W]``."""
        return self.pointwise(self.conv1(x))


class XceptionUnit(nn.Module):
    """Separable convolutions, and a pool if the unit has a stride, beside a shortcut."""

    def __init__(self, in_channels: int, row: Row) -> None:
        super().__init__()
        self.skip: nn.Module | None = None
        self.skipbn: nn.Module | None = None
        if row.stride != 1 or in_channels != row.channels[-1]:
            self.skip = Conv2d(in_channels, row.channels[-1], 1, stride=row.stride, bias=False)
            self.skipbn = _norm(row.channels[-1])
        # The first ReLU leaves its input alone: the shortcut reads that too.
        steps: list[nn.Module] = [nn.ReLU()] if row.begins_with_relu else []
        for position, channels in enumerate(row.channels, start=1):
            steps += [SeparableConvolution(in_channels, channels)]
            # The norms do the ReLUs between; weights are numbered as if those were steps of their own.
            steps += [_norm(channels, "relu"), nn.Identity()] if position < len(row.channels) else [_norm(channels)]
            in_channels = channels
        self.rep = nn.Sequential(*steps)
        self.pool = None if row.stride == 1 else MaxPool2d(3, stride=row.stride, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        shortcut = x if self.skip is None or self.skipbn is None else self.skipbn(self.skip(x))
        *steps, norm = self.rep
        for step in steps:
            x = step(x)
        return norm(x, residual=shortcut) if self.pool is None else self.pool(norm(x)) + shortcut


class Xception(Network):
    """The network from its table: ``[N, C, H, W]`` of 7x7 and more to ``[N, classes]``."""

    def __init__(self, rows: tuple[Row, ...], *, classes: int, in_channels: int) -> None:
        stages, infos = _stages(rows)
        last = f"stage{len(stages) + 1}"
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={
                "stem": ("conv1", "bn1", "conv2", "bn2"),
                **stages,
                last: ("conv3", "bn3", "conv4", "bn4"),
                "pool": ("global_pool",),
                "head": ("dropout", "fc"),
            },
            feature_info=(
                FeatureInfo("stem", STEM_CHANNELS[1], 2),
                *infos[:-1],
                FeatureInfo(last, LAST_CHANNELS[1], infos[-1].stride),
            ),
            smallest=(7, 7),
        )
        self.conv1 = Conv2d(in_channels, STEM_CHANNELS[0], 3, stride=2, bias=False)
        self.bn1 = _norm(STEM_CHANNELS[0], "relu")
        self.conv2 = Conv2d(STEM_CHANNELS[0], STEM_CHANNELS[1], 3, bias=False)
        self.bn2 = _norm(STEM_CHANNELS[1], "relu")
        channels, number = STEM_CHANNELS[1], 0
        for row in rows:
            for _ in range(row.units):
                number += 1
                self.add_module(f"block{number}", XceptionUnit(channels, row))
                channels = row.channels[-1]
        self.conv3 = SeparableConvolution(channels, LAST_CHANNELS[0])
        self.bn3 = _norm(LAST_CHANNELS[0], "relu")
        self.conv4 = SeparableConvolution(LAST_CHANNELS[0], LAST_CHANNELS[1])
        self.bn4 = _norm(LAST_CHANNELS[1], "relu")
        self.global_pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(LAST_CHANNELS[1], classes)
        begin_he_(self)


def _stages(rows: tuple[Row, ...]) -> tuple[dict[str, tuple[str, ...]], list[FeatureInfo]]:
    """Every unit with a stride begins a stage; each stage's units, and its map."""
    stages: dict[str, tuple[str, ...]] = {}
    infos: list[FeatureInfo] = []
    number, stride = 0, 2
    for row in rows:
        units = tuple(f"block{number + unit}" for unit in range(1, row.units + 1))
        number += row.units
        if row.stride == 1:
            stages[infos[-1].name] += units
            continue
        stride *= row.stride
        infos.append(FeatureInfo(f"stage{len(stages) + 1}", row.channels[-1], stride))
        stages[infos[-1].name] = units
    return stages, infos


def xception(*, classes: int, in_channels: int) -> Xception:
    """Xception: 22,855,952 parameters for 1,000 classes."""
    return Xception(ROWS, classes=classes, in_channels=in_channels)
