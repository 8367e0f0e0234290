"""Gradients of every kernel within rounding of a float64 reference, over hundreds of shapes drawn at random."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass

KERNELS = ("depthwise", "norm", "products", "winograd", "pooling", "dense")


def checks() -> Iterator[Check]:
    for kernel in KERNELS:
        yield all_pass(f"4.gradients.{kernel}", f"tests/ops/native/test_{kernel}.py")
    modules = ("tests/ops/test_batch_normalization.py", "tests/layers/test_batch_norm_act.py")
    yield all_pass("4.gradients.recomputed", "tests/ops/test_recomputation.py", *modules)
