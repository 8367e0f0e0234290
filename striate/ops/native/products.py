"""Convolutions in bfloat16 whose weight's gradient is a product of ours, or that are ours altogether: 1x1 and 3x3.

Where the input is the output of a norm that was not kept, the product takes the norm's input and normalises it on the
way into its panels, so that the output need not exist a second time. The reference is torch's convolution in float32.
"""

from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.base.hardware import AMX, instructions
from striate.ops.native import norm, pointwise, windows, winograd
from striate.ops.native.library import kernels, kernels_for, kernels_without_waiting
from striate.ops.native.norm import Normalised
from striate.ops.native.tensors import channels_last, is_channels_last, is_there
from striate.ops.recomputation import keeping_promises, promised, sources_instead

FEWEST = 16
"""Channels below which torch is the faster one, since most of a panel would be empty."""
TAPS = 49
"""The places of the largest window: one product each."""
MOST_SUMS = 2**26
"""Numbers of all threads' sums together: each thread has sums of its own, of the weight's size and a little more."""

Pair = tuple[int, int]


def suits(
    x: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> bool:
    """Whether there is a kernel for this window, and ``x`` lies in memory as it wants it.

    1x1 windows with any stride and no padding, others with a stride of 1, all of them dense.
    """
    size = weight.shape[2:]
    fits = stride[0] == stride[1] and max(padding) == 0 if size == (1, 1) else {*stride, *dilation} == {1}
    return (
        groups == 1
        and fits
        and size.numel() <= TAPS
        and all(amount < side for amount, side in zip(padding, size, strict=True))
        and min(weight.shape[:2]) >= FEWEST
        and weight.numel() * torch.get_num_threads() <= MOST_SUMS
        and is_channels_last(x)
        and is_there(weight)
        and kernels_without_waiting(x, weight) is not None
        and _multiplies()
    )


@cache
def _multiplies() -> bool:
    """Whether the kernels can multiply bfloat16 here, and torch has nothing faster for it (AMX)."""
    library = kernels()
    return library is not None and bool(library.pointwise_multiplies()) and AMX not in instructions()


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Pair) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[out, C, h, w]`` in bfloat16, padded alike on both sides.

    Gradients come in the types of what was given.
    """
    promise, normalised = promised(x), None
    if isinstance(promise, norm.Output) and promise.source is not None and x.dtype == torch.bfloat16:
        normalised = promise.how, promise.bounds
    with keeping_promises(x):
        return _Product.apply(x, weight, bias, stride, padding, normalised)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: int,
        padding: Pair,
        normalised: Normalised | None,
    ) -> Tensor:
        low = x.to(torch.bfloat16)
        ctx.save_for_backward(low, weight)
        ctx.stride, ctx.padding, ctx.normalised = stride, padding, normalised
        ctx.types = (x.dtype, None if bias is None else bias.dtype)
        ctx.direct = pointwise.pays(weight.shape, stride)
        if ctx.direct:
            return pointwise.convolve(kernels_for(low), low, weight, bias)
        ctx.in_tiles = winograd.pays(x.shape, weight.shape[2:], padding)
        if ctx.in_tiles:
            return winograd.convolve(kernels_for(low), low, weight, bias, padding)
        light, start = weight.to(torch.bfloat16), None if bias is None else bias.to(torch.bfloat16)
        return F.conv2d(low, light, start, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        again = torch.is_grad_enabled()  # somebody wants gradients of these gradients: torch knows how
        with sources_instead() if ctx.normalised and not again else nullcontext():
            low, weight = ctx.saved_tensors
        gradient, low = channels_last(gradient), channels_last(low)
        if again:
            gradients = _by_torch(ctx, gradient.float(), low.float(), weight.float(), [*ctx.needs_input_grad[:3]])
        else:
            gradients = (
                _input_gradient(ctx, gradient, low, weight) if wants_x else None,
                _weight_gradient(ctx, gradient, low, weight) if wants_weight else None,
                norm.channel_sums(kernels_for(gradient), gradient) if wants_bias else None,
            )
        types = (ctx.types[0], weight.dtype, ctx.types[1])
        found = [None if g is None else g.to(kind) for g, kind in zip(gradients, types, strict=True)]
        return *found, None, None, None


def _by_torch(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> tuple[Tensor | None, ...]:
    """Gradients of the input, the weight and the bias, of which torch computes the last two together or not at all."""
    sizes = None if ctx.types[1] is None else [len(weight)]
    steps = ((ctx.stride, ctx.stride), ctx.padding, (1, 1), False, (0, 0), 1)
    found: tuple[Tensor | None, ...] = torch.ops.aten.convolution_backward(gradient, x, weight, sizes, *steps, wanted)
    return found


def _input_gradient(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor | None:
    if ctx.direct:
        return pointwise.input_gradient(kernels_for(gradient), gradient, weight)
    if ctx.in_tiles:
        return winograd.input_gradient(kernels_for(gradient), gradient, weight, (x.shape[2], x.shape[3]), ctx.padding)
    return _by_torch(ctx, gradient, x, weight.to(torch.bfloat16), [True, False, False])[0]


def _weight_gradient(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    if weight.shape[2:] == (1, 1):
        return pointwise.weight_gradient(kernels_for(gradient), gradient, x, ctx.stride, ctx.normalised)
    if ctx.in_tiles:
        return winograd.weight_gradient(kernels_for(gradient), gradient, x, ctx.padding, ctx.normalised)
    size = (weight.shape[2], weight.shape[3])
    return windows.weight_gradient(kernels_for(gradient), gradient, x, size, ctx.padding, ctx.normalised)
