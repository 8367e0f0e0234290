"""Traces of networks of ours at their published sizes, each made once a session."""

from functools import cache

import torch

from striate.models.meta import build_on_meta
from striate.models.network import Network
from striate.models.table import architecture
from striate.tracing import Trace, trace


@cache
def traced(name: str) -> tuple[Network, Trace]:
    """A network on one picture, as it answers."""
    row = architecture(name)
    network = build_on_meta(name, classes=row.classes)
    images = torch.empty(1, row.preprocess.count, *row.preprocess.size, device="meta")
    return network, trace(network, images)
