"""Where bfloat16 gains: decided by a rule before the run, never by a stopwatch in it."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from striate.base.hardware import Processor
from striate.layers import BatchNormAct2d, Conv2d, Linear, MaxPool2d
from striate.ops import native

PrecisionName = Literal["float32", "bfloat16"]

WIDE = 32
"""Fewer channels do not fill a vector register of bfloat16, and casting costs more than the products gain."""


@dataclass(frozen=True, slots=True)
class Precision:
    """What convolutions and matrix products are computed in while training, and why."""

    dtype: torch.dtype
    reason: str

    @property
    def name(self) -> PrecisionName:
        """The recipe's word for it."""
        return "bfloat16" if self.dtype is torch.bfloat16 else "float32"


def choose(asked: str, network: nn.Module, processor: Processor, device: torch.device) -> Precision:
    """The precision for a recipe's ``auto``, or what the recipe demands.

    The rule: bfloat16 where the processor (or CUDA device) multiplies in it and the network has a convolution of
    32 channels or more in and out. Losses and the statistics of norms stay in
    float32 everywhere.
    """
    if asked == "float32":
        return Precision(torch.float32, "the recipe asks for it")
    if asked == "bfloat16":
        return Precision(torch.bfloat16, "the recipe asks for it")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return Precision(torch.bfloat16, "this device multiplies in it")
        return Precision(torch.float32, "this device does not multiply in bfloat16")
    if device.type != "cpu" or not processor.bfloat16:
        return Precision(torch.float32, "this processor does not multiply in bfloat16")
    widest = max((min(w.shape[0], w.shape[1]) for w in network.parameters() if w.ndim == 4), default=0)
    if widest < WIDE:
        return Precision(torch.float32, f"no convolution is {WIDE} channels wide, so bfloat16 would gain nothing")
    return Precision(torch.bfloat16, "this processor multiplies in it; losses and statistics stay in float32")


def kernels_for(network: nn.Module, device: torch.device, on_unit: native.Count = native.silent) -> str:
    """Whose kernels train the network, in a few words; "" if it has nothing that ours compute, or not on a CPU.

    Ours compute batch norms, max pools, depthwise and 1x1 windows, what other windows learn, and the large dense layers
    of the classics. Asking builds them, where a network needs them and this machine does not have them yet; ``on_unit``
    is told how many units are compiled, and of how many, while that lasts.
    """
    needed = any(
        isinstance(module, BatchNormAct2d | MaxPool2d | Linear)
        or (isinstance(module, Conv2d) and (module.groups == 1 or module.weight.shape[1] == 1))
        for module in network.modules()
    )
    return native.prepare(on_unit) if needed and device.type == "cpu" else ""
