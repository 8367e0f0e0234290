"""Striate's default network for segmentation, of CamVid's classes, as a contender.

python -m bench.striate_segmentation training           a run's step
python -m bench.striate_segmentation outputs SIDE       from a prepared picture to its logits
python -m bench.striate_segmentation predictor SIDE     from a picture in memory to a class for each pixel
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench import crops
from striate.base import spinning
from striate.benchmarking.worker import Workload, serve

if TYPE_CHECKING:
    import torch

    from striate.data.records import Batch, Classes, Dataset
    from striate.pictures.preprocess import Preprocess
    from striate.predictor import Predictor

MODEL = "unet/efficientnet_lite0"
RATE = 1e-4
"""So low that the network stays where it begins."""


def training() -> Workload:
    """The step of a default run: pretrained backbone, losses, optimizer and precision as its recipe has them."""
    from striate.base.hardware import processor
    from striate.base.heap import keep_freed_memory
    from striate.benchmarking.networks import multiply_adds
    from striate.inference import device_named
    from striate.ops import native
    from striate.tasks import task_named
    from striate.training import resolving
    from striate.training.learner import Learner
    from striate.training.precision import choose, kernels_for

    device = device_named("cpu")
    keep_freed_memory()  # as a run does
    data = _data()
    recipe = resolving.resolve(data, resolving.Overrides({}))
    _expect(recipe.model, recipe.batch, recipe.augment.crop_size)
    task = task_named("segment", data.classes).fitted(recipe, data.records)
    preprocess = resolving.preprocess_for(data, recipe)
    network = resolving.network_for(data, recipe, task, preprocess)
    precision = choose(recipe.precision, network, processor(), device)
    recipe = resolving.complete(recipe, network, preprocess, precision.name)
    learner = Learner(network, task, recipe, preprocess, device, precision.dtype, kernels_for(network, device))
    batch = _batch(data, preprocess)
    about = {
        "precision": precision.name,
        "kernels": native.description(),
        "multiply_adds": multiply_adds(network, preprocess.size),
    }
    return Workload(lambda: learner.step([batch], RATE), len(batch), about)


def outputs(side: str) -> Workload:
    """What the predictor does from prepared bytes to logits; ``about`` has some, to compare with others'."""
    from bench.peers.runtimes import told
    from striate.benchmarking.workloads import random_pictures
    from striate.ops import native

    predictor = _predictor(int(side))
    pictures = random_pictures(1, predictor.description.preprocess)

    def answer() -> "torch.Tensor":
        return predictor.outputs(pictures)

    about = {"precision": "float32", "kernels": native.description(), "answers": told(answer())}
    return Workload(answer, 1, about)


def predictor(side: str) -> Workload:
    """All that a caller of `Predictor` waits for."""
    from striate.benchmarking.workloads import random_pictures

    called = _predictor(int(side))
    (picture,) = random_pictures(1, called.description.preprocess).permute(0, 2, 3, 1).numpy()
    return Workload(lambda: called(picture), 1, {"precision": "float32"})


def _predictor(side: int) -> "Predictor":
    from striate import modelfile
    from striate.benchmarking.workloads import settled
    from striate.inference import device_named
    from striate.predictor import Predictor

    device_named("cpu")
    network, preprocess = settled(MODEL, (side, side), crops.CLASSES)
    preprocess = replace(preprocess, resize="letterbox")
    return Predictor(network, modelfile.Description(MODEL, {}, "segment", _classes(), preprocess), device="cpu")


def _expect(model: str, batch_size: int, crop: tuple[int, int] | None) -> None:
    """See that a default run still is what the others are measured with."""
    wanted = (MODEL, crops.BATCH, (crops.SIDE, crops.SIDE))
    if (model, batch_size, crop) != wanted:
        raise RuntimeError(f"a default run has {(model, batch_size, crop)}, and the others {wanted}")


def _classes() -> "Classes":
    from striate.data.records import Classes

    return Classes(tuple(map(str, range(crops.CLASSES))))


def _data() -> "Dataset":
    from striate.data.records import ArrayHandle, Dataset, Record
    from striate.data.targets import Mask

    pictures, masks = crops.crops(crops.BATCH)
    records = tuple(
        Record(ArrayHandle(pictures, at), Mask(mask), b"", f"picture {at}", "train") for at, mask in enumerate(masks)
    )
    return Dataset(Path("drawn"), "drawn", _classes(), records, 3, task="segment")


def _batch(data: "Dataset", preprocess: "Preprocess") -> "Batch":
    from striate.data.loading import Loader

    (batch,) = Loader(data.records, preprocess, batch_size=len(data.records)).epoch(0)
    return batch


WORKLOADS: Mapping[str, Callable[..., Workload]] = {
    "training": training,
    "outputs": outputs,
    "predictor": predictor,
}


def _build() -> Workload:
    spinning.bound()  # as the command line runs, before torch is loaded
    return WORKLOADS[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    serve(_build)
