"""The figures of localization: whether the class is right, and how well the box fits."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.data.records import Batch, Classes
from striate.data.targets import Boxes
from striate.ops.boxes import iou
from striate.pictures.geometry import Geometry
from striate.tasks.counted import Counted
from striate.tasks.intervals import mean_interval
from striate.tasks.localize_loss import localization_losses, objects_of

COUNTED = {
    "true": torch.int64,
    "first": torch.int64,
    "right": torch.bool,
    "probability": torch.float64,
    "iou": torch.float64,
    "loss": torch.float64,
}
"""What is kept of each picture: its class, the first answer and whether that is right, how sure it was, and the box's
IoU with the true one; the loss is NaN where the network saw nothing of the object."""

FITS = 0.5
"""The IoU from which on a box counts as found (Russakovsky et al., "ImageNet large scale visual recognition challenge",
2015, section 4.2)."""


def in_photographs(outputs: Tensor, geometries: Sequence[Geometry]) -> NDArray[np.float64]:
    """The boxes xyxy ``[N, 4]`` that raw outputs say, in the photographs' own pixels and cut at their borders."""
    said = outputs[:, :4].detach().cpu().double().numpy()
    rows = [
        np.clip(geometry.undo_boxes(box[None]), 0, [geometry.width, geometry.height] * 2)
        for box, geometry in zip(said, geometries, strict=True)
    ]
    return np.concatenate([np.zeros((0, 4)), *rows])


class LocalizeMeter:
    """Counts answers; keeps six numbers a picture (`COUNTED`)."""

    def __init__(self, classes: Classes, box_loss: str, loss_weights: tuple[float, float]) -> None:
        self._classes, self._box_loss, self._loss_weights = classes, box_loss, loss_weights
        self._counted = Counted(COUNTED)

    def add(self, outputs: Tensor, batch: Batch) -> None:
        """Count raw outputs ``[N, 4 + classes]`` against the objects of the batch's records."""
        targets = [cast("Boxes", record.target).largest() for record in batch.records]
        boxes = np.concatenate([target.xyxy for target in targets])
        true = torch.tensor([int(target.classes[0]) for target in targets])
        logits = outputs[:, 4:].detach().cpu().double()
        # As in classification, a tie with the true class counts against the answer, and so does NaN.
        rank = (~(logits < logits.gather(1, true[:, None]))).sum(1)
        probability, first = logits.softmax(1).max(1)
        objects = objects_of(batch, outputs.device)
        parts = localization_losses(outputs.detach(), objects, self._box_loss)
        loss = sum(
            weight * part for weight, part in zip(self._loss_weights, (parts["class"], parts["box"]), strict=True)
        )
        self._counted.add(
            {
                "true": true,
                "first": first,
                "right": rank == 1,
                "probability": probability,
                "iou": iou(torch.from_numpy(in_photographs(outputs, batch.geometries)), torch.from_numpy(boxes)),
                "loss": torch.where(objects.there, loss, math.nan).cpu().double(),
            }
        )

    def state(self) -> Mapping[str, Tensor]:
        """All that was counted, a number a picture for each name of `COUNTED`."""
        return self._counted.state()

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Pool the pictures of another meter's `state` into this one."""
        self._counted.add(state)

    def rows(self) -> list[dict[str, Any]]:
        """Of each picture ``true`` and ``answered`` (names), ``probability``, ``iou``, ``loss`` and ``right``.

        Right is a picture whose class was the first answer, and whose box fits by `FITS` or more.
        """
        names, state = self._classes.names, {name: part.tolist() for name, part in self.state().items()}
        return [
            {
                "true": names[true],
                "answered": names[first],
                "probability": probability,
                "iou": overlap,
                "loss": None if math.isnan(loss) else loss,
                "right": right and overlap >= FITS,
            }
            for true, first, right, probability, overlap, loss in zip(*(state[name] for name in COUNTED), strict=True)
        ]

    def figures(self) -> dict[str, Any]:
        """``images, top1, mean_iou, accuracy_iou50, interval, loss``; see ``docs/json.md``."""
        state = {name: part.numpy() for name, part in self.state().items()}
        overlaps, right, losses = state["iou"], state["right"], state["loss"]
        losses = losses[~np.isnan(losses)]
        images = len(overlaps)
        return {
            "images": images,
            "top1": float(right.mean()) if images else None,
            "mean_iou": float(overlaps.mean()) if images else None,
            "accuracy_iou50": float((right & (overlaps >= FITS)).mean()) if images else None,
            "interval": mean_interval(overlaps) if images > 1 else None,
            "loss": float(losses.mean()) if len(losses) else None,
        }
