"""Toy task: a class for each pixel."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from pydantic import dataclasses as pydantic_dataclasses
from torch import Tensor

from striate.base.atomic import replace_file
from striate.data.augmentation import Augmentation
from striate.data.records import Batch, Classes, Dataset, Record
from striate.data.targets import Mask, Target
from striate.pictures.geometry import UNKNOWN, Geometry
from striate.pictures.tiles import Tiling
from striate.recipe import Recipe, Stage
from striate.tasks.task import Loss, require_targets

COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]] + [[255, 255, 255]] * 253, dtype=np.uint8)


@pydantic_dataclasses.dataclass(frozen=True, kw_only=True)
class MaskSettings:
    loss: Annotated[float, Field(ge=0, description="weight of rare classes: 0 weighs all pixels alike")] = 0.0


@dataclass(frozen=True)
class CutOut:
    classes: Classes

    name: ClassVar[str] = "toy_masks"
    arguments: ClassVar[Mapping[str, Any]] = {}
    network_arguments: ClassVar[Mapping[str, Any]] = {}
    network_task: ClassVar[str] = "toy_masks"
    metric: ClassVar[str] = "pixel_accuracy"
    directions: ClassVar[Mapping[str, int]] = {"pixel_accuracy": 1}
    every_class: ClassVar[bool] = False
    decode_tiles: ClassVar[None] = None
    gathered: ClassVar[None] = None
    remarks: ClassVar[tuple[str, ...]] = ()
    scoring: ClassVar[None] = None
    files: ClassVar[str] = "toy masks"
    one_file: ClassVar[None] = None
    evaluated: ClassVar[None] = None

    @classmethod
    def of(cls, classes: Classes, arguments: Mapping[str, Any]) -> "CutOut":
        return cls(classes)

    def checked(self, data: Dataset) -> Dataset:
        require_targets(data, Mask, self.name)
        return data

    def least_side(self, recipe: Recipe | None) -> int:
        return 1

    def default_model(self, data: Dataset) -> str:
        return "toy_masks/resnet20"

    def default_recipe(self, data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
        return Recipe(
            task="toy_masks",
            model=model,
            size=(32, 32),
            fit="stretch",
            batch_size=4,
            log_every=2,
            augment=Augmentation(crop=(0.7, 1.0), flip=True, rotation=10.0),
            settings=MaskSettings(),
            stages=(Stage(epochs=3, rate=0.05),),
        )

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "CutOut":
        return self

    def shortages(
        self, training: Sequence[Record], validation: Sequence[Record], tested: Sequence[Record]
    ) -> Iterable[str]:
        return ()

    def example(self, size: tuple[int, int], objects: int) -> Mask:
        return Mask(np.zeros(size, dtype=np.uint8))

    def inputs(self, images: Tensor) -> Tensor:
        return images

    def encode(self, batch: Batch, device: torch.device) -> Tensor:
        masks = [cast("Mask", target).indices() for target in batch.targets]
        return torch.from_numpy(np.stack(masks)).long().to(device)

    def loss(self, outputs: Tensor, auxiliary: Sequence[Tensor], targets: Tensor) -> Loss:
        total = F.cross_entropy(outputs.float(), targets, ignore_index=UNKNOWN)
        return Loss(total, {"loss": total.detach()})

    def undo(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        return outputs.flip(3)

    def decode(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[NDArray[np.uint8]]:
        masks = outputs.argmax(dim=1).to(torch.uint8).cpu().numpy()
        return [geometry.undo_mask(mask) for mask, geometry in zip(masks, geometries, strict=True)]

    def calibrated(self, figures: Mapping[str, Any]) -> "CutOut":
        return self

    def merged(self, parts: Iterable[tuple[Geometry, NDArray[np.uint8]]], tiling: Tiling) -> NDArray[np.uint8]:
        """Of each pixel what the first tile that shows it says."""
        whole = np.full((1, 1), UNKNOWN, np.uint8)
        for place, mask in parts:
            whole = np.where(whole == UNKNOWN, place.undo_mask(mask), whole)
        return whole

    def meter(self) -> "MaskMeter":
        return MaskMeter(self)

    def logged(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: value for name, value in figures.items() if name != "per_class"}

    def most_probable(self, prediction: Any, top: int) -> Sequence[Any]:
        return prediction

    def as_json(self, prediction: NDArray[np.uint8], top: int) -> dict[str, Any]:
        return {"areas": {name: float((prediction == i).mean()) for i, name in enumerate(self.classes.names)}}

    def as_text(self, prediction: NDArray[np.uint8], top: int) -> str:
        return ", ".join(f"{name} {share:.1%}" for name, share in self.as_json(prediction, top)["areas"].items())

    def draw(self, prediction: NDArray[np.uint8], photograph: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return (photograph() // 2 + COLOURS[prediction] // 2).astype(np.uint8)

    def exhibit(self, image: NDArray[np.uint8], target: Target) -> tuple[NDArray[np.uint8], str]:
        return self.draw(target.indices(), lambda: image), self.as_text(target.indices(), 1)

    def write(self, prediction: NDArray[np.uint8], folder: Path, name: str, photograph: Path) -> Mapping[str, str]:
        with replace_file(folder / f"{name}.mask.png") as partial:
            Image.fromarray(prediction).save(partial, "png")
        return {"mask": f"{name}.mask.png"}

    def margin(self, metric: str, figures: Mapping[str, Any]) -> float:
        return 0.0

    def brief(self, figures: Mapping[str, Any]) -> str:
        return f"pixel accuracy {figures['pixel_accuracy']:.3f}"

    def details(self, figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
        return [f"{len(rows)} pictures"]

    def summary(self, figures: Mapping[str, Any]) -> str:
        return self.brief(figures)


class MaskMeter:
    """Right pixels and counted pixels of each picture, in the photograph's pixels."""

    def __init__(self, task: CutOut) -> None:
        self.task = task
        self.counts: list[Tensor] = []

    def add(self, outputs: Tensor, batch: Batch) -> None:
        for prediction, record in zip(self.task.decode(outputs, batch.geometries), batch.records, strict=True):
            true = cast("Mask", record.target).indices()
            counted = (true != UNKNOWN) & (prediction != UNKNOWN)
            self.counts.append(torch.tensor([[int((prediction == true)[counted].sum()), int(counted.sum())]]))

    def state(self) -> Mapping[str, Tensor]:
        return {"counts": torch.cat(self.counts) if self.counts else torch.zeros(0, 2, dtype=torch.int64)}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        self.counts.append(state["counts"])

    def figures(self) -> dict[str, Any]:
        counts = self.state()["counts"]
        right, counted = counts.sum(dim=0).tolist()
        return {"images": len(counts), "pixel_accuracy": right / counted if counted else None, "per_class": []}

    def rows(self) -> Sequence[Mapping[str, Any]]:
        return [{"pixel_accuracy": right / max(1, counted)} for right, counted in self.state()["counts"].tolist()]
