"""Dense layers, which with few rows cost what their weights cost to move.

Under bfloat16 torch copies a float32 weight to multiply it, and the weight's gradient comes in bfloat16 and is copied,
too: for 25088 inputs, 4096 outputs and 8 rows that is more than half of the time. Kernels of ours take the weight as it
lies in memory.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops.native import dense as native
from striate.ops.native import kernels
from striate.ops.native.tensors import will_be_differentiated


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x`` ``[..., inputs]`` times the transpose of ``weight`` ``[outputs, inputs]``, plus ``bias`` ``[outputs]``.

    This is `torch.nn.functional.linear`. On CPUs, where it will be differentiated, the weight is large and float32, and
    ``x`` are few rows, kernels of ours compute it in float32; the output has the type that torch's would have, under
    autocast, too.

    Example:
        >>> import torch
        >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([5.0])).tolist()
        [[16.0]]
    """
    if (dtype := _kernel_type(x, weight, bias)) is not None and kernels() is not None:
        return native.linear(x, weight, bias, dtype)
    return F.linear(x, weight, bias)


def _kernel_type(x: Tensor, weight: Tensor, bias: Tensor | None) -> torch.dtype | None:
    """The type of what our kernels should give for this very call; None if torch should compute it."""
    if not will_be_differentiated(x, weight, bias) or torch.compiler.is_compiling():
        return None
    # Under autocast torch makes everything bfloat16; otherwise it does not multiply bfloat16 and float32.
    cast = torch.is_autocast_enabled("cpu")
    dtype, known = (torch.get_autocast_dtype("cpu"), torch.bfloat16) if cast else (x.dtype, torch.float32)
    return dtype if dtype == known and native.suits(x, weight, bias, dtype) else None
