"""A stranger's head for detection: a file and a row in a test."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("10.head", "tests/toys/test_another_head.py")
