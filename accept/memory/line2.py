"""Without checkpointing a forward pass leaves behind what it left when that was first measured."""

from collections.abc import Iterator

from accept import Check, at_most
from accept.memory.networks import NAMES, SIZE, network
from striate.benchmarking.networks import plain_torch
from striate.ops.native import products
from tests.ops.storages import kept

# MB (10^6 bytes) of 4 pictures of 128 pixels in bfloat16. Where kernels of ours multiply bfloat16, no copy of the
# weights is kept in that type; otherwise torch keeps one.
FIGURES = {
    ("resnet50", True): 40.97,
    ("resnet50", False): 81.67,
    ("efficientnet_lite0", True): 20.93,
    ("efficientnet_lite0", False): 27.22,
}


def checks() -> Iterator[Check]:
    for name in NAMES:
        built, images = network(name)
        theirs = kept(plain_torch(built, SIZE), images) / 1e6
        wanted = FIGURES[name, products._multiplies()]
        yield at_most(f"2.{name}", kept(built, images) / 1e6, wanted + 0.005, f"MB; torch alone {theirs:.2f}")
