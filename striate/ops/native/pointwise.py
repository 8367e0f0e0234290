"""1x1 convolutions in bfloat16 whose weight's gradient is a matrix product of ours.

Where the input is the output of a norm that was not kept, the product takes the norm's input and normalises it on the
way into its panels, so that the output need not exist a second time. The reference is torch's convolution in float32.
"""

import ctypes
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.base.hardware import AMX, instructions
from striate.ops.native import norm
from striate.ops.native.library import kernels
from striate.ops.native.tensors import address, done, lies_as_wanted, padded
from striate.ops.recomputation import keeping_promises, promised, sources_instead

FEWEST = 24
"""Channels below which torch is the faster one, since most of a panel would be empty."""


Normalised = tuple[norm.Statistics, norm.Bounds]
"""What a norm does to its input."""


class Product(ctypes.Structure):
    """``Product`` of pointwise.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "h", "w", "inputs", "oh", "ow", "outputs", "stride")),
        ("floor", ctypes.c_float),
        ("ceiling", ctypes.c_float),
    ]


def suits(x: Tensor, weight: Tensor, stride: tuple[int, ...], groups: int) -> bool:
    """Whether there is a kernel for this window, and ``x`` lies in memory as it wants it."""
    return (
        groups == 1
        and weight.shape[2:] == (1, 1)
        and stride[0] == stride[1]
        and min(weight.shape[:2]) >= FEWEST
        and weight.requires_grad
        and lies_as_wanted(x)
        and _multiplies()
    )


@cache
def _multiplies() -> bool:
    """Whether the kernels can multiply bfloat16 here, and torch has nothing faster for it (AMX)."""
    library = kernels()
    return library is not None and bool(library.pointwise_multiplies()) and AMX not in instructions()


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[out, C, 1, 1]`` in bfloat16, without padding.

    Gradients come in the types of what was given.
    """
    with keeping_promises(x):
        promise = promised(x)
        normalised = None
        if isinstance(promise, norm.Output) and promise.source is not None and x.dtype == torch.bfloat16:
            normalised = promise.how, promise.bounds
        return _Pointwise.apply(x, weight, bias, stride, normalised)


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, normalised: Normalised | None
    ) -> Tensor:
        low = x.to(torch.bfloat16)
        ctx.save_for_backward(low, weight)
        ctx.stride, ctx.normalised = stride, normalised
        ctx.types = (x.dtype, None if bias is None else bias.dtype)
        return F.conv2d(low, weight.to(torch.bfloat16), None if bias is None else bias.to(torch.bfloat16), stride)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        again = torch.is_grad_enabled()  # somebody wants gradients of these gradients: torch knows how
        with sources_instead() if ctx.normalised and not again else nullcontext():
            low, weight = ctx.saved_tensors
        wide = weight if again else weight.to(torch.bfloat16)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for_x, for_weight, for_bias = torch.ops.aten.convolution_backward(
            gradient.float() if again else gradient,
            low.float() if again else low,
            wide.float() if again else wide,
            None if ctx.types[1] is None else [len(weight)],
            (ctx.stride, ctx.stride),
            (0, 0),
            (1, 1),
            False,
            (0, 0),
            1,
            [wants_x, wants_weight and again, wants_bias],
        )
        if wants_weight and not again:
            for_weight = weight_gradient(kernels(), gradient, low, ctx.stride, ctx.normalised)
        types = (ctx.types[0], weight.dtype, ctx.types[1])
        gradients = (for_x, for_weight, for_bias)
        return (*(None if g is None else g.to(kind) for g, kind in zip(gradients, types, strict=True)), None, None)


def weight_gradient(library: Any, gradient: Tensor, x: Tensor, stride: int, normalised: Normalised | None) -> Tensor:
    """The gradient of ``weight`` ``[out, C, 1, 1]``, summed and given in float32.

    ``x`` is what the window read, or the input of the norm whose output it read; ``normalised`` then says what the
    norm did.
    """
    count, inputs, height, width = x.shape
    outputs, down, across = gradient.shape[1:]
    how, bounds = normalised or (None, norm.OPEN)
    product = Product(count, height, width, inputs, down, across, outputs, stride, *bounds)
    threads = max(1, min(torch.get_num_threads(), count * down * across // 64))
    sums = torch.empty(threads, padded(outputs), library.pointwise_width(ctypes.c_int64(inputs)))
    result = torch.empty(outputs, inputs, 1, 1)
    tables = (None, None) if how is None else (how.scale, how.shift)
    given = [address(tensor) for tensor in (x, gradient, *tables, sums, result)]
    done(library.pointwise_weight(*given, ctypes.byref(product), threads), "the panels of a matrix product")
    return result
