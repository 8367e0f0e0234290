"""ResNet-50's stages computed again: the gradients of float32 to the bit, and half of tuned torch's peak.

Speed and the process's own account are measured by `make bench ONLY=memory`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from accept import Check, at_most
from accept.memory.networks import NAMES, network
from striate.benchmarking import workloads
from striate.benchmarking.forms import CHECKPOINTED
from striate.models.checkpointing import CheckpointedView
from striate.models.network import Network, TrainingView

MOST = 0.5
BATCH, PICTURE = 16, (224, 224)
TORCH = "torch_bfloat16"


def checks() -> Iterator[Check]:
    for name in NAMES:
        built, images = network(name)
        wanted = _gradients(TrainingView(built), built, images)
        got = _gradients(CheckpointedView(built, list(built.blocks)[:-1]), built, images)
        same = sum(torch.equal(*pair) for pair in zip(got, wanted, strict=True))
        yield Check(f"4.{name}", f"{len(wanted)} equal gradients", f"{same}", same == len(wanted))
    ours, theirs = (_peak(form) for form in (CHECKPOINTED, TORCH))
    yield at_most("4.resnet50, peak", ours / theirs, MOST, f"({ours / 1e6:,.0f} of {theirs / 1e6:,.0f} MB)")


def _gradients(view: nn.Module, built: Network, images: Tensor) -> list[Tensor]:
    built.zero_grad()
    torch.manual_seed(0)
    view(images)[0].square().mean().backward()
    return [parameter.grad.clone() for parameter in built.parameters() if parameter.grad is not None]


def _peak(form: str) -> int:
    """Bytes that tensors take at most, of a step of 16 pictures of 224."""
    allocated = workloads.training(form, "resnet50", BATCH, PICTURE).allocated
    assert allocated is not None
    return allocated()["peak"]
