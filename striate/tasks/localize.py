# ruff: noqa: D102  (what the methods of a task do is said once, in `Task`)
"""Localization: of which class the one object of a picture is, and where it is."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.base.errors import DataError, RecipeError
from striate.data.names import counted, listed, printable
from striate.data.records import Batch, Classes, Dataset, Record
from striate.data.targets import Boxes, Target
from striate.pictures.geometry import Geometry
from striate.recipe import Recipe
from striate.task_settings import LocalizeSettings
from striate.tasks.detect_objects import stated_boxes
from striate.tasks.drawing import Detection, drawn, exhibited
from striate.tasks.intervals import share_margin, too_few
from striate.tasks.localize_defaults import default_model, default_recipe
from striate.tasks.localize_loss import Objects, localization_losses, objects_of
from striate.tasks.localize_meter import FITS, LocalizeMeter, in_photographs
from striate.tasks.task import Loss, in_range, require_targets, shown


@dataclass(frozen=True, slots=True)
class Localize:
    """The task: cross-entropy of the class and a loss of the box (`localize_loss`), weighed by the recipe."""

    classes: Classes
    box_loss: str = "giou"
    loss_weights: tuple[float, float] = (1.0, 2.0)

    name: ClassVar[str] = "localize"
    network_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    network_task: ClassVar[str] = "localize"
    metric: ClassVar[str] = "mean_iou"
    every_class: ClassVar[bool] = False
    decode_tiles: ClassVar[None] = None
    remarks: ClassVar[tuple[str, ...]] = ()
    scoring: ClassVar[None] = None
    files: ClassVar[None] = None
    one_file: ClassVar[None] = None
    evaluated: ClassVar[None] = None
    merged: ClassVar[None] = None
    gathered: ClassVar[None] = None
    most_probable: ClassVar[None] = None
    directions: ClassVar[Mapping[str, int]] = {"mean_iou": 1, "top1": 1, "accuracy_iou50": 1, "loss": -1}

    @classmethod
    def of(cls, classes: Classes, arguments: Mapping[str, Any]) -> "Localize":
        return cls(classes, **in_range(LocalizeSettings, arguments))

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the loss is measured by."""
        return {"box_loss": self.box_loss, "loss_weights": list(self.loss_weights)}

    def checked(self, data: Dataset) -> Dataset:
        """The data as they are, if each picture has one object.

        Raises:
            DataError: one has several, or none.
        """
        require_targets(data, Boxes, self.name)
        counts = [(record.name, int((~cast("Boxes", record.target).crowd).sum())) for record in data.records]
        faults = {
            "several objects": [name for name, count in counts if count > 1],
            "no object": [name for name, count in counts if not count],
        }
        said = [
            f"{counted(len(names), 'picture has', 'pictures have')} {what} ({listed(names)})"
            for what, names in faults.items()
            if names
        ]
        if said:
            raise DataError(
                f"{printable(data.root)}: {' and '.join(said)}, and localization answers each picture with one box. "
                "--largest takes the largest of each picture and leaves out pictures without any; a detector "
                "(--task detect) learns from all"
            )
        return data

    def least_side(self, recipe: Recipe | None) -> int:
        return 1

    def default_model(self, data: Dataset) -> str:
        return default_model(data)

    def default_recipe(self, data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
        return default_recipe(data, model, scratch=scratch)

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "Localize":
        if recipe.augment.mosaic:
            raise RecipeError(
                f"augmentation: mosaic is {recipe.augment.mosaic:g}, and localization answers each picture with one "
                "box, of which a mosaic has up to four; leave mosaic at 0"
            )
        settings: LocalizeSettings = recipe.settings
        return dataclasses.replace(self, box_loss=settings.box_loss, loss_weights=settings.loss_weights)

    def shortages(
        self, training: Sequence[Record], validation: Sequence[Record], tested: Sequence[Record]
    ) -> Iterable[str]:
        for side, records in (("validation", validation), ("the test", tested)):
            if records and (said := too_few(side, len(records), "picture", "the share that is right")):
                yield said

    def example(self, size: tuple[int, int], objects: int) -> Boxes:
        return stated_boxes(size, 1)

    def inputs(self, images: Tensor) -> Tensor:
        return images

    def encode(self, batch: Batch, device: torch.device) -> Objects:
        return objects_of(batch, device)

    def loss(self, outputs: Tensor, auxiliary: Sequence[Tensor], targets: Objects) -> Loss:
        """Means over the pictures whose object is to be seen; 0 where none is."""
        losses = localization_losses(outputs, targets, self.box_loss)
        seen = targets.there.sum().clamp(min=1)
        parts = {name: (each * targets.there).sum() / seen for name, each in losses.items()}
        total = self.loss_weights[0] * parts["class"] + self.loss_weights[1] * parts["box"]
        return Loss(total, {name: part.detach() for name, part in parts.items()})

    def undo(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        left, top, right, bottom = outputs[:, :4].unbind(1)
        return torch.cat([torch.stack([size[1] - right, top, size[1] - left, bottom], 1), outputs[:, 4:]], 1)

    def decode(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[Detection]:
        probabilities, first = outputs[:, 4:].float().softmax(1).max(1)
        rows = zip(first.tolist(), probabilities.tolist(), in_photographs(outputs, geometries).tolist(), strict=True)
        return [Detection(self.classes.names[index], sure, tuple(box)) for index, sure, box in rows]

    def calibrated(self, figures: Mapping[str, Any]) -> "Localize":
        return self

    def meter(self) -> LocalizeMeter:
        return LocalizeMeter(self.classes, self.box_loss, self.loss_weights)

    def logged(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        return figures

    def as_json(self, prediction: Detection, top: int) -> dict[str, Any]:
        return {"boxes": [dataclasses.asdict(prediction)]}

    def as_text(self, prediction: Detection, top: int) -> str:
        return str(prediction)

    def draw(self, prediction: Detection, photograph: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return drawn(photograph(), [prediction], self.classes.names)

    def exhibit(self, image: NDArray[np.uint8], target: Target) -> tuple[NDArray[np.uint8], str]:
        return exhibited(image, target, self.classes.names)

    def write(self, prediction: Detection, folder: Path, name: str, photograph: Path) -> Mapping[str, str]:
        return {}

    def margin(self, metric: str, figures: Mapping[str, Any]) -> float:
        """The lower half of the interval; of shares of right answers Wilson's, 0 for the loss."""
        value = figures[metric]
        if metric == "mean_iou":
            return float(value - figures["interval"][0]) if figures["interval"] else 0.0
        if metric in ("top1", "accuracy_iou50"):
            return share_margin(value, figures["images"])
        return 0.0

    def brief(self, figures: Mapping[str, Any]) -> str:
        """``mean IoU 0.750, top-1 0.912, loss 0.310``."""
        return f"mean IoU {shown(figures['mean_iou'])}, top-1 {shown(figures['top1'])}, loss {shown(figures['loss'])}"

    def details(self, figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
        """The boxes that fit worst, of those that do not fit; rounded down, so that none looks as if it did."""
        off = sorted((row for row in rows if row["iou"] < FITS), key=lambda row: float(row["iou"]))
        if off:
            worst = listed([f"{row['image']} {math.floor(row['iou'] * 100) / 100:.2f}" for row in off])
            yield f"{counted(len(off), 'box', 'boxes')} with an IoU below {FITS:g}: {worst}"

    def summary(self, figures: Mapping[str, Any]) -> str:
        """``mean IoU 0.750, with 95 % confidence between 0.700 and 0.800; class and box right 0.900, top-1 1.000``."""
        sure = f"without an interval, since it is of {counted(figures['images'], 'picture')}"
        if figures["interval"]:
            low, high = map(shown, figures["interval"])
            sure = f"with 95 % confidence between {low} and {high}"
        return (
            f"mean IoU {shown(figures['mean_iou'])}, {sure}; class and box right {shown(figures['accuracy_iou50'])}, "
            f"top-1 {shown(figures['top1'])}"
        )
