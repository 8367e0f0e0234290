"""The largest of each window by our own kernels: a byte for each output says where it was, and the input is not kept.

The reference is torch's max pool, which these equal to the last bit; gradients of windows that overlap are added up in
float32.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.ops.native.library import kernels_for
from striate.ops.native.tensors import address, channels_last, is_channels_last, is_low, map_like

TAPS = 255
"""The places of the largest window."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Walk:
    """How a window walks over a map: its size and steps, where it begins, how often it stops; all (down, across).

    ``before`` is the padding at the top and at the left, and ``outputs`` the size of what comes out, which says how
    far the padding reaches at the other sides.
    """

    window: Pair
    stride: Pair
    dilation: Pair
    before: Pair
    outputs: Pair


class Shape(ctypes.Structure):
    """``Shape`` of pooling.c."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("n", "h", "w", "c", "oh", "ow", "rows", "columns", "down", "across"),
            *("dilation_down", "dilation_across", "top", "left"),
        )
    ]


def suits(x: Tensor, window: tuple[int, ...]) -> bool:
    """Whether there is a kernel for this window over ``x``: float32 or bfloat16, channels-last on a CPU."""
    return (
        len(window) == 2
        and window[0] * window[1] <= TAPS
        and x.dtype in (torch.float32, torch.bfloat16)
        and is_channels_last(x)
    )


def largest(x: Tensor, walk: Walk) -> Tensor:
    """The largest of each window of ``x`` ``[N, C, H, W]``. Each window must see a pixel."""
    y: Tensor = _Largest.apply(x, walk)
    return y


class _Largest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, walk: Walk) -> Tensor:
        y, places = forward(kernels_for(x), x, walk)
        ctx.save_for_backward(places)
        ctx.walk, ctx.size, ctx.type = walk, (x.shape[2], x.shape[3]), x.dtype
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants gradients of these gradients: torch knows how
            return _by_torch(gradient, places, ctx.walk, ctx.size).to(ctx.type), None
        gradient, places = channels_last(gradient.to(ctx.type)), channels_last(places)
        return backward(kernels_for(places), gradient, places, ctx.walk, ctx.size), None


def _by_torch(gradient: Tensor, places: Tensor, walk: Walk, size: Pair) -> Tensor:
    """The same gradient through operations that can be differentiated again, in float32."""
    place, taps = places.long(), walk.window[1]
    starts = [
        torch.arange(count, device=places.device) * step - lead
        for count, step, lead in zip(walk.outputs, walk.stride, walk.before, strict=True)
    ]
    row = starts[0][:, None] + place // taps * walk.dilation[0]
    column = starts[1] + place % taps * walk.dilation[1]
    flat = torch.zeros(*places.shape[:2], size[0] * size[1], dtype=torch.float32, device=places.device)
    flat = flat.scatter_add(2, (row * size[1] + column).flatten(2), gradient.float().flatten(2))
    return flat.unflatten(2, size)


# The kernels, on tensors


def forward(library: Any, x: Tensor, walk: Walk) -> tuple[Tensor, Tensor]:
    """The largest of each window, and its place in the window, uint8."""
    shape = _shape(x, (x.shape[2], x.shape[3]), walk)
    y = map_like(x, (*x.shape[:2], *walk.outputs), x.dtype)
    places = torch.empty_like(y, dtype=torch.uint8)
    maps = address(x), address(y), address(places)
    library.pooling_forward(*maps, ctypes.byref(shape), is_low(x), torch.get_num_threads())
    return y, places


def backward(library: Any, gradient: Tensor, places: Tensor, walk: Walk, size: Pair) -> Tensor:
    """The gradient of the input, whose height and width are ``size``, in the type of the output's."""
    shape = _shape(gradient, size, walk)
    result = map_like(gradient, (*gradient.shape[:2], *size), gradient.dtype)
    maps = address(gradient), address(places), address(result)
    library.pooling_backward(*maps, ctypes.byref(shape), is_low(gradient), torch.get_num_threads())
    return result


def _shape(x: Tensor, size: Pair, walk: Walk) -> Shape:
    steps = (*walk.outputs, *walk.window, *walk.stride, *walk.dilation, *walk.before)
    return Shape(x.shape[0], *size, x.shape[1], *steps)
