"""Networks: parameters, shapes, and transposed convolutions that begin as bilinear interpolation."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("1.networks", *(f"tests/models/test_{name}.py" for name in ("fcn", "unet_head", "deeplabv3")))
