"""The figures of detection: COCO's twelve, by COCO's own rules as faster-coco-eval has them, and VOC's 11 points."""

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.data.records import Batch, Classes
from striate.data.targets import Boxes
from striate.ops.suppression import multiclass_nms
from striate.tasks.detect_form import Form
from striate.tasks.detect_objects import objects_of, of_picture

COCO_FIGURES = (
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
)
"""In the order in which COCO's rules print them."""

MOST = 100
"""Detections of a picture that COCO's rules look at."""
LEAST_SCORE = 0.01
"""Less sure ones are not measured: what they add to a curve's end is nothing, and there are thousands."""


class DetectMeter:
    """Keeps what was found and what is there, in the photographs' own pixels, and counts when it is asked.

    Its state is ``found`` float64 ``[M, 7]`` (picture, xyxy, score, class), ``true`` float64 ``[T, 9]`` (picture, xyxy,
    class, area, crowd, difficult), ``losses`` float64 ``[N]`` and ``images``, how many pictures.
    """

    def __init__(self, classes: Classes, form: Form, iou_threshold: float) -> None:
        self._classes, self._form, self._iou_threshold = classes, form, iou_threshold
        self._found: list[NDArray[np.float64]] = []
        self._true: list[NDArray[np.float64]] = []
        self._losses: list[float] = []

    def add(self, outputs: Tensor, batch: Batch) -> None:
        """Count a batch's raw outputs."""
        objects = objects_of(batch, outputs.device)
        boxes, scores = self._form.boxes(outputs, objects.size), self._form.scores(outputs)
        found = multiclass_nms(
            boxes, scores, iou_threshold=self._iou_threshold, score_threshold=LEAST_SCORE, max_detections=MOST
        )
        for row, (each, record, geometry) in enumerate(zip(found, batch.records, batch.geometries, strict=True)):
            picture = len(self._losses)
            here = np.asarray(geometry.undo_boxes(each.boxes.cpu().numpy()), np.float64)
            here = np.clip(here, 0, [geometry.width, geometry.height] * 2)
            numbers = [here, each.scores.cpu().numpy()[:, None], each.classes.cpu().numpy()[:, None]]
            self._found.append(_rows(picture, *numbers))
            self._true.append(_rows(picture, *_columns(cast("Boxes", record.target))))
            parts = self._form.loss(outputs[row : row + 1], of_picture(objects, row))
            self._losses.append(sum(float(part) for part in parts.values()))

    def state(self) -> Mapping[str, Tensor]:
        """All that was counted."""
        return {
            "found": torch.from_numpy(np.concatenate([np.zeros((0, 7)), *self._found])),
            "true": torch.from_numpy(np.concatenate([np.zeros((0, 9)), *self._true])),
            "losses": torch.tensor(self._losses, dtype=torch.float64),
        }

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Pool the pictures of another meter's `state` into this one."""
        for name, to in (("found", self._found), ("true", self._true)):
            rows = state[name].numpy().copy()
            rows[:, 0] += len(self._losses)
            to.append(rows)
        self._losses += state["losses"].tolist()

    def figures(self) -> dict[str, Any]:
        """COCO's twelve, VOC's 11-point AP at IoU 0.5, and a table a class; None where there are no such objects."""
        state = self.state()
        images = len(self._losses)
        found, true = state["found"].numpy(), state["true"].numpy()
        loss = float(np.mean(self._losses)) if images else None
        counts = np.bincount(true[true[:, 7] == 0][:, 5].astype(int), minlength=len(self._classes))
        if not counts.sum():
            none: dict[str, Any] = dict.fromkeys(COCO_FIGURES)
            return none | {"voc07_ap50": None, "per_class": [], "images": images, "loss": loss}
        stats, precisions = _by_coco(found, true, images, len(self._classes))
        figures: dict[str, Any] = {
            name: None if value < 0 or math.isnan(value) else float(value)
            for name, value in zip(COCO_FIGURES, stats, strict=True)
        }
        at_half = precisions[0, :, :, 0, 2]  # IoU 0.5, all areas, 100 detections: [recalls, classes]
        voc = [float(at_half[::10, index].mean()) for index in np.flatnonzero(counts)]
        rows = []
        for index in np.flatnonzero(counts):
            over_iou = precisions[:, :, index, 0, 2]
            rows.append(
                {
                    "name": self._classes.names[index],
                    "objects": int(counts[index]),
                    "ap": float(over_iou[over_iou > -1].mean()) if (over_iou > -1).any() else None,
                    "ap50": float(at_half[:, index].mean()),
                }
            )
        return figures | {"voc07_ap50": float(np.mean(voc)), "per_class": rows, "images": images, "loss": loss}

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A result a picture: how many objects are there and were found with a probability of a half, and the loss."""
        state = self.state()
        sure = state["found"][state["found"][:, 5] >= 0.5]
        images = len(self._losses)
        found, true = (torch.bincount(part[:, 0].long(), minlength=images).tolist() for part in (sure, state["true"]))
        return [
            {"objects": true[at], "found": found[at], "right": true[at] == found[at], "loss": loss}
            for at, loss in enumerate(self._losses)
        ]


def _rows(picture: int, *columns: NDArray[Any]) -> NDArray[np.float64]:
    return np.concatenate([np.full((len(columns[0]), 1), picture), *columns], axis=1, dtype=np.float64)


def _columns(target: Boxes) -> list[NDArray[Any]]:
    sides = target.xyxy[:, 2:] - target.xyxy[:, :2]
    areas = sides.prod(axis=1) if target.areas is None else target.areas
    return [target.xyxy, *(each[:, None] for each in (target.classes, areas, target.crowd, target.difficult))]


def _by_coco(
    found: NDArray[np.float64], true: NDArray[np.float64], images: int, classes: int
) -> tuple[Sequence[float], NDArray[np.float64]]:
    """COCO's twelve figures, and precisions ``[IoUs, recalls, classes, areas, most]`` (-1 where there is nothing)."""
    from faster_coco_eval import COCO, COCOeval_faster

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(
            {
                "images": [{"id": at, "width": 0, "height": 0} for at in range(images)],
                "categories": [{"id": at, "name": str(at)} for at in range(classes)],
                "annotations": [
                    {
                        "id": at + 1,
                        "image_id": int(row[0]),
                        "category_id": int(row[5]),
                        "bbox": _xywh(row[1:5]),
                        "area": float(row[6]),
                        "iscrowd": int(row[7]),
                    }
                    for at, row in enumerate(true)
                ],
            }
        )
        answers = [
            {
                "image_id": int(row[0]),
                "category_id": int(row[6]),
                "bbox": _xywh(row[1:5]),
                "score": float(row[5]),
            }
            for row in found
        ]
        evaluation = COCOeval_faster(truth, truth.loadRes(answers) if answers else COCO(), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return list(evaluation.stats)[:12], np.asarray(evaluation.eval["precision"])


def _xywh(xyxy: NDArray[np.float64]) -> list[float]:
    return [float(xyxy[0]), float(xyxy[1]), float(xyxy[2] - xyxy[0]), float(xyxy[3] - xyxy[1])]
