"""YOLOv3's form: of each place a box, how sure it is that there is an object, and the classes, each by itself.

Redmon and Farhadi, "YOLOv3: an incremental improvement", 2018; what its places are, `striate.tasks.detect_anchors`.
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
from striate.models.heads import STRIDES
from striate.ops.anchors import AnchorReport
from striate.ops.grids import cells
from striate.recipe import Recipe
from striate.task_settings import DetectSettings
from striate.tasks.detect_anchors import (
    Places,
    Reach,
    Scales,
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

COCO_ANCHORS = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)
"""The paper's, of COCO at 416 (section 2.3)."""


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Yolov3:
    """The form; ``anchors`` (width, height), ``strides`` and ``scale_xy`` of each scale, all in one order.

    Raw outputs are ``[N, places, 5 + classes]``: x, y, w, h, objectness and the classes' logits.

    Raises:
        ValueError: anchors, strides and reaches are not of as many scales, or out of range.

    Example:
        >>> form = Yolov3(anchors=[[[16, 16], [16, 32]]], strides=[16], scale_xy=[1.0])
        >>> form.boxes(torch.zeros(1, 2, 5 + 20), (16, 16))
        tensor([[[ 0.,  0., 16., 16.],
                 [ 0., -8., 16., 24.]]])
    """

    anchors: Scales = COCO_ANCHORS
    strides: tuple[Stride, ...] = STRIDES
    scale_xy: tuple[Reach, ...] = (1.0, 1.0, 1.0)
    box_weight: Weight = 1.0
    background_weight: Weight = 1.0
    report: AnchorReport | None = None

    name: ClassVar[str] = "yolov3"

    def __post_init__(self) -> None:
        counts = {len(self.anchors), len(self.strides), len(self.scale_xy)}
        if len(counts) > 1:
            raise ValueError(
                f"anchors of {len(self.anchors)} scales, {len(self.strides)} strides and {len(self.scale_xy)} reaches"
            )

    @property
    def arguments(self) -> Mapping[str, Any]:
        """See `Form`; the weights, so that a model file is measured by the loss that it was trained with."""
        return {
            "anchors": [[list(size) for size in scale] for scale in self.anchors],
            "strides": list(self.strides),
            "scale_xy": list(self.scale_xy),
            "box_weight": self.box_weight,
            "background_weight": self.background_weight,
        }

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "Yolov3":
        """With anchors of the records' boxes, as many as before, and the recipe's weights."""
        settings: DetectSettings = recipe.settings
        found = fitted_anchors(recipe, records, len(self.anchors[0]), self.strides)
        return replace(
            self,
            anchors=found.anchors if found else self.anchors,
            report=found.report if found else None,
            box_weight=settings.box_weight,
            background_weight=settings.background_weight,
        )

    def remarks(self) -> Iterable[str]:
        """See `Form`."""
        return [remark_on(self.anchors, self.report)]

    def shape(self, size: tuple[int, int], classes: int) -> tuple[int, int]:
        """See `Form`."""
        scales = zip(self.anchors, self.strides, strict=True)
        return sum(len(scale) * cells(size, (stride,)) for scale, stride in scales), 5 + classes

    @property
    def maps(self) -> Sequence[tuple[int, int]]:
        """See `Form`."""
        return [(stride, len(scale)) for stride, scale in zip(self.strides, self.anchors, strict=True)]

    def boxes(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """See `Form`."""
        return self._places(size, outputs.device).boxes(outputs[..., :4])

    def scores(self, outputs: Tensor) -> Tensor:
        """See `Form`."""
        chances = outputs[..., 4:].float().sigmoid()
        return chances[..., :1] * chances[..., 1:]

    def loss(self, outputs: Tensor, objects: Objects) -> Mapping[str, Tensor]:
        """See `Form`; of the classes each has a cross-entropy of its own (section 2.2)."""
        outputs = outputs.float()
        logits = outputs[..., 5:]
        wanted = (objects.classes[..., None] == torch.arange(logits.shape[2], device=logits.device)).float()

        def class_errors(places: Tensor) -> Tensor:
            mine = logits.gather(1, places[..., None].expand(-1, -1, logits.shape[2]))
            return F.binary_cross_entropy_with_logits(mine, wanted, reduction="none").sum(-1)

        places = self._places(objects.size, outputs.device)
        answers = answering(objects, self.anchors, self.strides)
        parts = anchored_loss(outputs[..., :5], class_errors, objects, places, answers)
        return weighed(parts, self.box_weight, self.background_weight)

    def mirrored(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """See `Form`."""
        counts = [
            len(scale) * -(-size[0] // stride) * -(-size[1] // stride)
            for scale, stride in zip(self.anchors, self.strides, strict=True)
        ]
        parts = zip(outputs.split(counts, 1), self.anchors, self.strides, strict=True)
        return torch.cat(
            [
                turned(part.unflatten(1, (-1, len(scale))), size[1], stride).flatten(1, 2)
                for part, scale, stride in parts
            ],
            1,
        )

    def _places(self, size: tuple[int, int], device: torch.device) -> Places:
        return places_of(size, self.anchors, self.strides, self.scale_xy, device)
