"""AlexNet, as published on two groups and in the later form of one tower.

Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012, section 3;
the one tower is of Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, in the form
of torchvision's weights.

======  ==================================  =========  ================================  =========
layer   ``alexnet``                         shape      ``alexnet_single``                shape
======  ==================================  =========  ================================  =========
input                                       3x227x227                                    3x224x224
conv1   11x11, stride 4                     96x55x55   11x11, stride 4, padding 2        64x55x55
norm1   response norm
pool1   max pool 3x3, stride 2              96x27x27   max pool 3x3, stride 2            64x27x27
conv2   5x5, padding 2, 2 groups            256x27x27  5x5, padding 2                    192x27x27
norm2   response norm
pool2   max pool 3x3, stride 2              256x13x13  max pool 3x3, stride 2            192x13x13
conv3   3x3, padding 1                      384x13x13  3x3, padding 1                    384x13x13
conv4   3x3, padding 1, 2 groups            384x13x13  3x3, padding 1                    256x13x13
conv5   3x3, padding 1, 2 groups            256x13x13  3x3, padding 1                    256x13x13
pool5   max pool 3x3, stride 2              256x6x6    max pool 3x3, stride 2            256x6x6
fc6     dense, dropout after it             4096       dense, dropout before it          4096
fc7     dense, dropout after it             4096       dense, dropout before it          4096
fc8     dense                               1000       dense                             1000
======  ==================================  =========  ================================  =========

ReLU after every layer but the last, before norms and pools. The groups are what the paper's two processors held; only
conv3 sees both. The paper says 224x224, but its 55x55 maps need 227.

The response norm is Caffe's (``local_size`` 5, alpha 1e-4, beta 0.75, k 1), because the weights that are about were
trained with it. The paper's own (section 3.3) has k 2, and its alpha multiplies the sum of squares, not their mean.

Weights are He's (fan-out) in the convolutions and of the paper's deviation 0.01 in the dense layers; biases are zero.
The paper's 0.01 everywhere, with biases of 1 in five layers, makes a fresh network that hardly looks: its answers
differ between pictures by a two-thousandth of their size, and forty steps on 32 flowers taught it nothing.
"""

from dataclasses import dataclass

from torch import nn

from striate.layers import Conv2d, LocalResponseNorm, MaxPool2d, begin_he_
from striate.models.dense_layers import add_dense_layers
from striate.models.network import FeatureInfo, Network
from striate.ops.normalization import ResponseNorm


@dataclass(frozen=True, slots=True)
class Row:
    """One convolution; after it a ReLU, and if they are asked a response norm and a max pool 3x3 of stride 2."""

    channels: int
    window: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    norm: bool = False
    pool: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """One of the two networks; ``dense`` and ``head`` are the order of its last layers."""

    size: int
    rows: tuple[Row, ...]
    dense: tuple[str, ...]
    head: tuple[str, ...]


TWO_GROUPS = Form(
    size=227,
    rows=(
        Row(96, 11, stride=4, norm=True, pool=True),
        Row(256, 5, padding=2, groups=2, norm=True, pool=True),
        Row(384, 3, padding=1),
        Row(384, 3, padding=1, groups=2),
        Row(256, 3, padding=1, groups=2, pool=True),
    ),
    dense=("flatten", "fc6", "relu", "drop6", "fc7", "relu"),
    head=("drop7", "fc8"),
)
SINGLE = Form(
    size=224,
    rows=(
        Row(64, 11, stride=4, padding=2, pool=True),
        Row(192, 5, padding=2, pool=True),
        Row(384, 3, padding=1),
        Row(256, 3, padding=1),
        Row(256, 3, padding=1, pool=True),
    ),
    dense=("flatten", "drop6", "fc6", "relu", "drop7", "fc7", "relu"),
    head=("fc8",),
)


class AlexNet(Network):
    """AlexNet from its form: ``[N, C, size, size]`` to ``[N, classes]``. A block ends in each max pool."""

    def __init__(self, form: Form, *, classes: int, in_channels: int, dropout: float) -> None:
        blocks: dict[str, tuple[str, ...]] = {}
        infos: list[FeatureInfo] = []
        paths: tuple[str, ...] = ()
        stride = 1
        for number, row in enumerate(form.rows, start=1):
            paths += (f"conv{number}", "relu")
            paths += (f"norm{number}",) if row.norm else ()
            stride *= row.stride
            if row.pool:
                name = f"stage{len(blocks)}" if blocks else "stem"
                blocks[name], paths = (*paths, f"pool{number}"), ()
                stride *= 2
                infos.append(FeatureInfo(name, row.channels, stride))
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            size=(form.size, form.size),
            blocks={**blocks, "dense": form.dense, "head": form.head},
            feature_info=tuple(infos),
        )
        channels = in_channels
        for number, row in enumerate(form.rows, start=1):
            convolution = Conv2d(
                channels, row.channels, row.window, stride=row.stride, padding=row.padding, groups=row.groups
            )
            self.add_module(f"conv{number}", convolution)
            if row.norm:
                self.add_module(f"norm{number}", LocalResponseNorm(ResponseNorm.caffe()))
            if row.pool:
                self.add_module(f"pool{number}", MaxPool2d(3, stride=2))
            channels = row.channels
        self.relu = nn.ReLU(inplace=True)
        add_dense_layers(self, channels * 6 * 6, classes=classes, dropout=dropout)
        begin_he_(self)


def alexnet(*, classes: int, in_channels: int, dropout: float = 0.5) -> AlexNet:
    """AlexNet on two groups, with response norms, for 227x227: 60,965,224 parameters for 1,000 classes."""
    return AlexNet(TWO_GROUPS, classes=classes, in_channels=in_channels, dropout=dropout)


def alexnet_single(*, classes: int, in_channels: int, dropout: float = 0.5) -> AlexNet:
    """AlexNet of one tower, without norms, for 224x224: 61,100,840 parameters for 1,000 classes."""
    return AlexNet(SINGLE, classes=classes, in_channels=in_channels, dropout=dropout)
