"""ZFNet: AlexNet on one group with a finer and denser first window.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2013, figure 3 and section 4.1.

======  ======================  ==========
layer   what                    shape
======  ======================  ==========
input                           3x224x224
conv1   7x7, stride 2, pad 1    96x110x110
pool1   max pool 3x3, stride 2  96x55x55
norm1   response norm
conv2   5x5, stride 2           256x26x26
pool2   max pool 3x3, stride 2  256x13x13
norm2   response norm
conv3   3x3, padding 1          384x13x13
conv4   3x3, padding 1          384x13x13
conv5   3x3, padding 1          256x13x13
pool5   max pool 3x3, stride 2  256x6x6
fc6     dense, dropout          4096
fc7     dense, dropout          4096
fc8     dense                   1000
======  ======================  ==========

ReLU after every layer but the last. The pools give pixels left over at the end a window of their own: no other
padding leads to the 55, 13 and 6 that the paper's figure 3 draws. The maps are normalized after the pool, as its
caption says (AlexNet does it before). The paper gives no numbers for that norm; those here are our AlexNet's, Caffe's
``local_size`` 5, alpha 1e-4, beta 0.75, k 1.

Weights are He's (fan-out) in the convolutions and of the paper's deviation 0.01 in the dense layers; biases are zero.
The paper's 0.01 everywhere leaves a hundredth of the signal after the last convolution. The bound that the
paper puts on each filter of the first layer is not kept here.
"""

from dataclasses import dataclass

from torch import nn

from striate.layers import Conv2d, LocalResponseNorm, MaxPool2d, begin_he_
from striate.models.dense_layers import add_dense_layers
from striate.models.network import FeatureInfo, Network
from striate.ops.normalization import ResponseNorm


@dataclass(frozen=True, slots=True)
class Row:
    """One convolution and a ReLU; if they are asked a max pool 3x3 of stride 2 and a response norm."""

    channels: int
    window: int
    stride: int = 1
    padding: int = 0
    pool: bool = False
    norm: bool = False


ZFNET = (
    Row(96, 7, stride=2, padding=1, pool=True, norm=True),
    Row(256, 5, stride=2, pool=True, norm=True),
    Row(384, 3, padding=1),
    Row(384, 3, padding=1),
    Row(256, 3, padding=1, pool=True),
)


class ZFNet(Network):
    """ZFNet: ``[N, C, 224, 224]`` to ``[N, classes]``. 62,357,608 parameters for 1,000 classes."""

    def __init__(self, *, classes: int, in_channels: int, dropout: float) -> None:
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            size=(224, 224),
            blocks={
                "stem": ("conv1", "relu", "pool1", "norm1"),
                "stage1": ("conv2", "relu", "pool2", "norm2"),
                "stage2": ("conv3", "relu", "conv4", "relu", "conv5", "relu", "pool5"),
                "dense": ("flatten", "fc6", "relu", "drop6", "fc7", "relu"),
                "head": ("drop7", "fc8"),
            },
            feature_info=(FeatureInfo("stem", 96, 4), FeatureInfo("stage1", 256, 16), FeatureInfo("stage2", 256, 32)),
        )
        channels = in_channels
        for number, row in enumerate(ZFNET, start=1):
            convolution = Conv2d(channels, row.channels, row.window, stride=row.stride, padding=row.padding)
            self.add_module(f"conv{number}", convolution)
            if row.pool:
                self.add_module(f"pool{number}", MaxPool2d(3, stride=2, padding="ceil"))
            if row.norm:
                self.add_module(f"norm{number}", LocalResponseNorm(ResponseNorm.caffe()))
            channels = row.channels
        self.relu = nn.ReLU(inplace=True)
        add_dense_layers(self, channels * 6 * 6, classes=classes, dropout=dropout)
        begin_he_(self)


def zfnet(*, classes: int, in_channels: int, dropout: float = 0.5) -> ZFNet:
    """ZFNet for 224x224; see this module."""
    return ZFNet(classes=classes, in_channels=in_channels, dropout=dropout)
