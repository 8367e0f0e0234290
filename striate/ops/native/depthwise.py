"""Depthwise windows by our own kernels: padding is read in place, and no gradient is slower than the bytes it moves.

The reference is torch's convolution in float32, which these equal to the rounding of the type that they compute in.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops.native.library import kernels

WINDOWS, STRIDES = (3, 5, 7), (1, 2)
LANES = 16
Pair = tuple[int, int]


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
        and x.dim() == 4
        and weight.shape == (groups, 1, weight.shape[2], weight.shape[2])
        and weight.shape[2] in WINDOWS
        and stride in ((1, 1), (2, 2))
        and dilation[0] == dilation[1]
        and x.device.type == "cpu"
        and x.numel() > 0
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    dtype: torch.dtype,
    stride: int,
    dilation: int,
    before: Pair,
    outputs: Pair,
) -> Tensor:
    """Convolve each map of ``x`` ``[N, C, H, W]`` with its window of ``weight`` ``[C, 1, k, k]``, in ``dtype``.

    ``before`` is the padding at the top and at the left, and ``outputs`` the size of what comes out, which says how
    far the padding reaches at the other sides. Gradients come in the types of what was given.
    """
    return _Depthwise.apply(x, weight, bias, dtype, stride, dilation, before, outputs)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        dtype: torch.dtype,
        stride: int,
        dilation: int,
        before: Pair,
        outputs: Pair,
    ) -> Tensor:
        low = x.to(dtype)
        ctx.save_for_backward(low, weight)
        ctx.types = (x.dtype, None if bias is None else bias.dtype)
        ctx.window = (stride, dilation, before, outputs)
        light = weight.to(dtype)
        if _alike(low, weight, *ctx.window):  # torch pads both sides alike by itself, and its forward is the faster one
            y = F.conv2d(low, light, None, stride, before, dilation, len(weight))
        else:
            y = forward(kernels(), low, light, *ctx.window)
        return y if bias is None else y.add_(bias.to(dtype)[:, None, None])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        low, weight = ctx.saved_tensors
        stride, dilation, before, outputs = ctx.window
        x_type, bias_type = ctx.types
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        nothing = (None,) * 5
        if torch.is_grad_enabled():  # somebody wants gradients of these gradients: torch knows how
            return (*_by_torch(ctx, gradient, low, weight), *nothing)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        window = (stride, dilation, before, outputs)
        for_x = input_gradient(kernels(), gradient, weight.to(low.dtype), low, *window) if wants_x else None
        for_weight = weight_gradient(kernels(), gradient, weight, low, *window) if wants_weight else None
        for_bias = gradient.sum((0, 2, 3), dtype=torch.float32).to(bias_type) if wants_bias else None
        return (
            None if for_x is None else for_x.to(x_type),
            None if for_weight is None else for_weight.to(weight.dtype),
            for_bias,
            *nothing,
        )


def _alike(x: Tensor, weight: Tensor, stride: int, dilation: int, before: Pair, outputs: Pair) -> bool:
    """Whether as much padding after as before gives the same outputs: a window may leave the last places unread."""
    reach = (weight.shape[2] - 1) * dilation + 1
    sizes = zip(x.shape[2:], before, outputs, strict=True)
    return all((size + 2 * lead - reach) // stride + 1 == count for size, lead, count in sizes)


def _after(x: Tensor, weight: Tensor, stride: int, dilation: int, before: Pair, outputs: Pair) -> Pair:
    """How far the padding reaches at the bottom and at the right; less than 0 where rows there are not read."""
    reach = (weight.shape[2] - 1) * dilation + 1
    bottom, right = (
        (count - 1) * stride + reach - lead - size
        for count, lead, size in zip(outputs, before, x.shape[2:], strict=True)
    )
    return bottom, right


def _by_torch(ctx: Any, gradient: Tensor, low: Tensor, weight: Tensor) -> tuple[Tensor | None, ...]:
    """The same gradients through operations that can be differentiated again, in float32."""
    stride, dilation, before, _ = ctx.window
    x_type, bias_type = ctx.types
    after = _after(low, weight, *ctx.window)
    sides = (before[1], after[1], before[0], after[0])
    wide = F.pad(low.float(), sides)
    for_x, for_weight, for_bias = torch.ops.aten.convolution_backward(
        gradient.float(),
        wide,
        weight.float(),
        None if bias_type is None else [len(weight)],
        (stride, stride),
        (0, 0),
        (dilation, dilation),
        False,
        (0, 0),
        len(weight),
        list(ctx.needs_input_grad[:3]),
    )
    if for_x is not None:
        for_x = F.pad(for_x, [-side for side in sides]).to(x_type)
    return (
        for_x,
        None if for_weight is None else for_weight.to(weight.dtype),
        None if for_bias is None else for_bias.to(bias_type),
    )


# The kernels, on tensors


def forward(library: Any, x: Tensor, weight: Tensor, *window: Any) -> Tensor:
    """The convolution in the type of ``x``; see `convolve` for the window."""
    shape = _shape(x, weight, *window)
    y = torch.empty((shape.n, shape.c, shape.oh, shape.ow), dtype=x.dtype, memory_format=torch.channels_last)
    rows = _rows(weight)
    library.depthwise_forward(_at(x), _at(rows), _at(y), ctypes.byref(shape), _low(x), torch.get_num_threads())
    return y


def input_gradient(library: Any, gradient: Tensor, weight: Tensor, x: Tensor, *window: Any) -> Tensor:
    """The gradient of ``x`` ``[N, C, H, W]``, in its type."""
    shape = _shape(x, weight, *window)
    result = torch.empty_like(x)
    rows, gradient = _rows(weight), gradient.to(x.dtype)
    threads = torch.get_num_threads()
    library.depthwise_input(_at(gradient), _at(rows), _at(result), ctypes.byref(shape), _low(x), threads)
    return result


def weight_gradient(library: Any, gradient: Tensor, weight: Tensor, x: Tensor, *window: Any) -> Tensor:
    """The gradient of ``weight`` ``[C, 1, k, k]``, summed and given in float32."""
    shape = _shape(x, weight, *window)
    threads = min(torch.get_num_threads(), shape.n * shape.oh)
    sums = torch.zeros(threads, shape.window**2, _padded(shape.c))
    gradient = gradient.to(x.dtype)
    library.depthwise_weight(_at(x), _at(gradient), _at(sums), ctypes.byref(shape), _low(x), threads)
    return sums.sum(0)[:, : shape.c].t().reshape(weight.shape)


def _shape(x: Tensor, weight: Tensor, stride: int, dilation: int, before: Pair, outputs: Pair) -> Shape:
    count, channels, height, width = x.shape
    return Shape(count, height, width, channels, *outputs, weight.shape[2], stride, dilation, *before)


def _rows(weight: Tensor) -> Tensor:
    """``[C, 1, k, k]`` as float32 ``[k * k, C]``, filled up with zeros to a multiple of the lanes."""
    channels = len(weight)
    rows = torch.zeros(weight[0].numel(), _padded(channels))
    rows[:, :channels] = weight.reshape(channels, -1).t()
    return rows


def _padded(channels: int) -> int:
    return -(-channels // LANES) * LANES


def _at(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def _low(x: Tensor) -> int:
    return int(x.dtype == torch.bfloat16)
