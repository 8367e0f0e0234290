"""Networks whose numbers are few, for tests of what does not depend on how many there are."""

import pytest

from striate.models import build, dense_layers
from striate.models.network import Network


def light(name: str, *, in_channels: int | None = None, seed: int = 0) -> Network:
    """The network of that name for five classes, with 64 hidden numbers in each of its dense layers instead of 4096.

    AlexNet, ZFNet and VGG have nine of ten of their parameters there: to draw and to compare 130 million takes longer
    than all convolutions. How many they are when nobody changes them, test_networks.py counts without numbers.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense_layers, "HIDDEN", 64)
        return build(name, classes=5, in_channels=in_channels, seed=seed)


def is_large(network: Network) -> bool:
    """Whether it takes large pictures alone: one or two of them say what sixteen small ones say to the others."""
    return network.size is not None and min(network.size) > 200
