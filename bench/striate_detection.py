"""Striate's default detector, of one class, as a contender.

python -m bench.striate_detection training default|whole BATCH     a run's step; "whole" trains the frozen blocks, too
python -m bench.striate_detection answer CANDIDATES                a picture's answer; so many boxes are suppressed
python -m bench.striate_detection suppression spread|crowds        non-max suppression alone
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench import scenes
from striate.base import spinning
from striate.benchmarking.worker import Workload, serve

if TYPE_CHECKING:
    from striate.data.records import Batch, Dataset
    from striate.pictures.preprocess import Preprocess

RATE = 1e-4
"""So low that the network stays where it begins."""


def training(form: str, batch_size: str) -> Workload:
    """The step of a default run: pretrained backbone, frozen blocks, optimizer and precision as its recipe has them."""
    from striate.base.hardware import processor
    from striate.base.heap import keep_freed_memory
    from striate.inference import device_named
    from striate.ops import native
    from striate.tasks import task_named
    from striate.training import resolving
    from striate.training.learner import Learner
    from striate.training.precision import choose, kernels_for

    device = device_named("cpu")
    keep_freed_memory()  # as a run does
    data = _data(int(batch_size))
    recipe = replace(resolving.resolve(data, resolving.Overrides({})), batch_size=len(data.records))
    if form == "whole":
        recipe = replace(recipe, stages=tuple(replace(stage, freeze=()) for stage in recipe.stages))
    task = task_named("detect", data.classes).fitted(recipe, data.records)
    preprocess = resolving.preprocess_for(data, recipe)
    network = resolving.network_for(data, recipe, task, preprocess)
    precision = choose(recipe.precision, network, processor(), device)
    recipe = resolving.complete(recipe, network, preprocess, precision.name)
    learner = Learner(network, task, recipe, preprocess, device, precision.dtype, kernels_for(network, device))
    batch = _batch(data, preprocess)
    about = {"precision": precision.name, "kernels": native.description(), "frozen": recipe.stages[0].freeze}
    return Workload(lambda: learner.step([batch], RATE), len(batch), about)


def answer(candidates: str) -> Workload:
    """All that a caller of `Predictor` waits for, from one picture in memory to its boxes.

    The threshold is where so many boxes of this picture are to be suppressed, as they are of a crowded photograph.
    """
    import torch

    from striate import modelfile
    from striate.benchmarking.networks import multiply_adds, with_statistics
    from striate.models import build
    from striate.ops import native
    from striate.predictor import Predictor
    from striate.training import resolving

    data = _data(1)
    recipe = resolving.resolve(data, resolving.Overrides({}))
    preprocess = resolving.preprocess_for(data, recipe)
    network = with_statistics(build(recipe.model, classes=len(data.classes), seed=0), preprocess.size)
    description = modelfile.Description(recipe.model, {}, "detect", data.classes, preprocess)
    pictures, _ = scenes.pictures(1, preprocess.size[0])
    outputs = Predictor(network, description, device="cpu").outputs(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    scores = outputs[0, :, -1].sigmoid().sort(descending=True).values
    threshold = float(scores[int(candidates) - 1 : int(candidates) + 1].mean())
    predictor = Predictor(network, replace(description, task_arguments={"score_threshold": threshold}), device="cpu")
    about = {
        "precision": "float32",
        "kernels": native.description(),
        "multiply_adds": multiply_adds(network, preprocess.size),
    }
    return Workload(lambda: predictor(pictures[0]), 1, about)


def suppression(kind: str) -> Workload:
    import torch

    from striate.ops import nms

    boxes, scores, classes = map(torch.from_numpy, scenes.candidates(kind))

    def suppressed() -> torch.Tensor:
        return nms(boxes, scores, classes, iou_threshold=scenes.IOU)

    return Workload(suppressed, 1, {"kept": len(suppressed())})


def _data(count: int) -> "Dataset":
    from striate.data.records import ArrayHandle, Classes, Dataset, Record
    from striate.data.targets import Boxes

    pictures, boxes = scenes.pictures(count, scenes.SIDE)
    records = tuple(
        Record(ArrayHandle(pictures, at), Boxes.of(each.tolist(), [0] * len(each)), b"", f"picture {at}", "train")
        for at, each in enumerate(boxes)
    )
    return Dataset(Path("drawn"), "drawn", Classes(("object",)), records, 3, task="detect")


def _batch(data: "Dataset", preprocess: "Preprocess") -> "Batch":
    from striate.data.loading import Loader

    (batch,) = Loader(data.records, preprocess, batch_size=len(data.records)).epoch(0)
    return batch


WORKLOADS: Mapping[str, Callable[..., Workload]] = {
    "training": training,
    "answer": answer,
    "suppression": suppression,
}


def _build() -> Workload:
    spinning.bound()  # as the command line runs, before torch is loaded
    return WORKLOADS[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    serve(_build)
