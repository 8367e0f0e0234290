"""What a detector without anchors learns by: which places answer for which object, and how far off they are.

Feng et al., "TOOD: Task-aligned one-stage object detection", ICCV 2021, section 3.2. Shapes depend on shapes alone
(boxes are filled up to as many as the picture with most has), and all arithmetic of boxes is float32.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as pydantic_dataclass
from torch import Tensor
from torch.nn import functional as F

from striate.base.ranges import NotNegative
from striate.data.records import Record
from striate.models.heads import STRIDES
from striate.ops.boxes import giou, iou
from striate.ops.grids import cell_centres, cells, decode_distances, kept_centres
from striate.recipe import Recipe
from striate.task_settings import DetectSettings
from striate.tasks.detect_objects import Objects

ALPHA, BETA = 1.0, 6.0
"""Powers of a place's score and of its box's IoU in how well it fits an object (equation 2, section 4.1)."""
NEAREST = 10
"""Places that may answer for an object: those that fit it best."""
_LEAST = 1e-9


def decoded(outputs: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes xyxy ``[N, P, 4]`` that raw outputs ``[N, P, 4 + classes]`` say, in pixels of an input of ``size``."""
    return decode_distances(outputs[..., :4], *cell_centres(size, STRIDES, device=outputs.device))


@dataclass(frozen=True, slots=True)
class Assignment:
    """For each place ``[N, P]`` the index of the object that it answers for, and how well it fits (0: for none)."""

    objects: Tensor
    fit: Tensor


@torch.no_grad()
def assign(boxes: Tensor, logits: Tensor, objects: Objects) -> Assignment:
    """Each object's best places, by score times IoU to the sixth, among those whose centres lie inside it.

    A place that fits several objects answers for the one that its box overlaps most. The fit of an object's best
    place is that place's IoU, that of the others is less in proportion (section 3.2.2).
    """
    centres, _ = cell_centres(objects.size, STRIDES, device=boxes.device)
    overlaps = iou(objects.boxes[:, :, None], boxes[:, None])  # [N, K, P]
    index = objects.classes[:, :, None].expand(-1, -1, boxes.shape[1])
    scores = logits.float().sigmoid().transpose(1, 2).gather(1, index)
    left_top, right_bottom = objects.boxes[:, :, None, :2], objects.boxes[:, :, None, 2:]
    inside = ((centres > left_top) & (centres < right_bottom)).all(-1) & objects.there[:, :, None]
    fits = scores.pow(ALPHA) * overlaps.pow(BETA) * inside
    best = fits.topk(min(NEAREST, fits.shape[2]), dim=2)
    chosen = torch.zeros_like(inside).scatter_(2, best.indices, best.values > _LEAST)
    overlaps, fits = overlaps * chosen, fits * chosen
    most, owner = overlaps.max(1)  # [N, P]
    largest_fit = fits.amax(2, keepdim=True).clamp(min=_LEAST)
    fits = fits / largest_fit * overlaps.amax(2, keepdim=True)
    fit = fits.gather(1, owner[:, None])[:, 0] * (most > 0)
    return Assignment(owner, fit)


def detection_loss(outputs: Tensor, objects: Objects) -> dict[str, Tensor]:
    """``class``: binary cross-entropy of all places, whose target is their fit; ``box``: 1 - GIoU weighed by the fit.

    Both are sums over the batch's places, over the sum of the fits.
    """
    outputs = outputs.float()
    boxes, logits = decoded(outputs, objects.size), outputs[..., 4:]
    assignment = assign(boxes.detach(), logits.detach(), objects)
    rows = assignment.objects[..., None]
    wanted = torch.zeros_like(logits).scatter_(2, objects.classes.gather(1, assignment.objects)[..., None], 1.0)
    wanted = wanted * assignment.fit[..., None]
    whole = assignment.fit.sum().clamp(min=1.0)
    true = objects.boxes.gather(1, rows.expand(-1, -1, 4))
    off = (1 - giou(boxes, true)) * assignment.fit
    return {
        "class": F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / whole,
        "box": off.sum() / whole,
    }


def mirrored(outputs: Tensor, size: tuple[int, int]) -> Tensor:
    """Raw outputs for mirrored pictures as for the pictures themselves."""
    parts: list[Tensor] = []
    height, width = size
    counts = [(-(-height // stride), -(-width // stride)) for stride in STRIDES]
    for part, (rows, columns) in zip(outputs.split([h * w for h, w in counts], 1), counts, strict=True):
        turned = part.unflatten(1, (rows, columns)).flip(2).flatten(1, 2)
        parts.append(torch.cat([turned[..., [2, 1, 0, 3]], turned[..., 4:]], -1))
    return torch.cat(parts, 1)


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class TaskAligned:
    """The form of heads without anchors; ``box_weight`` weighs what the boxes learn, that of the classes being 1."""

    box_weight: NotNegative = 2.0

    name: ClassVar[str] = "task_aligned"

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The weight: a model file is measured by the loss that it was trained with."""
        return {"box_weight": self.box_weight}

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "TaskAligned":
        """With the recipe's weight."""
        settings: DetectSettings = recipe.settings
        return replace(self, box_weight=settings.box_weight)

    def remarks(self) -> Iterable[str]:
        """None: it is fitted to nothing."""
        return ()

    def shape(self, size: tuple[int, int], classes: int) -> tuple[int, int]:
        """See `Form`."""
        return cells(size, STRIDES), 4 + classes

    @property
    def maps(self) -> Sequence[tuple[int, int]]:
        """See `Form`."""
        return [(stride, 1) for stride in STRIDES]

    def boxes(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """See `Form`."""
        return decode_distances(outputs[..., :4], *kept_centres(size, STRIDES, outputs.device))

    def scores(self, outputs: Tensor) -> Tensor:
        """See `Form`."""
        return outputs[..., 4:].float().sigmoid()

    def loss(self, outputs: Tensor, objects: Objects) -> Mapping[str, Tensor]:
        """See `Form`."""
        parts = detection_loss(outputs, objects)
        return parts | {"box": self.box_weight * parts["box"]}

    def mirrored(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """See `Form`."""
        return mirrored(outputs, size)
