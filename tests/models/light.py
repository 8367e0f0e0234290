"""Networks whose numbers are few or none, for tests of what does not depend on them."""

from functools import cache

import pytest
import torch

from striate.models import MODELS, architecture, build, dense_layers
from striate.models import layer_table as tables
from striate.models.network import Network

CLASSIFIERS = [name for name, row in MODELS.items() if row.task == "classify"]
LARGE = ("darknet53",)  # 41 million numbers, in units like ResNet's: for `make test-all`
PAPERS = list({MODELS[name].build.split(":")[0]: name for name in reversed(CLASSIFIERS) if name not in LARGE}.values())

layer_table = cache(tables.layer_table)  # tables are values, so each is made once


@cache
def on_meta(name: str, *, classes: int | None = None, in_channels: int | None = None) -> Network:
    """The network of that name without numbers; all tests look at the same one, so none changes it."""
    with torch.device("meta"):
        return build(name, classes=classes or architecture(name).classes, in_channels=in_channels)


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
