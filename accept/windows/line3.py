"""The integers against what the operations return, legal or not, up to sizes of 10,000."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("3.integers", "tests/ops/test_shapes.py", "tests/ops/test_field.py")
