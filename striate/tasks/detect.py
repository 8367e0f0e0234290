# ruff: noqa: D102  (what the methods of a task do is said once, in `Task`)
"""Detection: which objects are on a picture, and where."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.data.names import counted, quoted
from striate.data.records import Batch, Classes, Dataset, Record
from striate.data.targets import Boxes, Target
from striate.models.table import architecture
from striate.pictures.exact_tiles import Tile
from striate.pictures.geometry import Geometry
from striate.pictures.tiles import Tiling
from striate.recipe import Recipe
from striate.task_settings import DetectSettings
from striate.tasks.coco_figures import COCO_FIGURES
from striate.tasks.detect_answers import Found, found_in_photographs, found_in_tiles
from striate.tasks.detect_defaults import default_model, default_recipe
from striate.tasks.detect_details import details
from striate.tasks.detect_figures import USUAL_SCORE
from striate.tasks.detect_form import FORMS, Form
from striate.tasks.detect_meter import DetectMeter
from striate.tasks.detect_objects import Objects, objects_of, stated_boxes
from striate.tasks.detect_shortages import shortages
from striate.tasks.detect_task_aligned import TaskAligned
from striate.tasks.detect_tiles import each_once
from striate.tasks.drawing import Detection, drawn, exhibited
from striate.tasks.task import Loss, in_range, require_targets, shown, with_margin

WITHOUT_ANCHORS = TaskAligned()


@dataclass(frozen=True, slots=True)
class Detect:
    """The task; ``form`` is how its network says objects, and what it learns by."""

    classes: Classes
    form: Form = WITHOUT_ANCHORS
    iou_threshold: float = 0.6
    score_threshold: float | None = None

    name: ClassVar[str] = "detect"
    files: ClassVar[None] = None
    one_file: ClassVar[None] = None
    evaluated: ClassVar[str] = "the figures of each class"
    network_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    network_task: ClassVar[str] = "detect"
    metric: ClassVar[str] = "ap"
    every_class: ClassVar[bool] = False
    decode_tiles: ClassVar[None] = None
    directions: ClassVar[Mapping[str, int]] = {
        **dict.fromkeys((*COCO_FIGURES, "voc07_ap50", "voc12_ap50"), 1),
        "loss": -1,
    }

    @classmethod
    def of(cls, classes: Classes, arguments: Mapping[str, Any]) -> "Detect":
        thresholds = dict(arguments)
        form = thresholds.pop("form", {"name": TaskAligned.name})
        name = form.get("name") if isinstance(form, Mapping) else form
        if not (isinstance(form, Mapping) and isinstance(name, str) and name in FORMS):
            raise ValueError(f"its form is {quoted(name)}; expected one with a name of {', '.join(FORMS)}")
        form = dict(form)
        return cls(classes, FORMS[form.pop("name")](**form), **in_range(DetectSettings, thresholds))

    @property
    def least_score(self) -> float:
        """The score from which on objects are named."""
        return USUAL_SCORE if self.score_threshold is None else self.score_threshold

    @property
    def arguments(self) -> Mapping[str, Any]:
        form = {"name": self.form.name, **self.form.arguments}
        return {"form": form, "iou_threshold": self.iou_threshold, "score_threshold": self.score_threshold}

    def checked(self, data: Dataset) -> Dataset:
        require_targets(data, Boxes, self.name)
        return data

    def least_side(self, recipe: Recipe | None) -> int:
        return 1

    def default_model(self, data: Dataset) -> str:
        return default_model(data)

    def default_recipe(self, data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
        return default_recipe(data, model, scratch=scratch)

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "Detect":
        settings: DetectSettings = recipe.settings
        row = architecture(recipe.model)
        form = FORMS[row.form or TaskAligned.name](**row.form_arguments).fitted(recipe, records)
        return dataclasses.replace(
            self, form=form, iou_threshold=settings.iou_threshold, score_threshold=settings.score_threshold
        )

    @property
    def remarks(self) -> Iterable[str]:
        return self.form.remarks()

    def shortages(
        self, training: Sequence[Record], validation: Sequence[Record], tested: Sequence[Record]
    ) -> Iterable[str]:
        return shortages(self.classes, training, validation, tested)

    def example(self, size: tuple[int, int], objects: int) -> Boxes:
        return stated_boxes(size, objects)

    def inputs(self, images: Tensor) -> Tensor:
        return images

    def encode(self, batch: Batch, device: torch.device) -> Objects:
        return objects_of(batch, device)

    def loss(self, outputs: Tensor, auxiliary: Sequence[Tensor], targets: Objects) -> Loss:
        parts = self.form.loss(outputs, targets)
        return Loss(torch.stack(list(parts.values())).sum(), {name: part.detach() for name, part in parts.items()})

    def undo(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        return self.form.mirrored(outputs, size)

    def decode(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[tuple[Detection, ...]]:
        found = found_in_photographs(
            self.form,
            outputs,
            geometries,
            classes=len(self.classes),
            iou_threshold=self.iou_threshold,
            score_threshold=self.least_score,
        )
        return [self._named(each) for each in found]

    def calibrated(self, figures: Mapping[str, Any]) -> "Detect":
        """With the score of best F1, where the recipe names none."""
        known = self.score_threshold is not None
        return self if known else dataclasses.replace(self, score_threshold=figures.get("best_threshold"))

    def scoring(self, least: float) -> "Detect":
        return dataclasses.replace(self, score_threshold=least)

    def merged(self, parts: Iterable[tuple[Geometry, Sequence[Detection]]], tiling: Tiling) -> tuple[Detection, ...]:
        """Each object once, see `detect_tiles`.

        The whole answers only for what may lie whole in no tile; of anything less its boxes are rough, and would not be
        known for those of the tiles.
        """
        found: list[Detection] = []
        windows = [np.zeros((0, 4))]
        for place, prediction in parts:
            least = 0 if place.steps else tiling.shared
            large = [each for each in prediction if max(np.subtract(each.xyxy[2:], each.xyxy[:2])) > least]
            boxes = place.undo_boxes(_xyxy(large)).tolist()
            found += [dataclasses.replace(each, xyxy=tuple(box)) for each, box in zip(large, boxes, strict=True)]
            windows.append(np.repeat(place.window, len(large), axis=0))
        kept, boxes = each_once(
            _xyxy(found),
            np.array([each.probability for each in found]),
            np.array([each.name for each in found]),
            np.concatenate(windows),
            (place.height, place.width),
        )
        return tuple(
            dataclasses.replace(found[at], xyxy=tuple(box)) for at, box in zip(kept, boxes.tolist(), strict=True)
        )

    def gathered(
        self, parts: Iterable[tuple[Tile, Tensor]], geometry: Geometry, on_seam: Callable[[int, int], None]
    ) -> tuple[Detection, ...]:
        """What the places say of all tiles' cores together, so that it is suppressed as the whole's."""
        found = found_in_tiles(
            self.form,
            parts,
            geometry,
            classes=len(self.classes),
            iou_threshold=self.iou_threshold,
            score_threshold=self.least_score,
        )
        return self._named(found)

    def meter(self) -> DetectMeter:
        return DetectMeter(self.classes, self.form, self.iou_threshold, self.score_threshold)

    def logged(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        """All but what grows with the classes."""
        return {name: value for name, value in figures.items() if name not in ("per_class", "curves")}

    def most_probable(self, prediction: Sequence[Detection], top: int) -> Sequence[Detection]:
        return prediction[:top]

    def as_json(self, prediction: Sequence[Detection], top: int) -> dict[str, Any]:
        return {"boxes": [dataclasses.asdict(each) for each in prediction]}

    def as_text(self, prediction: Sequence[Detection], top: int) -> str:
        if not prediction:
            return f"nothing found that scores {self.least_score:.3g} or more"
        said = [str(each) for each in prediction[:top]]
        more = len(prediction) - len(said)
        return "; ".join(said) + (f"; and {counted(more, 'more object')}" if more else "")

    def draw(self, prediction: Sequence[Detection], photograph: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return drawn(photograph(), prediction, self.classes.names)

    def exhibit(self, image: NDArray[np.uint8], target: Target) -> tuple[NDArray[np.uint8], str]:
        return exhibited(image, target, self.classes.names)

    def write(self, prediction: Sequence[Detection], folder: Path, name: str, photograph: Path) -> Mapping[str, str]:
        return {}

    def margin(self, metric: str, figures: Mapping[str, Any]) -> float:
        """Half of the 95 % interval, by `detect_margin`; 0 for figures of one size of objects, and for recalls."""
        name = "ap50" if metric.startswith("voc") else metric
        return float(figures["margins"].get(name) or 0.0)

    def brief(self, figures: Mapping[str, Any]) -> str:
        return f"AP {shown(figures['ap'])}, AP50 {shown(figures['ap50'])}, loss {shown(figures['loss'])}"

    def details(self, figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
        return details(figures, rows)

    def summary(self, figures: Mapping[str, Any]) -> str:
        """``AP 0.480, with 95 % confidence between 0.440 and 0.520; AP50 0.941``."""
        return f"AP {with_margin(figures['ap'], figures['margins']['ap'])}; AP50 {shown(figures['ap50'])}"

    def _named(self, found: Found) -> tuple[Detection, ...]:
        rows = zip(*(each.tolist() for each in found), strict=True)
        return tuple(Detection(self.classes.names[index], score, tuple(box)) for box, score, index in rows)


def _xyxy(detections: Sequence[Detection]) -> NDArray[np.float64]:
    return np.array([each.xyxy for each in detections], dtype=np.float64).reshape(-1, 4)
