"""Defects that were found with the contracts: each has its tests."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass

TESTS = {
    "two-runs-one-folder": ("tests/cli/test_two_runs.py", "tests/training/test_runfolder.py"),
    "faults-that-pass": ("tests/data/test_scan.py",),
    "reduced-photographs": ("tests/pictures/test_shrunk.py", "tests/pictures/test_geometry.py"),
    "figures-that-are-no-numbers": ("tests/training/test_runfolder.py", "-k", "finite or nan or json"),
    "networks-that-skip": ("tests/models/test_styles.py", "tests/answering"),
    "heads-on-backbones": ("tests/models/test_headed.py",),
    "targets": ("tests/data/test_targets.py", "tests/data/test_cache.py"),
}


def checks() -> Iterator[Check]:
    for name, words in TESTS.items():
        yield all_pass(f"4.{name}", *words)
