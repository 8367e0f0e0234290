"""Modules in other people's styles, counted by hand."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("9.foreign", "tests/tracing/test_counting.py", "-k", "foreign or recurrent or transformer or twice")
