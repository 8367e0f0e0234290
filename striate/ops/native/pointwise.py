"""What the weight of a 1x1 convolution learns, by a kernel of ours; `products` has the convolution itself."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from striate.ops.native.norm import OPEN, Normalised
from striate.ops.native.tensors import address, done, floats


class Product(ctypes.Structure):
    """``Product`` of pointwise.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "h", "w", "inputs", "oh", "ow", "outputs", "stride")),
        ("floor", ctypes.c_float),
        ("ceiling", ctypes.c_float),
    ]


def weight_gradient(library: Any, gradient: Tensor, x: Tensor, stride: int, normalised: Normalised | None) -> Tensor:
    """The gradient of ``weight`` ``[out, C, 1, 1]``, summed and given in float32.

    ``x`` is what the window read, or the input of the norm whose output it read; ``normalised`` then says what the
    norm did.
    """
    count, inputs, height, width = x.shape
    outputs, down, across = gradient.shape[1:]
    how, bounds = normalised or (None, OPEN)
    product = Product(count, height, width, inputs, down, across, outputs, stride, *bounds)
    threads = max(1, min(torch.get_num_threads(), count * down * across // 64))
    sums = floats(threads, library.pointwise_sums(ctypes.byref(product)))
    result = floats(outputs, inputs, 1, 1)
    tables = (None, None) if how is None else (how.scale, how.shift)
    given = [address(tensor) for tensor in (x, gradient, *tables, sums, result)]
    done(library.pointwise_weight(*given, ctypes.byref(product), threads), "the panels of a matrix product")
    return result
