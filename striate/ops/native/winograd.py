"""Convolutions of 3x3 windows with stride 1 in fewer multiplications, by kernels of ours; `products` chooses them.

Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016: 16 multiplications where there were 36. What
is multiplied are sums of neighbours, rounded to bfloat16, where otherwise the neighbours themselves were multiplied;
so results are off by 1.8 times of what rounding to bfloat16 costs anyway (0.43 % of their size, and 0.24 %). What is
infinite or no number reaches all outputs of the tiles that it is in, not only those of the windows.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from striate.ops.native.norm import OPEN, Normalised
from striate.ops.native.tensors import address, channels_last, done, floats, map_like, scratch

Pair = tuple[int, int]

SIZE = (3, 3)
FEWEST_TILES = 64
"""Below so many tiles of 2x2 outputs, what is done to the weight costs more than is gained."""
_PARTS = "the parts of tiles"


class Tiling(ctypes.Structure):
    """``Tiling`` of winograd.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "h", "w", "inputs", "oh", "ow", "outputs", "top", "left")),
        ("floor", ctypes.c_float),
        ("ceiling", ctypes.c_float),
    ]


def pays(shape: torch.Size, window: torch.Size, padding: tuple[int, ...]) -> bool:
    """Whether there are tiles enough in a convolution of ``[N, C, H, W]`` with stride 1."""
    if window != SIZE:
        return False
    down, across = (side + 2 * amount - 1 for side, amount in zip(shape[2:], padding, strict=True))  # and one more
    return shape[0] * (down // 2) * (across // 2) >= FEWEST_TILES


def convolve(library: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]``, channels-last, with ``weight`` ``[out, C, 3, 3]``, both sides padded alike.

    ``weight`` and ``bias`` are of any type; the output is bfloat16.
    """
    size = (x.shape[2] + 2 * padding[0] - 2, x.shape[3] + 2 * padding[1] - 2)
    return _forward(library, x, weight, bias, padding, size, turned=False)


def input_gradient(library: Any, gradient: Tensor, weight: Tensor, size: Pair, padding: Pair) -> Tensor:
    """The gradient of ``x``, whose sides are ``size``: of ``[N, out, H', W']``, channels-last, with the same weight."""
    return _forward(library, gradient, weight, None, (2 - padding[0], 2 - padding[1]), size, turned=True)


def weight_gradient(library: Any, gradient: Tensor, x: Tensor, padding: Pair, normalised: Normalised | None) -> Tensor:
    """The gradient of ``weight`` ``[out, C, 3, 3]``, channels-last, summed and given in float32.

    ``x`` is what the window read, or the input of the norm whose output it read; ``normalised`` then says what the
    norm did.
    """
    how, bounds = normalised or (None, OPEN)
    tiling = Tiling(*_sides(x), *_sides(gradient)[1:], *padding, *bounds)
    result = floats(x, gradient.shape[1], *SIZE, x.shape[1])
    tables = (None, None) if how is None else (how.scale, how.shift)
    given = [address(tensor) for tensor in (x, gradient, *tables, result)]
    done(library.winograd_weight(*given, ctypes.byref(tiling), torch.get_num_threads()), _PARTS)
    return result.permute(0, 3, 1, 2)


def _forward(
    library: Any, x: Tensor, weight: Tensor, bias: Tensor | None, before: Pair, size: Pair, *, turned: bool
) -> Tensor:
    outputs, inputs = weight.shape[:2]
    threads, seen, given = torch.get_num_threads(), x.shape[1], inputs if turned else outputs
    weight = channels_last(weight.float())
    bias = None if bias is None else bias.float()
    parts = scratch(x, library.winograd_parts(*map(ctypes.c_int64, (seen, given))))
    counts = map(ctypes.c_int64, (inputs, outputs))
    library.winograd_weights(address(weight), address(parts), *counts, int(turned), threads)
    y = map_like(x, (len(x), given, *size), torch.bfloat16)
    tiling = Tiling(*_sides(x), *_sides(y)[1:], *before, *OPEN)
    places = [address(tensor) for tensor in (x, parts, bias, y)]
    done(library.winograd_forward(*places, ctypes.byref(tiling), threads), _PARTS)
    return y


def _sides(x: Tensor) -> tuple[int, int, int, int]:
    """N, H, W, C."""
    return x.shape[0], x.shape[2], x.shape[3], x.shape[1]
