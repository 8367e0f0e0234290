"""The textbook's network, layer by layer."""

import torch
from torch import nn

from striate.models.fashion_cnn import FashionCNN
from striate.models.network import parameter_count
from tests.models.light import layer_table


def test_layers_are_the_books() -> None:
    with torch.device("meta"):
        network = FashionCNN(classes=10, in_channels=1)
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "dense1", "dense2", "output")
    counts = [parameter_count(network.get_submodule(path)) for path in layers]
    assert counts == [3_200, 73_856, 147_584, 295_168, 590_080, 295_040, 8_256, 650]
    shapes = [row.shape for row in layer_table("fashion_cnn").rows]
    assert shapes == [
        *((64, 28, 28), (64, 14, 14)),
        *((128, 14, 14), (128, 14, 14), (128, 7, 7)),
        *((256, 7, 7), (256, 7, 7), (256, 3, 3)),
        *((2304,), (128,), (64,), (10,)),
    ]


def test_half_is_dropped_behind_each_dense_layer() -> None:
    network = FashionCNN(classes=10, in_channels=1)
    dropouts = {path: m.p for path, m in network.named_modules() if isinstance(m, nn.Dropout)}
    assert dropouts == {"dropout1": 0.5, "dropout2": 0.5}
    order = [path for block in network.blocks.values() for path in block]
    for dense, dropout in (("dense1", "dropout1"), ("dense2", "dropout2")):
        assert order[order.index(dense) : order.index(dense) + 3] == [dense, "relu", dropout]
