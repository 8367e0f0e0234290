"""Every row of the chapter's worked examples."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("2.worked-examples", "tests/ops/test_worked_examples.py")
    yield all_pass("2.response-norm", "tests/ops/test_normalization.py", "-k", "tensorflow or conventions")
    yield all_pass("2.examples", "tests/examples")
