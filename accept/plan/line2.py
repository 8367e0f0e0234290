"""Counts of every network of ours as published, fields as published, and pixels outside of fields that move nothing."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("2.counts", "tests/tracing/test_counting.py")
    yield all_pass("2.fields", "tests/tracing/test_published_fields.py")
    yield all_pass("2.perturbation", "tests/tracing/test_perturbation.py", "tests/tracing/test_spans.py")
    yield all_pass("2.tables", "tests/planning/test_tables.py")
