"""Two toy tasks, made of a few files and rows of tables in the tests, go every road; nobody asks which task it is."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("1.toys", "tests/toys")
    yield all_pass("1.architecture", "tests/test_architecture.py")
    yield all_pass("1.runs-of-before", "tests/training/test_old_runs.py", "tests/test_recipe.py")
