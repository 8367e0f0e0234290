"""Against TensorFlow in .venv-oracle (or STRIATE_ORACLE_PYTHON), against a definition in NumPy, and gradients."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("1.tensorflow", "tests/oracle/test_windows.py", seconds=180)
    definition = "tests/ops/test_against_definition.py"
    yield all_pass("1.definition", definition, "-k", "not gradient")
    yield all_pass("1.gradcheck", definition, "tests/ops/test_normalization.py", "-k", "gradient")
