"""From batches to predictions and figures: the one loop that validation, evaluation and predictor share.

In float32 always, so that a model file answers alike wherever it is loaded.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.base.hardware import cores
from striate.data.records import Batch
from striate.pictures.preprocess import Preprocess
from striate.tasks.task import Meter, Task

DEVICES = ("auto", "cpu", "cuda", "mps")


def device_named(name: str) -> torch.device:
    """The device to compute on; "auto" takes CUDA, else Apple's MPS, else the CPU.

    Whatever the device, torch then uses a thread for each core that this process may use, or as many as the
    environment's ``OMP_NUM_THREADS`` says, if that is fewer.

    Raises:
        ModelError: there is no such device here.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(each for each in ("cuda", "mps", "cpu") if available[each])
    kind, colon, number = name.partition(":")
    numbered = kind == "cuda" and number.isdecimal() and int(number) < torch.cuda.device_count()
    if not available.get(kind, False) or (colon and not numbered):
        there = ", ".join(each for each, here in available.items() if here)
        raise ModelError(f"device {name!r} is not available here; there is {there} (and auto, which chooses)")
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    torch.set_num_threads(min(cores(), int(asked)) if asked.isdecimal() and int(asked) else cores())
    return torch.device(name)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and afterwards each of its modules as it was."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def outputs(
    network: nn.Module, preprocess: Preprocess, batches: Iterable[Batch], device: torch.device
) -> Iterator[tuple[Batch, Tensor]]:
    """Each batch with the network's raw outputs, float32, on the device."""
    with evaluating(network):
        for batch in batches:
            # Not around the yield: whoever consumes must not find gradients switched off.
            with torch.inference_mode():
                images = preprocess.normalise(batch.images.to(device, non_blocking=True))
                result = network(images).float()
            yield batch, result


def measure(
    network: nn.Module, task: Task, preprocess: Preprocess, batches: Iterable[Batch], device: torch.device
) -> Meter:
    """A meter that has seen all batches."""
    meter = task.meter()
    for batch, result in outputs(network, preprocess, batches, device):
        meter.add(result, batch.records)
    return meter
