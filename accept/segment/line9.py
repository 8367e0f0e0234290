"""A stranger's head for segmentation: a file and a row in a test, trained, measured, asked."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("9.head", "tests/tasks/test_segment_road.py")
