"""Kernels in C for what torch computes slowly on processors, beside it and never instead of it.

`building` compiles them on first use and keeps the result in the cache folder, `library` checks and loads it, and
`checking` compares it with torch. `depthwise`, `norm`, `pooling`, `dense` and `products` are operations over them, each
with its gradients; `chain` answers for whole networks. Where any of that fails, torch's own path runs.
Offers kernels, kernels_at_hand, description, will_take_seconds.
"""

from striate.ops.native.library import description, kernels, kernels_at_hand, will_take_seconds

__all__ = ["description", "kernels", "kernels_at_hand", "will_take_seconds"]
