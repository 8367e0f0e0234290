"""The ways in which one network is run: Striate's own, and those of a user of torch alone."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from striate.benchmarking.process import Contender
from striate.models.table import counts

STRIATE = "striate"
CHECKPOINTED = "checkpointed"
PREDICTOR = "predictor"
PLAIN = "torch"


@dataclass(frozen=True, slots=True)
class Form:
    """One way of torch: what it computes in, the memory format, and whether slow depthwise gradients avoid bfloat16.

    ``tuned`` says that a knowing user would write it, with the optimizer's fused form.
    """

    label: str
    bfloat16: bool = False
    tuned: bool = True
    float32_depthwise: bool = False


TORCH: Mapping[str, Form] = {
    PLAIN: Form("torch, float32", tuned=False),
    "torch_float32": Form("torch, float32, channels-last"),
    "torch_bfloat16": Form("torch, bfloat16, channels-last", bfloat16=True),
    "torch_float32_depthwise": Form(
        "torch, bfloat16, channels-last, slow depthwise gradients in float32", bfloat16=True, float32_depthwise=True
    ),
}
"""Of all of these the network is made of torch's own modules."""

TUNED = ("torch_float32", "torch_bfloat16")
"""The faster of these is "tuned torch": what a knowing user gets from public switches."""

_LABELS: Mapping[str, str] = {
    STRIATE: "Striate",
    CHECKPOINTED: "Striate, all blocks but the head computed again",
    PREDICTOR: "Striate, Predictor called with arrays",
}

LIBRARIES = 500_000_000
"""Bytes: about what a process has in memory that has imported torch and computes one convolution."""

_COPIES: Mapping[str, int] = {"training": 4, "inference": 3}
"""How often a process holds the weights: trained with gradients, momentum and one to spare; folded for answers."""

_PER_PIXEL: Mapping[str, int] = {"training": 2000, "inference": 500}
_OWN_PER_PIXEL: Mapping[str, int] = {"training": 800, "inference": 500}
"""Bytes that layers hold for one pixel of a picture, in torch and in Striate."""


def contender(kind: str, name: str, model: str, batch_size: int, size: tuple[int, int]) -> Contender:
    """A process of this package that runs a network in one way.

    Args:
        kind: "training" or "inference".
        name: "striate", a key of `TORCH`, for training "checkpointed", or for inference "predictor".
        model: a name of `MODELS`.
        batch_size: pictures a step.
        size: height and width of the pictures.
    """
    label = _LABELS.get(name) or TORCH[name].label
    words = (kind, name, model, str(batch_size), *map(str, size))
    # So much was seen of EfficientNet-Lite0 and ResNet-50; good enough to tell whether one may fit.
    per_pixel = _PER_PIXEL[kind] if name in TORCH else _OWN_PER_PIXEL[kind]
    memory = LIBRARIES + 4 * counts(model)[0] * _COPIES[kind] + batch_size * math.prod(size) * per_pixel
    return Contender(name, label, (sys.executable, "-m", "striate.benchmarking", *words), memory=memory)


def convolution(precision: str) -> Contender:
    """A process that computes one large convolution in "float32" or "bfloat16": the peak of this machine."""
    command = (sys.executable, "-m", "striate.benchmarking", "convolution", precision)
    return Contender(precision, precision, command, memory=LIBRARIES)
