"""GoogLeNet: nine modules that look at each map through windows of several sizes at once.

Szegedy and others, "Going deeper with convolutions", 2015, table 1 and section 5. At 224:

=======  ======================================================  ==========
block    what                                                    shape
=======  ======================================================  ==========
stem     convolution 7x7, stride 2                               64x112x112
stage2   max pool 3x3, stride 2; convolutions 1x1, 3x3           192x56x56
stage3   max pool 3x3, stride 2; modules 3a, 3b                  480x28x28
stage4a  max pool 3x3, stride 2; module 4a (read by aux1)        512x14x14
stage4d  modules 4b, 4c, 4d (read by aux2)                       528x14x14
stage4e  module 4e                                               832x14x14
stage5   max pool 3x3, stride 2; modules 5a, 5b                  1024x7x7
pool     mean of each map                                        1024
head     dropout, dense                                          1000
=======  ======================================================  ==========

``googlenet`` is the published network: biases and no batch norm, 5x5 windows, local response norms behind the first
pool and behind the 3x3 convolution before the second (their numbers are those of Caffe's GoogLeNet, as the paper says
none). Pools add no padding and give pixels left over a window of their own ("ceil"). The auxiliary heads take
means of 5x5 windows, stride 3, of which a map of 14x14 has 4x4; see `published_spans` for maps of other sizes.

``googlenet_bn`` is torchvision's network, whose weights are the ones about. It differs from the paper in batch norm
(eps 0.001) in place of biases and response norms; a 3x3 window where the paper has 5x5; a window of 2x2 in the fourth
pool; auxiliary heads that take 4x4 means of any map by spans of their own; a dropout of 0.2 instead of 0.4.

Parameter names of both are torchvision's, except that there is no ``bn`` where the convolution has a bias. The paper
says nothing of the first weights. Ours are He's by fan-in, which keeps the size of what 22 layers hand on, for without
norms nothing else does; by fan-out the narrow 1x1 convolutions would enlarge it more than tenfold. The last dense
layers are normal of deviation 0.01, a quarter of He's, so that answers begin small. Without norms the published network
wants low rates: with momentum it learns at 0.01, or at 0.05 with its gradients clipped, where ``googlenet_bn`` needs
neither.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, GlobalAveragePool, LocalResponseNorm, MaxPool2d, SqueezeExcite
from striate.models.network import FeatureInfo, Network
from striate.ops.normalization import ResponseNorm

Spans = Callable[[int], tuple[slice, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """One inception module: the channels of its four branches, those before the large windows ("reduce") included."""

    name: str
    ones: int
    reduce3: int
    threes: int
    reduce5: int
    fives: int
    pooled: int

    @property
    def channels(self) -> int:
        """Of the branches side by side."""
        return self.ones + self.threes + self.fives + self.pooled


MODULES = (
    Row("inception3a", 64, 96, 128, 16, 32, 32),
    Row("inception3b", 128, 128, 192, 32, 96, 64),
    Row("inception4a", 192, 96, 208, 16, 48, 64),
    Row("inception4b", 160, 112, 224, 24, 64, 64),
    Row("inception4c", 128, 128, 256, 24, 64, 64),
    Row("inception4d", 112, 144, 288, 32, 64, 64),
    Row("inception4e", 256, 160, 320, 32, 128, 128),
    Row("inception5a", 256, 160, 320, 32, 128, 128),
    Row("inception5b", 384, 192, 384, 48, 128, 128),
)
BLOCKS = {
    "stem": ("conv1.conv", "conv1.bn", "conv1.act"),
    "stage2": ("maxpool1", "norm1", "conv2", "conv3", "norm2"),
    "stage3": ("maxpool2", "inception3a", "inception3b"),
    "stage4a": ("maxpool3", "inception4a"),
    "stage4d": ("inception4b", "inception4c", "inception4d"),
    "stage4e": ("inception4e",),
    "stage5": ("maxpool4", "inception5a", "inception5b"),
    "pool": ("avgpool",),
    "head": ("dropout", "fc"),
}
AUXILIARY = {"stage4a": "aux1", "stage4d": "aux2"}
FEATURES = (
    FeatureInfo("stem", 64, 2),
    FeatureInfo("stage2", 192, 4),
    FeatureInfo("stage3", 480, 8),
    FeatureInfo("stage4e", 832, 16),
    FeatureInfo("stage5", 1024, 32),
)


def published_spans(size: int) -> tuple[slice, ...]:
    """The paper's windows of the auxiliary heads, along an axis of 14: four of 5 with a stride of 3.

    Other sizes have four equal windows too, which cover all places: ``size // 4`` apart, and as long as it then takes.

    Example:
        >>> [(span.start, span.stop) for span in published_spans(14)]
        [(0, 5), (3, 8), (6, 11), (9, 14)]
    """
    stride = size // 4
    return tuple(slice(i * stride, size - (3 - i) * stride) for i in range(4))


def adaptive_spans(size: int) -> tuple[slice, ...]:
    """The "adaptive" windows of torch: each quarter of the axis, rounded outwards to whole places.

    Example:
        >>> [(span.start, span.stop) for span in adaptive_spans(14)]
        [(0, 4), (3, 7), (7, 11), (10, 14)]
    """
    return tuple(slice(i * size // 4, -(-(i + 1) * size // 4)) for i in range(4))


@dataclass(frozen=True, slots=True)
class Form:
    """What the networks of this shape differ in.

    ``batch_norm`` replaces the biases. ``large`` is the window of the branch that the paper calls 5x5, ``last_pool``
    that of the fourth pool. ``spans`` gives the windows of the auxiliary heads; None leaves those heads out.
    ``reduction`` ends each module with squeeze-and-excitation through that many times fewer channels. ``smallest`` is
    the (height, width) of which the pools leave something.
    """

    batch_norm: bool
    large: int
    last_pool: int
    response_norm: ResponseNorm | None
    spans: Spans | None
    dropout: float
    smallest: tuple[int, int]
    reduction: int | None = None


PUBLISHED = Form(
    batch_norm=False,
    large=5,
    last_pool=3,
    response_norm=ResponseNorm.caffe(local_size=5, alpha=1e-4, beta=0.75, k=1.0),
    spans=published_spans,
    dropout=0.4,
    smallest=(31, 31),
)
BATCH_NORM = Form(
    batch_norm=True,
    large=3,
    last_pool=2,
    response_norm=None,
    spans=adaptive_spans,
    dropout=0.2,
    smallest=(15, 15),
)


class ConvAct(nn.Module):
    """A convolution with a batch norm or a bias, and ReLU: ``conv``, ``bn``, and ``act`` where the norm has no ReLU."""

    def __init__(self, in_channels: int, out_channels: int, window: int, batch_norm: bool, stride: int = 1) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, window, stride=stride, padding="symmetric", bias=not batch_norm)
        self.bn = BatchNormAct2d(out_channels, eps=1e-3, act="relu") if batch_norm else nn.Identity()
        self.act = nn.Identity() if batch_norm else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in, H, W]`` to ``[N, out, H / stride, W / stride]``."""
        return self.act(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Four branches over the same maps, their outputs side by side (the paper's figure 2b)."""

    def __init__(self, in_channels: int, row: Row, form: Form) -> None:
        super().__init__()
        norm = form.batch_norm
        self.branch1 = ConvAct(in_channels, row.ones, 1, norm)
        self.branch2 = nn.Sequential(
            ConvAct(in_channels, row.reduce3, 1, norm), ConvAct(row.reduce3, row.threes, 3, norm)
        )
        self.branch3 = nn.Sequential(
            ConvAct(in_channels, row.reduce5, 1, norm), ConvAct(row.reduce5, row.fives, form.large, norm)
        )
        self.branch4 = nn.Sequential(
            MaxPool2d(3, stride=1, padding="symmetric"), ConvAct(in_channels, row.pooled, 1, norm)
        )
        channels = row.channels
        self.se = nn.Identity() if form.reduction is None else SqueezeExcite(channels, channels // form.reduction)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in, H, W]`` to ``[N, row.channels, H, W]``."""
        return self.se(torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1))


class AuxiliaryHead(nn.Module):
    """A small classifier on the maps of a middle block, which pulls at it in training (the paper's section 5)."""

    def __init__(self, in_channels: int, classes: int, spans: Spans, batch_norm: bool) -> None:
        super().__init__()
        self.spans = spans
        self.conv = ConvAct(in_channels, 128, 1, batch_norm)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]``, any size, to ``[N, classes]``."""
        # Means of means are the windows' means: all rows of a window have the same number of places.
        x = torch.stack([x[:, :, rows].mean(2) for rows in self.spans(x.shape[2])], dim=2)
        x = torch.stack([x[:, :, :, columns].mean(3) for columns in self.spans(x.shape[3])], dim=3)
        return self.fc2(self.dropout(self.relu(self.fc1(self.conv(x).flatten(1)))))


class GoogLeNet(Network):
    """A network of nine inception modules from its form: ``[N, C, H, W]`` to ``[N, classes]``."""

    def __init__(self, form: Form, *, classes: int, in_channels: int) -> None:
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks=BLOCKS,
            feature_info=FEATURES,
            smallest=form.smallest,
            auxiliary={} if form.spans is None else AUXILIARY,
        )
        norm = form.batch_norm
        self.conv1 = ConvAct(in_channels, 64, 7, norm, stride=2)
        self.maxpool1 = MaxPool2d(3, stride=2, padding="ceil")
        self.norm1 = _response_norm(form)
        self.conv2 = ConvAct(64, 64, 1, norm)
        self.conv3 = ConvAct(64, 192, 3, norm)
        self.norm2 = _response_norm(form)
        self.maxpool2 = MaxPool2d(3, stride=2, padding="ceil")
        self.maxpool3 = MaxPool2d(3, stride=2, padding="ceil")
        self.maxpool4 = MaxPool2d(form.last_pool, stride=2, padding="ceil")
        channels, after = 192, {}
        for row in MODULES:
            self.add_module(row.name, Inception(channels, row, form))
            channels = after[row.name] = row.channels
        if form.spans is not None:
            for block, head in AUXILIARY.items():
                self.add_module(head, AuxiliaryHead(after[BLOCKS[block][-1]], classes, form.spans, norm))
        self.avgpool = GlobalAveragePool()
        self.dropout = nn.Dropout(form.dropout)
        self.fc = nn.Linear(channels, classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for path in ("fc", *(f"{head}.fc2" for head in self.auxiliary.values())):
            nn.init.normal_(self.get_parameter(f"{path}.weight"), 0.0, 0.01)


def _response_norm(form: Form) -> nn.Module:
    return nn.Identity() if form.response_norm is None else LocalResponseNorm(form.response_norm)


def googlenet(*, classes: int, in_channels: int) -> GoogLeNet:
    """GoogLeNet as published: 6,998,552 parameters for 1,000 classes, 13,378,280 with its auxiliary heads."""
    return GoogLeNet(PUBLISHED, classes=classes, in_channels=in_channels)


def googlenet_bn(*, classes: int, in_channels: int) -> GoogLeNet:
    """GoogLeNet with batch norm, torchvision's: 6,624,904 parameters for 1,000 classes, 13,004,888 with heads."""
    return GoogLeNet(BATCH_NORM, classes=classes, in_channels=in_channels)
