"""Caffe's network for handwritten digits, which its tutorial calls LeNet.

Jia and others, "Caffe: convolutional architecture for fast feature embedding", 2014; the network itself stands in
Caffe's ``examples/mnist/lenet_train_test.prototxt``. It is LeNet-5's plan (LeCun and others, 1998) with newer parts.

======  ================  ========  ==========
layer   what              shape     parameters
======  ================  ========  ==========
input                     1x28x28
conv1   convolution 5x5   20x24x24         520
pool1   max pool 2x2      20x12x12
conv2   convolution 5x5   50x8x8        25,050
pool2   max pool 2x2      50x4x4
ip1     dense, ReLU       500          400,500
ip2     dense             10             5,010
======  ================  ========  ==========

As there, the convolutions have no activation: of their layers only the max pools are not linear. ip1 reads the maps
in the order of channels, rows, columns. Weights are uniform of variance 1 / fan-in and biases zero: what Caffe's
filler "xavier" draws.
"""

from torch import nn

from striate.layers import Conv2d, MaxPool2d
from striate.models.network import FeatureInfo, Network


class LeNetCaffe(Network):
    """Caffe's LeNet: ``[N, C, 28, 28]`` to ``[N, classes]``. 431,080 parameters for 10 classes of grey."""

    def __init__(self, *, classes: int, in_channels: int) -> None:
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            size=(28, 28),
            blocks={
                "stem": ("conv1", "pool1"),
                "stage1": ("conv2", "pool2"),
                "dense": ("flatten", "ip1", "relu"),
                "head": ("ip2",),
            },
            feature_info=(FeatureInfo("stem", 20, 2), FeatureInfo("stage1", 50, 4)),
        )
        self.conv1 = Conv2d(in_channels, 20, 5)
        self.pool1 = MaxPool2d(2)
        self.conv2 = Conv2d(20, 50, 5)
        self.pool2 = MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.ip1 = nn.Linear(800, 500)
        self.relu = nn.ReLU(inplace=True)
        self.ip2 = nn.Linear(500, classes)
        for layer in (self.conv1, self.conv2, self.ip1, self.ip2):
            nn.init.kaiming_uniform_(layer.weight, mode="fan_in", nonlinearity="linear")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def lenet_caffe(*, classes: int, in_channels: int) -> LeNetCaffe:
    """Caffe's LeNet for digits; see this module."""
    return LeNetCaffe(classes=classes, in_channels=in_channels)
