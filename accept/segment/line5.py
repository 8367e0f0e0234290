"""Odd sizes: answers as large as the picture for every height and width from 33 to 97, of published networks some."""

import time
from collections.abc import Iterator
from itertools import product

from accept import Check
from accept.pytests import all_pass
from tests.models.segmentation import SAME, four_of, of_other_sizes
from tests.test_every_size import SIZES, alike, published

SIDES = range(33, 98)
PUBLISHED = ("unet", "fcn32s/vgg16", "fcn16s/vgg16", "fcn8s/vgg16")
ALIKE = 0.999
"""Of the pixels; two logits that are equal but for rounding may be either."""


def checks() -> Iterator[Check]:
    papers = [f"tests/models/test_{name}.py" for name in ("unet", "fcn", "unet_head", "deeplabv3")]
    yield all_pass("5.tests", *papers, "tests/test_every_size.py", "-k", "large or answer")
    for head in SAME:
        for name in four_of(head):
            yield _every_size(name)
    for name in PUBLISHED:
        yield _published(name)


def _every_size(name: str) -> Check:
    sizes = [*product(SIDES, SIDES)]
    started = time.monotonic()
    wrong = of_other_sizes(name, sizes)
    got = f"{len(sizes) - len(wrong)} sizes in {time.monotonic() - started:.0f} s"
    got += f"; not {wrong[0][0]}x{wrong[0][1]}" if wrong else ""
    return Check(f"5.{name}", f"all {len(sizes)}", got, not wrong)


def _published(name: str) -> Check:
    """The answers of a predictor, beside what the network itself says of each pixel."""
    started = time.monotonic()
    network = published(name, {})
    parts = {size: alike(network, size) for size in SIZES}
    whole = [size for size, part in parts.items() if part > ALIKE]
    got = f"{len(whole)} sizes, {min(parts.values()):.5f} of the pixels alike, {time.monotonic() - started:.0f} s"
    return Check(f"5.{name}", f"all {len(SIZES)}", got, len(whole) == len(SIZES))
