"""What a library takes beside the tensors of an operation: oneDNN's copies of a convolution's weights.

torch's convolutions on CPUs are oneDNN's, which wants weights in an order of its own, with channels filled up to whole
vectors. Of channels-last maps it copies nothing else; backward, the weights' gradient is there three times, in its
order, as the result and in between. Measured with torch 2.13 (by its profiler, as
`make accept TOPIC=plan ONLY=3,8` does for whole networks). What else it takes is a few kilobytes a call, or of pictures
with one channel a hundred; maps that lie channel by channel it copies as well, which is not counted.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

FULL = 16
"""Channels are filled up to a multiple of it."""


def workspaces(name: str, args: tuple[Any, ...]) -> tuple[int, ...]:
    """Bytes of each piece that is taken while an operation runs, beside its arguments and what it gives.

    ``name`` is torch's, ``args`` are the arguments as torch dispatches them; other operations take none.
    """
    if name == "convolution":
        x, weight, steps = args[0], args[1], (args[3], args[5])
        transposed, groups = args[6], args[8]
        wanted = "forward"
    elif name == "convolution_backward":
        x, weight, steps = args[1], args[2], (args[4], args[6])
        transposed, groups, (for_x, for_weight, _) = args[7], args[9], args[10]
        wanted = "weight" if for_weight else "x" if for_x else ""
    else:
        return ()
    if transposed or not wanted or not _lies_by_channels(x, weight) or not _is_onednns(x, weight, steps, groups):
        return ()
    outputs, inputs, *window = weight.shape
    full = (lambda channels: channels) if groups > 1 else filled  # those of depthwise windows are vectors as they are
    place = math.prod(window) * weight.element_size()
    if wanted == "forward":
        return (full(outputs) * inputs * place,)
    if wanted == "x":
        return (outputs * full(inputs) * place,)
    return full(outputs) * (inputs if inputs < FULL else full(inputs)) * place, weight.numel() * weight.element_size()


def filled(channels: int) -> int:
    """A number of channels brought to whole vectors.

    Example:
        >>> filled(6), filled(16), filled(50)
        (16, 16, 64)
    """
    return -(-channels // FULL) * FULL


def _lies_by_channels(x: Tensor, weight: Tensor) -> bool:
    return x.dim() == weight.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)


def _is_onednns(x: Tensor, weight: Tensor, steps: Sequence[Sequence[int]], groups: int) -> bool:
    """Whether torch lets oneDNN compute a convolution, of these strides and dilations: its ``use_mkldnn``."""
    if x.device.type != "cpu" or not torch._C._get_mkldnn_enabled():
        return False
    if x.dtype == torch.bfloat16:
        return True
    window = weight.shape[2:]
    alone = window.numel() == 1 and all(step == 1 for each in steps for step in each) and x.shape[0] < 16
    large = x.shape[0] > 1 or min(window) > 3 or groups > 1 or x.numel() > 20480
    return x.dtype == torch.float32 and large and (not alone or torch.get_num_threads() > 1)
