"""One contract over all networks: meta, gradients in float32 and bfloat16, channels, classes, files, blocks, export."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("2.conformance", "tests/models/test_networks.py")
