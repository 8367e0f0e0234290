"""Which way a depthwise convolution goes on a CPU: our kernels, or torch's with what is slow in them avoided.

Our kernels (`striate.ops.native`) are for training. Where there are none: torch 2.13 has fast bfloat16 kernels for the
backward of a depthwise window of 3x3 at stride 1; for other windows and strides it falls back to a reference
implementation. Measured on one core pair (AMD EPYC, Zen 5; channels-last, batch 32), bfloat16 backward over this
module's in float32: 5x5 stride 1 2 to 3 times, 3x3 stride 2 2 to 15, 5x5 stride 2 8 to 15, but 3x3 stride 1 0.2. Hence
the rule below.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops.native import depthwise as native
from striate.ops.native.library import kernels_without_waiting
from striate.ops.native.tensors import will_be_differentiated

# The float32 copies of one slice of the batch. Small enough that the allocator gives the same warm memory for every
# slice: the whole batch at once is up to 1.7 times slower, and needs copies of all of it.
_SLICE_BYTES = 8 << 20


def slow_in_bfloat16(window: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> bool:
    """The rule: whether torch has no fast bfloat16 backward for a depthwise window of this kind on CPUs."""
    return max(window) > 3 or max(stride) > 1 or max(dilation) > 1


def wants_float32_backward(
    x: Tensor, weight: Tensor, *, stride: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> bool:
    """Whether this very call should go through `conv2d_float32_backward`: the rule, and all that makes it matter.

    It must be depthwise, on a CPU, channels-last, computed in bfloat16 (by autocast or by its own type), and part of
    something that will be differentiated.
    """
    return (
        groups > 1
        and weight.shape[1] == 1
        and len(stride) == 2
        and slow_in_bfloat16(tuple(weight.shape[2:]), stride, dilation)
        and not torch.compiler.is_compiling()  # the slices below are counted, and a compiler has ways of its own
        and x.device.type == "cpu"
        and will_be_differentiated(x, weight)
        and computed_in_bfloat16(x, weight)
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def kernel_type(
    x: Tensor, weight: Tensor, stride: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> torch.dtype | None:
    """The type in which our own kernels should compute this very call; None if torch should.

    What is compiled stays with torch, and so does what is computed in float32 and not differentiated: whoever only
    answers folds the network first. Frozen blocks answer in training, in its bfloat16.
    """
    low = computed_in_bfloat16(x, weight)
    if torch.compiler.is_compiling() or not (low or will_be_differentiated(x, weight)):
        return None
    if not native.suits(x, weight, stride, dilation, groups) or kernels_without_waiting(x, weight) is None:
        return None
    if low:
        return torch.bfloat16
    plain = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return torch.float32 if plain else None


def conv2d_float32_backward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """Convolve ``[N, C, H, W]`` in bfloat16; the gradients are computed in float32."""
    return _Float32Backward.apply(x, weight, bias, stride, padding, dilation, groups)


def computed_in_bfloat16(x: Tensor, weight: Tensor) -> bool:
    """Whether a convolution of these is computed in bfloat16, by its own types or by autocast."""
    if torch.is_autocast_enabled("cpu"):
        # Autocast leaves float64 alone, and so must we.
        return torch.get_autocast_dtype("cpu") == torch.bfloat16 and x.dtype in (torch.bfloat16, torch.float32)
    return x.dtype == weight.dtype == torch.bfloat16


class _Float32Backward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...],
        groups: int,
    ) -> Tensor:
        low = x.to(torch.bfloat16)
        ctx.save_for_backward(low, weight)
        ctx.window = (stride, padding, dilation, groups)
        ctx.types = (x.dtype, None if bias is None else bias.dtype)
        low_bias = None if bias is None else bias.to(torch.bfloat16)
        return F.conv2d(low, weight.to(torch.bfloat16), low_bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.window
        x_type, bias_type = ctx.types
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        wide = weight.float()
        for_x = torch.empty_like(x, dtype=x_type) if wants_x else None
        for_weight = torch.zeros_like(wide) if wants_weight else None
        images = max(1, _SLICE_BYTES // max(1, 4 * x[:1].numel()))
        for start in range(0, len(x), images):
            part = slice(start, start + images)
            part_x, part_weight, _ = torch.ops.aten.convolution_backward(
                gradient[part].float(),
                x[part].float(),
                wide,
                None,
                stride,
                padding,
                dilation,
                False,
                (0, 0),
                groups,
                [wants_x, wants_weight, False],
            )
            if for_x is not None:
                for_x[part] = part_x
            if for_weight is not None:
                for_weight += part_weight
        for_bias = gradient.sum((0, 2, 3), dtype=torch.float32).to(bias_type) if wants_bias else None
        return for_x, None if for_weight is None else for_weight.to(weight.dtype), for_bias, None, None, None, None
