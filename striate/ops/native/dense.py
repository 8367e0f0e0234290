"""Dense layers of few rows by our own kernels: float32 weights are read as they lie, and their gradient written once.

The reference is torch's linear in float32, which these equal to the rounding of the type that they give.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from striate.ops.native.library import kernels_for
from striate.ops.native.tensors import address, done, floats, is_there, lies_in_rows

MOST_ROWS = {torch.bfloat16: 32, torch.float32: 128}
"""For each type of output, rows above which multiplying costs more than the weight's way through memory.

Torch's bfloat16 multiplies twice as much at a time; its float32 is the slower one for far longer.
"""

FEWEST_NUMBERS = 1 << 20
"""Numbers of a weight below which it stays in the caches, and torch is fast enough."""

_TILES = "the tiles of a dense layer"


class Dense(ctypes.Structure):
    """``Dense`` of dense.c."""

    _fields_ = [(name, ctypes.c_int64) for name in ("rows", "inputs", "outputs")]


def suits(x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> bool:
    """Whether there is a kernel for this layer, and all lies in memory as it wants it: few rows, a large weight.

    ``dtype`` is the output's: float32 or bfloat16.
    """
    return (
        x.dim() == weight.dim() == 2
        and x.shape[1] == weight.shape[1]
        and 1 <= len(x) <= MOST_ROWS[dtype]
        and weight.numel() >= FEWEST_NUMBERS
        and x.dtype in (torch.float32, torch.bfloat16)
        and weight.dtype == torch.float32
        and (bias is None or (bias.dtype == torch.float32 and bias.shape == weight.shape[:1]))
        and all(lies_in_rows(tensor) for tensor in (x, weight))
        and (bias is None or (is_there(bias) and bias.is_contiguous()))
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """``x`` ``[rows, inputs]`` times the transpose of ``weight``, plus ``bias``, computed in float32, in ``dtype``.

    Gradients come in the types of what was given.
    """
    return _Dense.apply(x, weight, bias, dtype)


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(x, weight)
        return forward(kernels_for(x), x, weight, bias).to(dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # somebody wants gradients of these gradients: torch knows how
            with torch.autocast("cpu", enabled=False):
                gradient = gradient.float()
                for_x = gradient @ weight if wants_x else None
                for_weight = gradient.t() @ x.float() if wants_weight else None
        else:
            for_x = input_gradient(kernels_for(weight), gradient, weight.contiguous()) if wants_x else None
            for_weight = weight_gradient(kernels_for(x), gradient, x) if wants_weight else None
        for_bias = gradient.sum(0, dtype=torch.float32) if wants_bias else None
        return None if for_x is None else for_x.to(x.dtype), for_weight, for_bias, None


# The kernels, on tensors. All that is large is float32 anyway; rows are few, and are made so.


def forward(library: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The output, float32 ``[rows, outputs]``."""
    x, y = _wide(x), floats(x, len(x), len(weight))
    given = [address(tensor) for tensor in (x, weight, bias, y)]
    done(library.dense_forward(*given, *_how(x, len(weight))), _TILES)
    return y


def input_gradient(library: Any, gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient of ``x``, float32 ``[rows, inputs]``."""
    gradient, result = _wide(gradient), floats(gradient, len(gradient), weight.shape[1])
    given = [address(tensor) for tensor in (gradient, weight, result)]
    done(library.dense_input(*given, *_how(result, len(weight))), _TILES)
    return result


def weight_gradient(library: Any, gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weight, float32 ``[outputs, inputs]``."""
    gradient, x = _wide(gradient), _wide(x)
    result = floats(x, gradient.shape[1], x.shape[1])
    given = [address(tensor) for tensor in (gradient, x, result)]
    done(library.dense_weight(*given, *_how(x, len(result))), _TILES)
    return result


def _wide(rows: Tensor) -> Tensor:
    return rows.float().contiguous()


def _how(x: Tensor, outputs: int) -> tuple[Any, int]:
    return ctypes.byref(Dense(*x.shape, outputs)), torch.get_num_threads()
