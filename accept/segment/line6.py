"""Training beside segmentation_models.pytorch and torchvision, and a large picture's answer beside two runtimes."""

from collections.abc import Iterator

from accept import Check
from bench import segmentation
from bench.section import Settings


def checks() -> Iterator[Check]:
    yield from segmentation.run(Settings()).checks
