"""What cannot be planned says so: one paragraph that names what and where, exit code 2."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("11.command line", "tests/cli/test_plan.py")
    yield all_pass("11.modules", "tests/tracing/test_refusals.py")
    yield all_pass("11.tiles", "tests/planning/test_tiling.py", "-k", "refused or budget")
