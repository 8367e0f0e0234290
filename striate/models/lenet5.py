"""LeNet-5 in its modern form.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998, section II.B.

======  =====================  ==========  ==========
layer   what                   shape       parameters
======  =====================  ==========  ==========
input   28x28 in a border of 2  1x32x32
c1      convolution 5x5        6x28x28            156
s2      mean pool 2x2          6x14x14
c3      convolution 5x5        16x10x10         2,416
s4      mean pool 2x2          16x5x5
c5      convolution 5x5        120x1x1         48,120
f6      dense                  84              10,164
output  dense                  10                 850
======  =====================  ==========  ==========

It differs from the paper's network in this: the pools have no coefficient and bias of their own and no squashing
after them; c3 sees all six maps instead of the paper's table of connections; tanh is plain, without the factors
1.7159 and 2/3, and stands before the pools; the output is a dense layer for cross-entropy instead of distances to
drawn bitmaps. Glorot's uniform weights, which keep the size of signals through tanh, replace the paper's 2.4 / fan-in.
"""

from torch import nn

from striate.layers import AveragePool2d, Conv2d
from striate.models.network import FeatureInfo, Network


class LeNet5(Network):
    """LeNet-5, modern form: ``[N, C, 32, 32]`` to ``[N, classes]``. 61,706 parameters for 10 classes of grey."""

    def __init__(self, *, classes: int, in_channels: int) -> None:
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            size=(32, 32),
            blocks={
                "stem": ("c1", "tanh", "s2"),
                "stage1": ("c3", "tanh", "s4"),
                "stage2": ("c5", "tanh", "flatten", "f6", "tanh"),
                "head": ("output",),
            },
            feature_info=(FeatureInfo("stem", 6, 2), FeatureInfo("stage1", 16, 4)),
        )
        self.c1 = Conv2d(in_channels, 6, 5)
        self.s2 = AveragePool2d(2)
        self.c3 = Conv2d(6, 16, 5)
        self.s4 = AveragePool2d(2)
        self.c5 = Conv2d(16, 120, 5)
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, classes)
        self.tanh = nn.Tanh()
        for layer in (self.c1, self.c3, self.c5, self.f6, self.output):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def lenet5(*, classes: int, in_channels: int) -> LeNet5:
    """LeNet-5, modern form; see this module."""
    return LeNet5(classes=classes, in_channels=in_channels)
