"""Whether freshly loaded kernels compute what torch computes: a few shapes with all that can go wrong in them."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops.native import dense, depthwise, norm, pointwise, pooling, windows, winograd

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
    # It is asked in the middle of somebody's step: neither their autocast nor their device is meant here.
    with torch.autocast("cpu", enabled=False), torch.device("cpu"), torch.no_grad():
        return _first_difference(library)


def _first_difference(library: Any) -> str:
    generator = torch.Generator().manual_seed(0)
    for dtype, tolerance in TOLERANCE.items():
        for what, ours, theirs in chain(
            _depthwise(library, dtype, generator),
            _norms(library, dtype, generator),
            _pointwise(library, dtype, generator),
            _pools(library, dtype, generator),
            _dense(library, dtype, generator),
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
    wide = [tensor.float().requires_grad_() for tensor in (x, residual)]
    yield "mean of a norm", mean, wide[0].mean((0, 2, 3))
    yield "variance of a norm", variance, wide[0].var((0, 2, 3), correction=0)
    weight, bias = (torch.randn(CHANNELS, generator=generator).requires_grad_() for _ in range(2))
    how = norm.Statistics.of(mean, variance, weight.detach(), bias.detach(), 1e-5, own=True)
    bounds = (0.0, 6.0)
    with torch.enable_grad():
        y = (F.batch_norm(wide[0], None, None, weight, bias, True, 0.0, 1e-5) + wide[1]).clamp(*bounds)
        theirs = torch.autograd.grad(y, (*wide, weight, bias), gradient.float())
    result, gated = torch.empty_like(x), torch.empty_like(x)
    of_parameters = norm.backward(library, gradient, x, residual, gated, result, how, bounds)
    yield "output of a norm", norm.apply(library, x, residual, how, bounds), y.detach()
    for name, ours, wanted in zip(NORM, (result, gated, *of_parameters), theirs, strict=True):
        yield f"{name} of a norm", ours, wanted


def _pointwise(library: Any, dtype: torch.dtype, generator: torch.Generator) -> Pairs:
    if dtype is not torch.bfloat16 or not library.pointwise_multiplies():
        return
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
    wide, weight = x.float().requires_grad_(), weight.requires_grad_()
    with torch.enable_grad():
        y = F.conv2d(wide, weight, None, 1, 1)
    gradient = _maps(generator, x.dtype, *y.shape)
    of_x, of_weight = torch.autograd.grad(y, (wide, weight), gradient.float())
    size, padding, plain = (x.shape[2], x.shape[3]), (1, 1), weight.detach()
    yield "output of tiles", winograd.convolve(library, x, plain, None, padding), y.detach()
    yield "input of tiles", winograd.input_gradient(library, gradient, plain, size, padding), of_x
    yield "weight of tiles", winograd.weight_gradient(library, gradient, x, padding, None), of_weight


def _pools(library: Any, dtype: torch.dtype, generator: torch.Generator) -> Pairs:
    for window, stride, dilation, before, size in POOLS:
        # Whole numbers, many of them equal; in one place none at all.
        x = _maps(generator, dtype, PICTURES, 3 * CHANNELS, *size).round()
        x[1, 2, 3, 4] = torch.nan
        wide = x.float().requires_grad_()
        with torch.enable_grad():
            y = F.max_pool2d(wide, window, stride, before, dilation)
        gradient = _maps(generator, dtype, *y.shape)
        wanted = torch.autograd.grad(y, wide, gradient.float())[0]
        steps = (window, window), (stride, stride), (dilation, dilation), (before, before)
        walk = pooling.Walk(*steps, (y.shape[2], y.shape[3]))
        found, places = pooling.forward(library, x, walk)
        said = f"of a pool of {window}, stride {stride}"
        yield f"output {said}", found.nan_to_num(9.0), y.detach().nan_to_num(9.0)
        yield f"input {said}", pooling.backward(library, gradient, places, walk, size), wanted


def _dense(library: Any, dtype: torch.dtype, generator: torch.Generator) -> Pairs:
    for rows, inputs, outputs in DENSE:
        x, gradient = (torch.randn(rows, count, generator=generator).to(dtype) for count in (inputs, outputs))
        weight, bias = torch.randn(outputs, inputs, generator=generator), torch.randn(outputs, generator=generator)
        said = f"of a dense layer of {rows} rows"
        yield f"output {said}", dense.forward(library, x, weight, bias), F.linear(x.float(), weight, bias)
        yield f"input {said}", dense.input_gradient(library, gradient, weight), gradient.float() @ weight
        yield f"weight {said}", dense.weight_gradient(library, gradient, x), gradient.float().t() @ x.float()
