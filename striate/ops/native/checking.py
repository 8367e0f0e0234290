"""Whether freshly loaded kernels compute what torch computes: a few shapes with all that can go wrong in them.

Gradients are asked of torch's operations and not of autograd, which loads half of torch's compiler: who only wants an
answer would wait for that.
"""

import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils import _python_dispatch

from striate.ops.native import chain, dense, depthwise, norm, pointwise, pooling, windows, winograd

# Window, stride, dilation, padding, size: borders on all sides, rows shorter than a tile, a short block of channels.
CASES = ((3, 1, 1, 1, (5, 9)), (3, 2, 1, 0, (8, 7)), (5, 1, 1, 2, (9, 6)), (5, 2, 2, 3, (6, 11)), (7, 2, 1, 3, (4, 13)))
CHANNELS, PICTURES = 19, 2
# Window, stride, dilation, padding, size: windows alone and over each other, clipped on all sides, in gaps.
POOLS = ((2, 2, 1, 0, (6, 9)), (3, 2, 1, 1, (8, 7)), (3, 1, 1, 1, (5, 9)), (5, 3, 1, 2, (9, 6)), (2, 3, 2, 1, (8, 8)))
DENSE = ((3, 800, 23), (13, 67, 41))  # rows, inputs, outputs: more than a tile of inputs, more than a block of rows
# Size, padding: as much as there may be, and none.
WINDOWS = (((3, 3), (1, 1)), ((2, 5), (1, 0)))
NORM = ("input", "residual", "weight", "bias")
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def first_difference(library: Any) -> str:
    """Which case differs from torch by more than rounding, in words; "" if none does."""
    # It is asked in the middle of somebody's step, answer or trace, whose autocast, device and modes are not meant.
    usual, real = torch.get_default_dtype(), getattr(_python_dispatch, "_disable_current_modes", nullcontext)
    torch.set_default_dtype(torch.float32)
    try:
        with real(), torch.autocast("cpu", enabled=False), torch.device("cpu"), torch.no_grad():
            return _first_difference(library)
    finally:
        torch.set_default_dtype(usual)


def _first_difference(library: Any) -> str:
    generator = torch.Generator().manual_seed(0)
    for dtype, tolerance in TOLERANCE.items():
        for what, ours, theirs in itertools.chain(
            _depthwise(library, dtype, generator),
            _norms(library, dtype, generator),
            _pointwise(library, dtype, generator),
            _pools(library, dtype, generator),
            _dense(library, dtype, generator),
            _chain(library, dtype, generator),
        ):
            if not (ours.float() - theirs).abs().max() <= tolerance * theirs.abs().max():
                return f"{what}, {str(dtype).removeprefix('torch.')}"
    return ""


Pairs = Iterator[tuple[str, Tensor, Tensor]]
"""What is compared, as we compute it and as torch does, in float32."""


def _maps(generator: torch.Generator, dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)


def _depthwise(library: Any, dtype: torch.dtype, generator: torch.Generator) -> Pairs:
    for window, stride, dilation, before, size in CASES:
        reach = (window - 1) * dilation + 1
        down, across = ((side + 2 * before - reach) // stride + 1 for side in size)
        walk = depthwise.Walk(stride, dilation, (before, before), (down, across))
        x = _maps(generator, dtype, PICTURES, CHANNELS, *size)
        weight = torch.randn(CHANNELS, 1, window, window, generator=generator).to(dtype)
        gradient = _maps(generator, dtype, PICTURES, CHANNELS, down, across)
        steps = ((stride, stride), (before, before), (dilation, dilation))
        wide = (gradient.float(), x.float(), weight.float())
        for_x, for_weight, _ = torch.ops.aten.convolution_backward(
            *wide, None, *steps, False, (0, 0), CHANNELS, [True, True, False]
        )
        said = f"of a window of {window}, stride {stride}"
        y = F.conv2d(*wide[1:], None, *steps, CHANNELS)
        yield f"output {said}", depthwise.forward(library, x, weight, walk), y
        yield f"input {said}", depthwise.input_gradient(library, gradient, weight, x, walk), for_x
        yield f"weight {said}", depthwise.weight_gradient(library, gradient, weight, x, walk), for_weight


def _norms(library: Any, dtype: torch.dtype, generator: torch.Generator) -> Pairs:
    x, residual, gradient = (_maps(generator, dtype, PICTURES, CHANNELS, 5, 9) for _ in range(3))
    mean, variance = norm.statistics(library, x)
    yield "mean of a norm", mean, x.float().mean((0, 2, 3))
    yield "variance of a norm", variance, x.float().var((0, 2, 3), correction=0)
    weight, bias = torch.randn(2, CHANNELS, generator=generator)
    how, bounds = norm.Statistics.of(mean, variance, weight, bias, 1e-5, own=True), (0.0, 6.0)
    normalised, *used = torch.ops.aten.native_batch_norm(x.float(), weight, bias, None, None, True, 0.0, 1e-5)
    behind = normalised + residual.float()
    passed = gradient.float() * ((behind > bounds[0]) & (behind < bounds[1]))
    steps = (None, None, *used, True, 1e-5, [True, True, True])
    for_x, *for_parameters = torch.ops.aten.native_batch_norm_backward(passed, x.float(), weight, *steps)
    result, gated = torch.empty_like(x), torch.empty_like(x)
    of_parameters = norm.backward(library, gradient, x, residual, gated, result, how, bounds)
    yield "output of a norm", norm.apply(library, x, residual, how, bounds), behind.clamp(*bounds)
    wanted = (for_x, passed, *for_parameters)
    for name, ours, theirs in zip(NORM, (result, gated, *of_parameters), wanted, strict=True):
        yield f"{name} of a norm", ours, theirs


def _pointwise(library: Any, dtype: torch.dtype, generator: torch.Generator) -> Pairs:
    if dtype is not torch.bfloat16 or not library.pointwise_multiplies():
        return
    x, gradient = (_maps(generator, dtype, PICTURES, count, 5, 9) for count in (20, 70))
    weight, bias = torch.randn(70, 20, 1, 1, generator=generator), torch.randn(70, generator=generator)
    wanted = F.conv2d(x.float(), weight, bias)
    yield "output of a 1x1 window", pointwise.convolve(library, x, weight, bias), wanted
    wanted = F.conv2d(gradient.float(), weight.transpose(0, 1))
    yield "input of a 1x1 window", pointwise.input_gradient(library, gradient, weight), wanted
    for outputs in (CHANNELS, 4 * CHANNELS):
        x = _maps(generator, dtype, PICTURES, 3 * CHANNELS, 5, 9)
        gradient = _maps(generator, dtype, PICTURES, outputs, 3, 5)
        wanted = torch.einsum("nohw,nihw->oi", gradient.float(), x[:, :, ::2, ::2].float())[:, :, None, None]
        yield "weight of a 1x1 window", pointwise.weight_gradient(library, gradient, x, 2, None), wanted
        for size, before in WINDOWS:
            down, across = (side + 2 * lead - n + 1 for side, lead, n in zip(x.shape[2:], before, size, strict=True))
            gradient = _maps(generator, dtype, PICTURES, outputs, down, across)
            weight = torch.zeros(outputs, 3 * CHANNELS, *size)
            steps = (None, (1, 1), before, (1, 1), False, (0, 0), 1, [False, True, False])
            _, wanted, _ = torch.ops.aten.convolution_backward(gradient.float(), x.float(), weight, *steps)
            found = windows.weight_gradient(library, gradient, x, size, before, None)
            yield f"weight of a window of {size}", found, wanted
        yield from _tiles(library, x, torch.randn(outputs, 3 * CHANNELS, 3, 3, generator=generator), generator)


def _tiles(library: Any, x: Tensor, weight: Tensor, generator: torch.Generator) -> Pairs:
    y = F.conv2d(x.float(), weight, None, 1, 1)
    gradient = _maps(generator, x.dtype, *y.shape)
    steps = (None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1, [True, True, False])
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(gradient.float(), x.float(), weight, *steps)
    size, padding = (x.shape[2], x.shape[3]), (1, 1)
    yield "output of tiles", winograd.convolve(library, x, weight, None, padding), y
    yield "input of tiles", winograd.input_gradient(library, gradient, weight, size, padding), of_x
    yield "weight of tiles", winograd.weight_gradient(library, gradient, x, padding, None), of_weight


def _pools(library: Any, dtype: torch.dtype, generator: torch.Generator) -> Pairs:
    for window, stride, dilation, before, size in POOLS:
        # Whole numbers, many of them equal; in one place none at all.
        x = _maps(generator, dtype, PICTURES, 3 * CHANNELS, *size).round()
        x[1, 2, 3, 4] = torch.nan
        sides = (window, stride, before, dilation, False)
        y, taken = F.max_pool2d(x.float(), *sides, return_indices=True)
        gradient = _maps(generator, dtype, *y.shape)
        wanted = torch.ops.aten.max_pool2d_with_indices_backward(gradient.float(), x.float(), *sides, taken)
        steps = (window, window), (stride, stride), (dilation, dilation), (before, before)
        walk = pooling.Walk(*steps, (y.shape[2], y.shape[3]))
        found, places = pooling.forward(library, x, walk)
        said = f"of a pool of {window}, stride {stride}"
        yield f"output {said}", found.nan_to_num(9.0), y.nan_to_num(9.0)
        yield f"input {said}", pooling.backward(library, gradient, places, walk, size), wanted


def _dense(library: Any, dtype: torch.dtype, generator: torch.Generator) -> Pairs:
    for rows, inputs, outputs in DENSE:
        x, gradient = (torch.randn(rows, count, generator=generator).to(dtype) for count in (inputs, outputs))
        weight, bias = torch.randn(outputs, inputs, generator=generator), torch.randn(outputs, generator=generator)
        said = f"of a dense layer of {rows} rows"
        yield f"output {said}", dense.forward(library, x, weight, bias), F.linear(x.float(), weight, bias)
        yield f"input {said}", dense.input_gradient(library, gradient, weight), gradient.float() @ weight
        yield f"weight {said}", dense.weight_gradient(library, gradient, x), gradient.float().t() @ x.float()


def _chain(library: Any, dtype: torch.dtype, generator: torch.Generator) -> Pairs:
    if dtype is not torch.float32:
        return
    x = _maps(generator, dtype, PICTURES, 3, 9, 12)
    shapes = ((CHANNELS, 3, 3, 3), (CHANNELS, 1, 3, 3), (CHANNELS, CHANNELS, 1, 1))
    weights = [torch.randn(shape, generator=generator) for shape in shapes]
    biases, (wide, slim) = torch.randn(3, CHANNELS, generator=generator), ((CHANNELS, 5, 6), (CHANNELS, 3, 3))
    layers = (
        chain.Layer("window", 0, (3, 9, 12), wide, (3, 3), 2, (1, 0), weights[0], biases[0]),
        chain.Layer("depthwise", 1, wide, wide, (3, 3), 1, (1, 1), weights[1], biases[1], bounds=(0.0, 6.0)),
        chain.Layer("window", 2, wide, wide, weight=weights[2], bias=biases[2], adds=1),
        chain.Layer("maximum", 3, wide, slim, (3, 3), 2, (1, 1)),
        chain.Layer("nearest", 4, slim, wide, adds=3),
        chain.Layer("mean", 5, wide, (CHANNELS, 1, 1)),
    )
    first = F.conv2d(F.pad(x, (0, 1, 1, 1)), weights[0], biases[0], 2)
    second = F.conv2d(first, weights[1], biases[1], 1, 1, groups=CHANNELS).clamp(0, 6)
    third = F.conv2d(second, weights[2], biases[2]) + first
    fourth = F.interpolate(F.max_pool2d(third, 3, 2, 1), size=wide[1:], mode="nearest") + third
    (answer,) = chain.Chain(library, layers)(x)
    yield "answer of a chain", answer, fourth.mean((2, 3), keepdim=True)
