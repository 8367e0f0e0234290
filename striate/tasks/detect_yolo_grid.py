"""The form of one grid: of each cell a few boxes, how sure each is of an object, and the classes once for all of them.

Redmon and Farhadi, "YOLO9000: better, faster, stronger", CVPR 2017, section 2 for anchors and objectness; one set of
class probabilities a cell is of Redmon et al., "You only look once", CVPR 2016, section 2. With five anchors and the 20
classes of Pascal VOC, each cell says 5 x (4 + 1) + 20 = 45 numbers. The loss is YOLOv3's, but for the classes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from striate.data.records import Record
from striate.ops.anchors import AnchorReport
from striate.ops.grids import cells
from striate.recipe import Recipe
from striate.task_settings import DetectSettings
from striate.tasks.detect_anchors import (
    Places,
    Sizes,
    Stride,
    Weight,
    anchored_loss,
    answering,
    fitted_anchors,
    places_of,
    remark_on,
    turned,
    weighed,
)
from striate.tasks.detect_objects import Objects

VOC_ANCHORS = ((42.3, 55.4), (102.2, 128.3), (161.8, 259.2), (303.1, 154.9), (359.6, 320.2))
"""YOLOv2's, of Pascal VOC at 416 (its code says them in cells of 32)."""


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class YoloGrid:
    """The form; ``anchors`` (width, height) of each cell, whose side is the ``stride``.

    Raw outputs are ``[N, cells, 5 * anchors + classes]``, the cells row by row: x, y, w, h and objectness of each
    anchor, and then the classes' logits.
    """

    anchors: Sizes = VOC_ANCHORS
    stride: Stride = 32
    box_weight: Weight = 1.0
    background_weight: Weight = 1.0
    report: AnchorReport | None = None

    name: ClassVar[str] = "yolo_grid"

    @property
    def arguments(self) -> Mapping[str, Any]:
        """See `Form`; the weights, so that a model file is measured by the loss that it was trained with."""
        return {
            "anchors": [list(size) for size in self.anchors],
            "stride": self.stride,
            "box_weight": self.box_weight,
            "background_weight": self.background_weight,
        }

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "YoloGrid":
        """With anchors of the records' boxes, as many as before, and the recipe's weights."""
        settings: DetectSettings = recipe.settings
        found = fitted_anchors(recipe, records, len(self.anchors), (self.stride,))
        return replace(
            self,
            anchors=found.anchors[0] if found else self.anchors,
            report=found.report if found else None,
            box_weight=settings.box_weight,
            background_weight=settings.background_weight,
        )

    def remarks(self) -> Iterable[str]:
        """See `Form`."""
        return [remark_on((self.anchors,), self.report)]

    def shape(self, size: tuple[int, int], classes: int) -> tuple[int, int]:
        """See `Form`."""
        return cells(size, (self.stride,)), 5 * len(self.anchors) + classes

    @property
    def maps(self) -> Sequence[tuple[int, int]]:
        """See `Form`."""
        return [(self.stride, len(self.anchors))]

    def boxes(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """See `Form`."""
        numbers, _ = self._parts(outputs)
        return self._places(size, outputs.device).boxes(numbers.flatten(1, 2)[..., :4])

    def scores(self, outputs: Tensor) -> Tensor:
        """See `Form`."""
        numbers, logits = self._parts(outputs.float())
        return (numbers[..., 4:].sigmoid() * logits.softmax(-1)[:, :, None]).flatten(1, 2)

    def loss(self, outputs: Tensor, objects: Objects) -> Mapping[str, Tensor]:
        """See `Form`; each object asks its cell for its class, by cross-entropy."""
        numbers, logits = self._parts(outputs.float())

        def class_errors(places: Tensor) -> Tensor:
            own = places // len(self.anchors)
            mine = logits.gather(1, own[..., None].expand(-1, -1, logits.shape[2]))
            return F.cross_entropy(mine.transpose(1, 2), objects.classes, reduction="none")

        places = self._places(objects.size, outputs.device)
        answers = answering(objects, (self.anchors,), (self.stride,))
        parts = anchored_loss(numbers.flatten(1, 2), class_errors, objects, places, answers)
        return weighed(parts, self.box_weight, self.background_weight)

    def mirrored(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """See `Form`."""
        numbers, logits = self._parts(outputs)
        names = logits.unflatten(1, (-1, -(-size[1] // self.stride))).flip(2).flatten(1, 2)
        return torch.cat([turned(numbers, size[1], self.stride).flatten(2), names], -1)

    def _parts(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of each anchor ``[N, cells, A, 5]``, and the classes' logits ``[N, cells, classes]``."""
        count = 5 * len(self.anchors)
        return outputs[..., :count].unflatten(-1, (len(self.anchors), 5)), outputs[..., count:]

    def _places(self, size: tuple[int, int], device: torch.device) -> Places:
        return places_of(size, (self.anchors,), (self.stride,), (1.0,), device)
