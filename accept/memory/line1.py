"""Blocks that `torch.utils.checkpoint` computes again keep hardly more than the same blocks of torch's own modules."""

from collections.abc import Iterator

from accept import Check, at_most
from accept.memory.networks import NAMES, SIZE, network
from striate.benchmarking.networks import plain_torch
from tests.ops.storages import kept

TIMES = 1.2


def checks() -> Iterator[Check]:
    for name in NAMES:
        built, images = network(name)
        ours = kept(built, images, by_blocks=True)
        theirs = kept(plain_torch(built, SIZE), images, by_blocks=True)
        yield at_most(f"1.{name}", ours / theirs, TIMES, f"of torch alone ({ours / 1e6:.2f} of {theirs / 1e6:.2f} MB)")
