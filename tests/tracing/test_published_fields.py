"""Fields of our networks as published: Araujo, Norris and Sim's table, and gradient tests of other implementations."""

from functools import cache

import pytest
import torch

from striate.models.meta import build_on_meta
from striate.models.network import Network
from striate.models.table import architecture
from striate.tracing import AxisField, Trace, rows_by_path, trace


@cache
def traced(name: str) -> tuple[Network, Trace]:
    row = architecture(name)
    network = build_on_meta(name, classes=row.classes)
    images = torch.empty(1, row.preprocess.count, *row.preprocess.size, device="meta")
    return network, trace(network, images)


def field(name: str, block: str) -> AxisField:
    """Of the last module of a block, along both axes."""
    network, found = traced(name)
    path = network.blocks[block][-1] if block in network.blocks else block
    down, across = rows_by_path(found.rows)[path].field or ()
    assert (down.size, down.stride, down.padding) == (across.size, across.stride, across.padding)
    return down


PUBLISHED = [
    *(("alexnet", block, *wanted) for block, wanted in {"stage5": (195, 32, 64)}.items()),
    ("vgg16", "stage5", 212, 32, 90),
    ("googlenet", "stage5", 715, 32, 327),
    ("googlenet_bn", "stage5", 379, 32, 167),
    ("resnet18", "stage4", 435, 32, 217),
    ("resnet34", "stage4", 899, 32, 449),
    ("resnet50", "stage1", 35, 4, 17),
    ("resnet50", "stage4", 427, 32, 213),
    ("resnet50_2015", "stage4", 483, 32, 241),
    ("resnet101", "stage4", 971, 32, 485),
    ("resnet101_2015", "stage4", 1027, 32, 513),
    ("resnet152", "stage4", 1451, 32, 725),
    ("resnet152_2015", "stage4", 1507, 32, 753),
]


@pytest.mark.parametrize(("name", "block", "size", "stride", "padding"), PUBLISHED)
def test_published_fields(name: str, block: str, size: int, stride: int, padding: int) -> None:
    found = field(name, block)
    assert (found.size, found.stride, found.padding) == (size, stride, padding)
