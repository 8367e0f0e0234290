"""What the weight of a convolution with stride 1 learns, by a kernel of ours; `products` has the convolution itself."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from striate.ops.native.norm import OPEN, Normalised
from striate.ops.native.tensors import address, done, floats, scratch

Pair = tuple[int, int]


class Window(ctypes.Structure):
    """``Window`` of windows.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "h", "w", "inputs", "oh", "ow", "outputs")),
        *((name, ctypes.c_int64) for name in ("rows", "columns", "top", "left")),
        ("floor", ctypes.c_float),
        ("ceiling", ctypes.c_float),
    ]


def weight_gradient(
    library: Any, gradient: Tensor, x: Tensor, size: Pair, before: Pair, normalised: Normalised | None
) -> Tensor:
    """The gradient of ``weight`` ``[out, C, *size]``, channels-last, summed and given in float32.

    Args:
        library: the kernels.
        gradient: of the output, ``[N, out, H', W']``.
        x: what the window read, or the input of the norm whose output it read.
        size: height and width of the window.
        before: the padding at the top and at the left, each less than the window.
        normalised: what that norm did, or None.
    """
    count, inputs, height, width = x.shape
    outputs, down, across = gradient.shape[1:]
    how, bounds = normalised or (None, OPEN)
    window = Window(count, height, width, inputs, down, across, outputs, *size, *before, *bounds)
    threads = library.windows_threads(ctypes.byref(window), torch.get_num_threads())
    sums = scratch(x, threads, library.windows_sums(ctypes.byref(window)))
    result = floats(x, outputs, *size, inputs)
    tables = (None, None) if how is None else (how.scale, how.shift)
    given = [address(tensor) for tensor in (x, gradient, *tables, sums, result)]
    done(library.windows_weight(*given, ctypes.byref(window), threads), "the panels of a matrix product")
    return result.permute(0, 3, 1, 2)
