"""PSNR and SSIM are those of torchmetrics and scikit-image."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("3.figures", "tests/oracle/test_picture_likeness.py")
