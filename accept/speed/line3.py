"""Peak memory of training ResNet-50, against torch's."""

from collections.abc import Iterator

from accept import Check
from bench import memory
from bench.section import Settings


def checks() -> Iterator[Check]:
    yield from memory.run(Settings()).checks
