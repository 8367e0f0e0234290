# ruff: noqa: D102  (what the methods of a task do is said once, in `Task`)
"""Segmentation: a class for each pixel of a picture."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.base.atomic import replace_file
from striate.base.errors import DataError, RecipeError
from striate.data.names import counted, printable
from striate.data.records import Batch, Classes, Dataset, Record
from striate.data.targets import Mask, Target
from striate.pictures.exact_tiles import Tile
from striate.pictures.geometry import UNKNOWN, Geometry
from striate.pictures.tiles import Tiling
from striate.recipe import Recipe
from striate.task_settings import SegmentSettings
from striate.tasks.segment_census import Census
from striate.tasks.segment_decoding import SureMap, class_maps, sure_maps
from striate.tasks.segment_defaults import default_model, default_recipe
from striate.tasks.segment_details import details
from striate.tasks.segment_drawing import as_picture, overlaid
from striate.tasks.segment_gathering import gathered_classes
from striate.tasks.segment_loss import SegmentLoss
from striate.tasks.segment_meter import SegmentMeter, targets_of
from striate.tasks.segment_polygons import polygons
from striate.tasks.segment_shortages import shares, shortages, without_pixels
from striate.tasks.segment_tiles import put_together
from striate.tasks.task import Loss, in_range, require_targets, shown, with_margin

Indices = NDArray[np.uint8]
_COUNTED = 1 << 22  # pixels at a time, since to be counted each becomes a number of eight bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """The task; an answer is the index of a class for each pixel of the photograph, uint8 ``[H, W]``.

    ``class_weights`` are those of the loss, one a class. ``census`` is what the training masks show, for a run.
    """

    classes: Classes
    cross_entropy_weight: float = 1.0
    dice_weight: float = 0.0
    focal_weight: float = 0.0
    focal_gamma: float = 2.0
    class_weights: tuple[float, ...] | None = None
    census: Census | None = None

    name: ClassVar[str] = "segment"
    network_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    network_task: ClassVar[str] = "segment"
    metric: ClassVar[str] = "mean_iou"
    every_class: ClassVar[bool] = False
    scoring: ClassVar[None] = None
    files: ClassVar[str] = "masks and drawn pictures"
    one_file: ClassVar[None] = None
    evaluated: ClassVar[str] = "the figures of each class"
    directions: ClassVar[Mapping[str, int]] = {"mean_iou": 1, "pixel_accuracy": 1, "boundary_f1": 1, "loss": -1}

    @classmethod
    def of(cls, classes: Classes, arguments: Mapping[str, Any]) -> "Segment":
        numbers = dict(arguments)
        weights = numbers.pop("class_weights", None)
        if weights is not None and len(weights) != len(classes):
            raise ValueError(f"there are {len(weights)} class_weights for {len(classes)} classes")
        weights = None if weights is None else tuple(float(each) for each in weights)
        if weights is not None and not all(0 <= each < math.inf for each in weights):
            raise ValueError(f"class_weights are {list(weights)}; each is a number from 0")
        return cls(classes, **in_range(SegmentSettings, numbers), class_weights=weights)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the loss is measured by."""
        names = ("cross_entropy_weight", "dice_weight", "focal_weight", "focal_gamma")
        weights = None if self.class_weights is None else list(self.class_weights)
        return {**{name: getattr(self, name) for name in names}, "class_weights": weights}

    def checked(self, data: Dataset) -> Dataset:
        """The data as they are, if each picture has a mask of two classes or more, and of at most 255.

        Raises:
            DataError: they do not.
        """
        require_targets(data, Mask, self.name)
        if not 2 <= len(data.classes) <= UNKNOWN:
            said = counted(len(data.classes), "class", "classes")
            raise DataError(
                f"{printable(data.root)}: has {said}; pixels are told apart by 2 classes or more, and a mask holds "
                f"{UNKNOWN} at most"
            )
        return data

    def least_side(self, recipe: Recipe | None) -> int:
        return 1

    def default_model(self, data: Dataset) -> str:
        return default_model(data)

    def default_recipe(self, data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
        return default_recipe(data, model, scratch=scratch)

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "Segment":
        """With the recipe's losses, and what the training masks show, which are read for it.

        Raises:
            RecipeError: pictures are to be cropped, so that parts of them were never answered.
            DataError: no training mask has a pixel of any class.
        """
        if recipe.fit == "crop":
            raise RecipeError(
                'fit is "crop", which cuts off parts of pictures, and each of their pixels is to be answered; take '
                '"letterbox" or "stretch" (and augment.crop_size for crops to learn from)'
            )
        settings: SegmentSettings = recipe.settings
        census = Census.of(records, len(self.classes))
        if records and not any(census.pictures):
            raise DataError(
                f"none of the {counted(len(records), 'training mask')} has a pixel of a class: all are nobody's, as "
                "255 is, so there is nothing to learn; expected the classes' values in them"
            )
        return dataclasses.replace(
            self,
            cross_entropy_weight=settings.cross_entropy_weight,
            dice_weight=settings.dice_weight,
            focal_weight=settings.focal_weight,
            focal_gamma=settings.focal_gamma,
            class_weights=census.balanced if settings.class_weights == "balanced" else None,
            census=census,
        )

    @property
    def remarks(self) -> Iterable[str]:
        return () if self.census is None else (shares(self.classes, self.census),)

    def shortages(
        self, training: Sequence[Record], validation: Sequence[Record], tested: Sequence[Record]
    ) -> Iterable[str]:
        census = self.census or Census.of(training, len(self.classes))
        said = [*without_pixels("validation", validation), *without_pixels("test", tested)]
        return said + list(shortages(self.classes, census, len(validation), len(tested)))

    def example(self, size: tuple[int, int], objects: int) -> Mask:
        return Mask(np.zeros(size, dtype=np.uint8))

    def inputs(self, images: Tensor) -> Tensor:
        return images

    def encode(self, batch: Batch, device: torch.device) -> Tensor:
        """Class indices, uint8 ``[N, H, W]``."""
        return targets_of(batch, device)

    def loss(self, outputs: Tensor, auxiliary: Sequence[Tensor], targets: Tensor) -> Loss:
        parts = self._loss.parts(outputs, targets)
        return Loss(torch.stack(list(parts.values())).sum(), {name: part.detach() for name, part in parts.items()})

    def undo(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        return outputs.flip(3)

    def decode(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[Indices]:
        return class_maps(outputs, geometries)

    def decode_tiles(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[SureMap]:
        """With how sure each is, so that none of two tiles is believed where it guesses."""
        return sure_maps(outputs, geometries)

    def calibrated(self, figures: Mapping[str, Any]) -> "Segment":
        return self

    def merged(self, parts: Iterable[tuple[Geometry, Indices | SureMap]], tiling: Tiling) -> Indices:
        """Each pixel from the tile that shows most of what is around it and is surest, see `segment_tiles`."""
        return put_together(parts)

    def gathered(
        self, parts: Iterable[tuple[Tile, Tensor]], geometry: Geometry, on_seam: Callable[[int, int], None]
    ) -> Indices:
        """Each pixel's class from the tile that answers for it, see `segment_gathering`."""
        return gathered_classes(parts, geometry, on_seam)

    def meter(self) -> SegmentMeter:
        return SegmentMeter(self.classes, self._loss)

    def logged(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        """All but what grows with the classes."""
        return {name: value for name, value in figures.items() if name not in ("per_class", "confusion")}

    def most_probable(self, prediction: Indices, top: int) -> Indices:
        """All of it: no pixel is without a class."""
        return prediction

    def as_json(self, prediction: Indices, top: int) -> dict[str, Any]:
        """``areas`` and ``polygons`` as ``docs/json.md`` has them."""
        names = self.classes.names
        return {
            "areas": [{"name": names[at], "share": share} for at, share in self._shares(prediction)],
            "polygons": [
                {
                    "name": names[each.index],
                    "pixels": each.pixels,
                    "rings": [ring.reshape(-1).tolist() for ring in each.rings],
                }
                for each in polygons(prediction)
            ],
        }

    def as_text(self, prediction: Indices, top: int) -> str:
        """``of the picture: Road 31.7%, Building 23.3%, Tree 9.7%; and 5 more classes``."""
        shares = self._shares(prediction)
        said = "of the picture: " + ", ".join(f"{self.classes.names[at]} {share:.1%}" for at, share in shares[:top])
        more = len(shares) - top
        return said + (f"; and {counted(more, 'more class', 'more classes')}" if more > 0 else "")

    def draw(self, prediction: Indices, photograph: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return overlaid(photograph(), prediction, self.classes.names, self._shares(prediction))

    def exhibit(self, image: NDArray[np.uint8], target: Target) -> tuple[NDArray[np.uint8], str]:
        assert isinstance(target, Mask)
        return self.draw(target.indices(), lambda: image), ""

    def write(self, prediction: Indices, folder: Path, name: str, photograph: Path) -> Mapping[str, str]:
        """``mask``: a picture of the classes' indices, with a palette."""
        file = f"{name}.mask.png"
        with replace_file(folder / file) as partial:
            as_picture(prediction, self.classes.names).save(partial, "png", optimize=True)
        return {"mask": file}

    def margin(self, metric: str, figures: Mapping[str, Any]) -> float:
        """Half of the 95 % interval, see `segment_figures.margins`; 0 for the loss."""
        return float(figures["margins"].get(metric) or 0.0)

    def brief(self, figures: Mapping[str, Any]) -> str:
        """``mean IoU 0.670, 90.1% of the pixels right, loss 0.310``."""
        right = "-" if figures["pixel_accuracy"] is None else f"{figures['pixel_accuracy']:.1%}"
        return f"mean IoU {shown(figures['mean_iou'])}, {right} of the pixels right, loss {shown(figures['loss'])}"

    def details(self, figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
        return details(figures, rows)

    def summary(self, figures: Mapping[str, Any]) -> str:
        """``mean IoU 0.67, with 95 % confidence between 0.65 and 0.69; pixel accuracy 0.90, boundary F1 0.60``."""
        iou = with_margin(figures["mean_iou"], figures["margins"]["mean_iou"])
        accuracy, borders = shown(figures["pixel_accuracy"]), shown(figures["boundary_f1"])
        return f"mean IoU {iou}; pixel accuracy {accuracy}, boundary F1 {borders}"

    @property
    def _loss(self) -> SegmentLoss:
        return SegmentLoss(
            self.cross_entropy_weight, self.dice_weight, self.focal_weight, self.focal_gamma, self.class_weights
        )

    def _shares(self, prediction: Indices) -> list[tuple[int, float]]:
        """The classes that occur, by their index, and their part of the pixels, the largest first."""
        counts, pixels = np.zeros(UNKNOWN + 1, np.int64), prediction.reshape(-1)
        for start in range(0, pixels.size, _COUNTED):
            counts += np.bincount(pixels[start : start + _COUNTED], minlength=UNKNOWN + 1)
        counts = counts[: len(self.classes)]
        order = np.argsort(-counts, kind="stable")
        return [(at, float(counts[at] / prediction.size)) for at in order.tolist() if counts[at]]
