"""Whether freshly loaded kernels compute what torch computes: a few shapes with all that can go wrong in them."""

from typing import Any

import torch
from torch.nn import functional as F

from striate.ops.native import depthwise

# Window, stride, dilation, padding, size: borders on all sides, rows shorter than a tile, a short block of channels.
CASES = ((3, 1, 1, 1, (5, 9)), (3, 2, 1, 0, (8, 7)), (5, 1, 1, 2, (9, 6)), (5, 2, 2, 3, (6, 11)), (7, 2, 1, 3, (4, 13)))
CHANNELS, PICTURES = 19, 2
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def first_difference(library: Any) -> str:
    """Which case differs from torch by more than rounding, in words; "" if none does."""
    # It is asked in the middle of somebody's step: neither their autocast nor their device is meant here.
    with torch.autocast("cpu", enabled=False), torch.device("cpu"), torch.no_grad():
        return _first_difference(library)


def _first_difference(library: Any) -> str:
    generator = torch.Generator().manual_seed(0)
    for window, stride, dilation, before, size in CASES:
        reach = (window - 1) * dilation + 1
        down, across = ((side + 2 * before - reach) // stride + 1 for side in size)
        walk = depthwise.Walk(stride, dilation, (before, before), (down, across))
        for dtype, tolerance in TOLERANCE.items():
            x = torch.randn(PICTURES, CHANNELS, *size, generator=generator).to(dtype)
            x = x.contiguous(memory_format=torch.channels_last)
            weight = torch.randn(CHANNELS, 1, window, window, generator=generator).to(dtype)
            gradient = torch.randn(PICTURES, CHANNELS, down, across, generator=generator).to(dtype)
            gradient = gradient.contiguous(memory_format=torch.channels_last)
            found = (
                depthwise.forward(library, x, weight, walk),
                depthwise.input_gradient(library, gradient, weight, x, walk),
                depthwise.weight_gradient(library, gradient, weight, x, walk),
            )
            wide = [tensor.float() for tensor in (x, weight, gradient)]
            steps = ((stride, stride), (before, before), (dilation, dilation))
            y = F.conv2d(wide[0], wide[1], None, *steps, CHANNELS)
            for_x, for_weight, _ = torch.ops.aten.convolution_backward(
                wide[2], wide[0], wide[1], None, *steps, False, (0, 0), CHANNELS, [True, True, False]
            )
            for name, ours, theirs in zip(("output", "input", "weight"), found, (y, for_x, for_weight), strict=True):
                if not (ours.float() - theirs).abs().max() <= tolerance * theirs.abs().max():
                    return f"{name} of a window of {window}, stride {stride}, {str(dtype).removeprefix('torch.')}"
    return ""
