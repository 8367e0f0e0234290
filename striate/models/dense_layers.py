"""The three dense layers that AlexNet ends in, and the networks after it until global pools took their place."""

from torch import nn

from striate.layers import Conv2d, Linear
from striate.models.network import Network
from striate.ops.axes import Paddings

HIDDEN = 4096


def add_dense_layers(network: Network, inputs: int, *, classes: int, dropout: float) -> None:
    """Add ``flatten``, ``fc6``, ``fc7`` and ``fc8``, and ``drop6`` and ``drop7`` for two dropouts.

    ``inputs`` are the numbers of the last maps. In which order they run, the network's blocks say.
    """
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc6", Linear(inputs, HIDDEN))
    network.add_module("drop6", nn.Dropout(dropout))
    network.add_module("fc7", Linear(HIDDEN, HIDDEN))
    network.add_module("drop7", nn.Dropout(dropout))
    network.add_module("fc8", Linear(HIDDEN, classes))


def add_sliding_layers(
    network: Network, channels: int, window: int, *, classes: int, dropout: float, padding: Paddings
) -> None:
    """Add the same layers as convolutions, which make a map of answers; ``fc6`` has a window as large as maps were.

    Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2015, section 3.1. The
    numbers are those of the dense layers, in the same order.
    """
    network.add_module("fc6", Conv2d(channels, HIDDEN, window, padding=padding))
    network.add_module("drop6", nn.Dropout(dropout))
    network.add_module("fc7", Conv2d(HIDDEN, HIDDEN, 1))
    network.add_module("drop7", nn.Dropout(dropout))
    network.add_module("fc8", Conv2d(HIDDEN, classes, 1))
