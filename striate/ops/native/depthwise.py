"""Depthwise windows by our own kernels: padding is read in place, and no gradient is slower than the bytes it moves.

The reference is torch's convolution in float32, which these equal to the rounding of the type that they compute in.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops.native import norm
from striate.ops.native.library import kernels_for
from striate.ops.native.tensors import (
    address,
    channels_last,
    is_channels_last,
    is_low,
    is_there,
    map_like,
    padded,
    scratch,
)
from striate.ops.recomputation import keeping_promises

WINDOWS, STRIDES = (3, 5, 7), (1, 2)
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Walk:
    """How a window walks over a map: its steps, where it begins, how often it stops.

    ``before`` is the padding at the top and at the left, and ``outputs`` the size of what comes out, which says how
    far the padding reaches at the other sides.
    """

    stride: int
    dilation: int
    before: Pair
    outputs: Pair

    def after(self, size: Pair, window: int) -> Pair:
        """The padding at the bottom and at the right; less than 0 where the last places are not read."""
        reach = (window - 1) * self.dilation + 1
        bottom, right = (
            (count - 1) * self.stride + reach - lead - side
            for count, lead, side in zip(self.outputs, self.before, size, strict=True)
        )
        return bottom, right


class Shape(ctypes.Structure):
    """``Shape`` of depthwise.c."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("n", "h", "w", "c", "oh", "ow", "window", "stride", "dilation", "top", "left")
    ]


def suits(x: Tensor, weight: Tensor, stride: tuple[int, ...], dilation: tuple[int, ...], groups: int) -> bool:
    """Whether there is a kernel for this window, and ``x`` lies in memory as it wants it.

    One map in and one out, windows of 3, 5 or 7, strides of 1 or 2, the same along both axes; channels-last.
    """
    return (
        groups > 1
        and weight.shape == (groups, 1, weight.shape[2], weight.shape[2])
        and weight.shape[2] in WINDOWS
        and stride in [(step, step) for step in STRIDES]
        and dilation[0] == dilation[1]
        and is_channels_last(x)
        and is_there(weight)
    )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, walk: Walk, dtype: torch.dtype) -> Tensor:
    """Convolve each map of ``x`` ``[N, C, H, W]`` with its window of ``weight`` ``[C, 1, k, k]``, in ``dtype``.

    Gradients come in the types of what was given.
    """
    with keeping_promises(x):
        return _Depthwise.apply(x, weight, bias, walk, dtype)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, walk: Walk, dtype: torch.dtype) -> Tensor:
        low, light = x.to(dtype), weight.to(dtype)
        ctx.save_for_backward(low, weight)
        ctx.walk, ctx.types = walk, (x.dtype, None if bias is None else bias.dtype)
        y = forward(kernels_for(low), low, light, walk)
        return y if bias is None else y.add_(bias.to(dtype)[:, None, None])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        low, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # somebody wants gradients of these gradients: torch knows how
            gradients = _by_torch(ctx, gradient, low, weight)
        else:
            library, gradient, low = kernels_for(low), channels_last(gradient), channels_last(low)
            gradients = (
                input_gradient(library, gradient, weight.to(low.dtype), low, ctx.walk) if wants_x else None,
                weight_gradient(library, gradient, weight, low, ctx.walk) if wants_weight else None,
                norm.channel_sums(library, gradient) if wants_bias else None,
            )
        types = (ctx.types[0], weight.dtype, ctx.types[1])
        return (*(None if g is None else g.to(kind) for g, kind in zip(gradients, types, strict=True)), None, None)


def _by_torch(ctx: Any, gradient: Tensor, low: Tensor, weight: Tensor) -> tuple[Tensor | None, ...]:
    """The same gradients through operations that can be differentiated again, in float32."""
    walk: Walk = ctx.walk
    height, width = low.shape[2:]
    (top, left), (bottom, right) = walk.before, walk.after((height, width), weight.shape[2])
    sides = (left, right, top, bottom)
    for_x, for_weight, for_bias = torch.ops.aten.convolution_backward(
        gradient.float(),
        F.pad(low.float(), sides),
        weight.float(),
        None if ctx.types[1] is None else [len(weight)],
        (walk.stride, walk.stride),
        (0, 0),
        (walk.dilation, walk.dilation),
        False,
        (0, 0),
        len(weight),
        list(ctx.needs_input_grad[:3]),
    )
    return None if for_x is None else F.pad(for_x, [-side for side in sides]), for_weight, for_bias


# The kernels, on tensors


def forward(library: Any, x: Tensor, weight: Tensor, walk: Walk) -> Tensor:
    """The convolution in the type of ``x``."""
    shape = _shape(x, weight, walk)
    y = map_like(x, (shape.n, shape.c, shape.oh, shape.ow), x.dtype)
    rows, threads = _rows(weight), torch.get_num_threads()
    library.depthwise_forward(address(x), address(rows), address(y), ctypes.byref(shape), is_low(x), threads)
    return y


def input_gradient(library: Any, gradient: Tensor, weight: Tensor, x: Tensor, walk: Walk) -> Tensor:
    """The gradient of ``x`` ``[N, C, H, W]``, in its type."""
    shape = _shape(x, weight, walk)
    result = torch.empty_like(x)
    rows, gradient = _rows(weight), gradient.to(x.dtype)
    threads = torch.get_num_threads()
    library.depthwise_input(address(gradient), address(rows), address(result), ctypes.byref(shape), is_low(x), threads)
    return result


def weight_gradient(library: Any, gradient: Tensor, weight: Tensor, x: Tensor, walk: Walk) -> Tensor:
    """The gradient of ``weight`` ``[C, 1, k, k]``, summed and given in float32."""
    shape = _shape(x, weight, walk)
    threads = min(torch.get_num_threads(), shape.n * shape.oh)
    sums = scratch(x, threads, shape.window**2, padded(shape.c)).zero_()
    gradient = gradient.to(x.dtype)
    library.depthwise_weight(address(x), address(gradient), address(sums), ctypes.byref(shape), is_low(x), threads)
    return sums.sum(0)[:, : shape.c].t().reshape(weight.shape)


def _shape(x: Tensor, weight: Tensor, walk: Walk) -> Shape:
    count, channels, height, width = x.shape
    return Shape(
        count, height, width, channels, *walk.outputs, weight.shape[2], walk.stride, walk.dilation, *walk.before
    )


def _rows(weight: Tensor) -> Tensor:
    """``[C, 1, k, k]`` as float32 ``[k * k, C]``, filled up with zeros to a multiple of the lanes."""
    channels = len(weight)
    rows = scratch(weight, weight[0].numel(), padded(channels)).zero_()
    rows[:, :channels] = weight.reshape(channels, -1).t()
    return rows
