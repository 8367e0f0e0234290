"""The three dense layers that AlexNet ends in, and the networks after it until global pools took their place."""

from torch import nn

from striate.layers import Linear
from striate.models.network import Network

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
