"""The bare layer's calls where paddings are even; what SAME costs in training; response normalization and torch's."""

from collections.abc import Iterator

from accept import Check, at_least, at_most
from accept.pytests import all_pass
from bench import windows


def checks() -> Iterator[Check]:
    yield all_pass("5.calls", "tests/ops/test_traces.py", "-k", "bare_layer or never_copy")
    for name, ratio in windows.same_against_symmetric(steps=8).items():
        yield at_most(f"5.same.{name}", ratio, windows.SAME_WANTED, "times symmetric")
    for name, ratio in windows.response_normalization(steps=9).items():
        yield at_least(f"5.lrn.{name}", ratio, windows.LRN_WANTED, "times as fast")
