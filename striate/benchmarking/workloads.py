"""What the contenders of this package compute: training steps, answers, and a convolution as fast as there is one.

All work on random pictures that are in memory already, on the CPU, with one thread a core. Nothing is measured here.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from striate import modelfile
from striate.base.hardware import processor
from striate.base.heap import keep_freed_memory
from striate.benchmarking.forms import PREDICTOR, STRIATE, TORCH, Form
from striate.benchmarking.networks import multiply_adds, plain_torch, with_statistics
from striate.benchmarking.worker import Workload
from striate.data.records import ArrayHandle, Batch, Classes, Record
from striate.data.targets import class_targets
from striate.inference import device_named
from striate.models import build
from striate.models.network import Network, TrainingView
from striate.models.table import MODELS, architecture
from striate.ops import convolution as convolutions
from striate.ops import native
from striate.pictures.preprocess import Preprocess
from striate.predictor import Predictor
from striate.recipe import Recipe
from striate.tasks import task_named
from striate.training.learner import Learner
from striate.training.precision import choose, kernels_for

CLASSES = 1000
ANSWERS = 8
"""How many logits are told for comparison."""

RATE = 1e-4
"""So low that no network leaves the finite numbers while it learns the classes of noise."""

CHANNELS, SIDE, PICTURES = 256, 56, 8
"""The convolution of the peak: 3x3, as many channels in as out."""


def training(name: str, model: str, batch_size: int, size: tuple[int, int]) -> Workload:
    """Steps of SGD with momentum on one batch: Striate's own step, or the usual lines of torch.

    ``name`` is "striate" or a key of `TORCH`, ``size`` the pictures' height and width.
    """
    return (
        _striates_step(model, batch_size, size)
        if name == STRIATE
        else _torchs_step(model, batch_size, size, TORCH[name])
    )


def inference(name: str, model: str, batch_size: int, size: tuple[int, int]) -> Workload:
    """Answers to one batch: what the predictor does from prepared pictures to logits, or the usual lines of torch.

    ``name`` may also be "predictor": all that a user waits for who calls a `Predictor` with arrays.
    ``about`` has the first ``answers`` (logits of the first picture), so that contenders can be compared in those too.
    """
    device = device_named("cpu")
    network, preprocess = settled(model, size)
    if name == PREDICTOR:
        return _prediction(_predictor(model, network, preprocess), batch_size)
    pictures = random_pictures(batch_size, preprocess)
    if name == STRIATE:
        predictor = _predictor(model, network, preprocess)

        def answer() -> Tensor:
            return predictor.outputs(pictures)

        about: dict[str, Any] = {"precision": "float32", "kernels": native.description()}
    else:
        form = TORCH[name]
        plain = _in_format(plain_torch(network, size).eval(), form)
        images = _in_format(preprocess.normalise(pictures), form)

        def answer() -> Tensor:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=form.bfloat16):
                return plain(images).float()

        about = {"precision": _precision(form)}
    about |= {"answers": answer()[0, :ANSWERS].tolist(), "multiply_adds": multiply_adds(network, size)}
    return Workload(answer, batch_size, about)


def settled(model: str, size: tuple[int, int], classes: int = CLASSES) -> tuple[Network, Preprocess]:
    """A network that answers, the same in every process, and how its pictures are prepared."""
    network = with_statistics(build(model, classes=classes, seed=0), size)
    return network, replace(architecture(model).preprocess, size=size)


def random_pictures(count: int, preprocess: Preprocess) -> Tensor:
    """Random bytes as the loader gives pictures: uint8 ``[N, C, H, W]``, channels-last in memory."""
    drawn = np.random.default_rng(0).integers(0, 256, (count, *preprocess.size, preprocess.count), dtype=np.uint8)
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)


def _prediction(predictor: Predictor, batch_size: int) -> Workload:
    pictures = list(random_pictures(batch_size, predictor.description.preprocess).permute(0, 2, 3, 1).numpy())
    return Workload(lambda: predictor(pictures), batch_size, {"precision": "float32"})


def _predictor(model: str, network: Network, preprocess: Preprocess) -> Predictor:
    classes = Classes(tuple(map(str, range(CLASSES))))
    return Predictor(network, modelfile.Description(model, {}, "classify", classes, preprocess), device="cpu")


def convolution(precision: str) -> Workload:
    """A convolution of 3x3 that is large and of an easy shape: what this machine multiplies at most."""
    device_named("cpu")
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(PICTURES, CHANNELS, SIDE, SIDE, generator=drawn).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3, generator=drawn).to(dtype, memory_format=torch.channels_last)

    def compute() -> Tensor:
        with torch.inference_mode():
            return convolutions.conv2d(x, weight, padding="symmetric")

    operations = 2 * weight.numel() * SIDE * SIDE * PICTURES
    return Workload(compute, PICTURES, {"precision": precision, "operations": operations})


def _striates_step(model: str, batch_size: int, size: tuple[int, int]) -> Workload:
    """A step of `Learner`, as a run from scratch does it, on bytes that it normalises itself."""
    device = device_named("cpu")
    keep_freed_memory()  # as a run does
    network = build(model, classes=CLASSES, seed=0)
    preprocess = replace(MODELS[model].preprocess, size=size)
    recipe = Recipe(model=model, size=size, batch_size=batch_size)
    precision = choose(recipe.precision, network, processor(), device)
    kernels = kernels_for(network, device)
    task = task_named(recipe.task, Classes(tuple(map(str, range(CLASSES)))))
    learner = Learner(network, task, recipe, preprocess, device, precision.dtype, kernels)
    batch = _batch(batch_size, preprocess)
    about = {
        "precision": precision.name,
        "reason": precision.reason,
        "kernels": native.description(),
        "multiply_adds": multiply_adds(network, size),
    }
    return Workload(lambda: learner.step([batch], RATE), batch_size, about)


def _torchs_step(model: str, batch_size: int, size: tuple[int, int], form: Form) -> Workload:
    device = device_named("cpu")
    network = build(model, classes=CLASSES, seed=0)
    plain = plain_torch(network, size, float32_depthwise=form.float32_depthwise).train()
    # What a network returns while it trains, with the auxiliary heads that a few have.
    view = TrainingView(_in_format(plain, form))
    preprocess = replace(MODELS[model].preprocess, size=size)
    images = _in_format(preprocess.normalise(random_pictures(batch_size, preprocess)), form)
    labels = torch.tensor(_labels(batch_size))
    recipe = Recipe()
    optimizer = torch.optim.SGD(
        plain.parameters(), RATE, recipe.momentum, weight_decay=recipe.weight_decay, fused=form.tuned or None
    )

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=form.bfloat16):
            main, auxiliary = view(images)
        loss = F.cross_entropy(main.float(), labels)
        for each in auxiliary:
            loss = loss + 0.3 * F.cross_entropy(each.float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()  # as every loop that shows its progress does

    return Workload(step, batch_size, {"precision": _precision(form)})


def _in_format(value: Any, form: Form) -> Any:
    """A network or pictures in the memory format of a way to run them."""
    order = torch.channels_last if form.tuned else torch.contiguous_format
    return value.to(memory_format=order)


def _precision(form: Form) -> str:
    return "bfloat16" if form.bfloat16 else "float32"


def _labels(count: int) -> list[int]:
    return np.random.default_rng(1).integers(0, CLASSES, count).tolist()


def _batch(count: int, preprocess: Preprocess) -> Batch:
    images, targets = random_pictures(count, preprocess), class_targets(_labels(count))
    array = images.permute(0, 2, 3, 1).numpy()
    records = [Record(ArrayHandle(array, at), target, b"", f"picture {at}") for at, target in enumerate(targets)]
    return Batch(images, targets, (), records)


KINDS: Mapping[str, Callable[[str, str, int, tuple[int, int]], Workload]] = {
    "training": training,
    "inference": inference,
}
"""What a process can be asked for by name; besides, there is `convolution`."""
