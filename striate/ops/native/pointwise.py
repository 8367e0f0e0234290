"""1x1 convolutions, and what their weights learn, by kernels of ours; `products` chooses them."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from striate.ops.native.norm import OPEN, Normalised
from striate.ops.native.tensors import address, done, floats, map_like, padded, scratch


class Product(ctypes.Structure):
    """``Product`` of pointwise.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "h", "w", "inputs", "oh", "ow", "outputs", "stride")),
        ("floor", ctypes.c_float),
        ("ceiling", ctypes.c_float),
    ]


def pays(weight: torch.Size, stride: int) -> bool:
    """Whether a convolution with a weight of this shape is computed here: 1x1 windows everywhere, pairs of channels."""
    return weight[2:] == (1, 1) and stride == 1 and weight[0] % 2 == weight[1] % 2 == 0


def convolve(library: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve bfloat16 ``x`` ``[N, C, H, W]``, channels-last, with ``weight`` ``[out, C, 1, 1]``.

    ``weight`` and ``bias`` are of any type; the output is bfloat16.
    """
    return _forward(library, x, weight, bias, turned=False)


def input_gradient(library: Any, gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient of ``x``: of ``[N, out, H, W]``, channels-last, with the same weight."""
    return _forward(library, gradient, weight, None, turned=True)


def _forward(library: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *, turned: bool) -> Tensor:
    inputs, threads = x.shape[1], torch.get_num_threads()
    outputs = weight.shape[1] if turned else weight.shape[0]
    weight, bias = weight.float().contiguous(), None if bias is None else bias.float()
    panels = scratch(x, inputs // 2, padded(outputs))
    counts = ctypes.c_int64(inputs), ctypes.c_int64(outputs)
    library.pointwise_weights(address(weight), address(panels), *counts, int(turned), threads)
    y = map_like(x, (x.shape[0], outputs, *x.shape[2:]), torch.bfloat16)
    places = ctypes.c_int64(x.numel() // inputs)
    library.pointwise_forward(address(x), address(panels), address(bias), address(y), places, *counts, threads)
    return y


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
    sums = scratch(x, threads, library.pointwise_sums(ctypes.byref(product)))
    result = floats(x, outputs, inputs, 1, 1)
    tables = (None, None) if how is None else (how.scale, how.shift)
    given = [address(tensor) for tensor in (x, gradient, *tables, sums, result)]
    done(library.pointwise_weight(*given, ctypes.byref(product), threads), "the panels of a matrix product")
    return result
