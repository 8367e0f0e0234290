"""Exported with sizes left open, compiled, on meta and fake tensors, in other types, channels-last: every operation."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass

KINDS = {
    "export": "export",
    "compile": "compile",
    "meta-and-fake": "true_shape or reason",
    "types": "types",
    "channels-last": "channels_last",
}


def checks() -> Iterator[Check]:
    for name, words in KINDS.items():
        yield all_pass(f"6.{name}", "tests/ops/test_traces.py", "-k", words)
