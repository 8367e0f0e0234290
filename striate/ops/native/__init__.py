"""Kernels in C for what torch computes slowly on processors, beside it and never instead of it.

`striate.base.compiling` makes a library of them, at installation or on first use; `library` loads it and `checking`
compares it with torch. `depthwise`, `norm`, `pooling`, `dense` and `products` are operations over them, each with its
gradients; `chain` answers for whole networks. Where any of that fails, torch's own path runs.
Offers kernels, kernels_at_hand, left_to_torch, prepare, description; Count and silent are who hears of a build.
"""

from striate.base.compiling.building import Count, silent
from striate.ops.native.library import (
    description,
    kernels,
    kernels_at_hand,
    left_to_torch,
    prepare,
)

__all__ = [
    "Count",
    "description",
    "kernels",
    "kernels_at_hand",
    "left_to_torch",
    "prepare",
    "silent",
]
