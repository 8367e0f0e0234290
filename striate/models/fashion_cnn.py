"""The textbook's network for Fashion-MNIST.

Geron, "Hands-on machine learning", third edition, chapter 14, "CNN architectures".

=======  =======================  =========  ==========
layer    what                     shape      parameters
=======  =======================  =========  ==========
input                             1x28x28
conv1    convolution 7x7, SAME    64x28x28        3,200
         max pool 2x2             64x14x14
conv2    convolution 3x3, SAME    128x14x14      73,856
conv3    convolution 3x3, SAME    128x14x14     147,584
         max pool 2x2             128x7x7
conv4    convolution 3x3, SAME    256x7x7       295,168
conv5    convolution 3x3, SAME    256x7x7       590,080
         max pool 2x2, VALID      256x3x3
dense1   2304 to 128, dropout     128           295,040
dense2   128 to 64, dropout       64              8,256
output   64 to classes            10                650
=======  =======================  =========  ==========

ReLU after every layer but the last; dropout of one half after each of the two dense layers. He's weights (fan-in)
before ReLU, Glorot's in the output, biases zero, as Keras does for the book.
"""

from torch import nn

from striate.layers import Conv2d, MaxPool2d
from striate.models.network import FeatureInfo, Network


class FashionCNN(Network):
    """The textbook's network: ``[N, C, 28, 28]`` to ``[N, classes]``. 1,413,834 parameters for 10 classes of grey."""

    def __init__(self, *, classes: int, in_channels: int, dropout: float = 0.5) -> None:
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            size=(28, 28),
            blocks={
                "stem": ("conv1", "relu", "pool"),
                "stage1": ("conv2", "relu", "conv3", "relu", "pool"),
                "stage2": ("conv4", "relu", "conv5", "relu", "pool"),
                "stage3": ("flatten", "dense1", "relu", "dropout1", "dense2", "relu"),
                "head": ("dropout2", "output"),
            },
            feature_info=(FeatureInfo("stem", 64, 2), FeatureInfo("stage1", 128, 4), FeatureInfo("stage2", 256, 8)),
        )
        self.conv1 = Conv2d(in_channels, 64, 7, padding="same")
        self.conv2 = Conv2d(64, 128, 3, padding="same")
        self.conv3 = Conv2d(128, 128, 3, padding="same")
        self.conv4 = Conv2d(128, 256, 3, padding="same")
        self.conv5 = Conv2d(256, 256, 3, padding="same")
        self.flatten = nn.Flatten()
        self.dense1 = nn.Linear(2304, 128)
        self.dropout1 = nn.Dropout(dropout)
        self.dense2 = nn.Linear(128, 64)
        self.dropout2 = nn.Dropout(dropout)
        self.output = nn.Linear(64, classes)
        self.relu = nn.ReLU(inplace=True)
        self.pool = MaxPool2d(2)
        hidden = (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5, self.dense1, self.dense2)
        for layer in hidden:
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)


def fashion_cnn(*, classes: int, in_channels: int) -> FashionCNN:
    """The textbook's network for Fashion-MNIST; see this module."""
    return FashionCNN(classes=classes, in_channels=in_channels)
