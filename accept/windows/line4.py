"""EfficientNet-Lite0's kernels on a real photograph against TensorFlow's SAME."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("4.real-kernels", "tests/oracle/test_real_windows.py")
