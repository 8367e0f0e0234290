"""COCO's twelve figures of detection, by COCO's own rules as faster-coco-eval has them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.tasks.detect_matching import Floats, Measured

COCO_FIGURES = (
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
)
"""In the order in which COCO's rules print them."""

MOST = 100
"""Detections of a picture that COCO's rules look at."""


def coco_figures(measured: Measured) -> tuple[dict[str, float | None], Floats]:
    """The twelve figures, None where there are no such objects, and precisions ``[10 IoUs, 101 recalls, classes]``.

    IoUs are 0.5, 0.55, ..., 0.95, recalls 0, 0.01, ..., 1; NaN stands for a class without objects. Only crowds are
    nobody's: COCO knows no objects that are hard to see.
    """
    answers, truth = measured.answers, measured.truth
    if truth.crowd.all():
        return dict.fromkeys(COCO_FIGURES), np.full((10, 101, measured.classes), np.nan)
    from faster_coco_eval import COCO, COCOeval_faster

    there = COCO(
        {
            "images": [{"id": at} for at in range(measured.images)],
            "categories": [{"id": at, "name": str(at)} for at in range(measured.classes)],
            "annotations": [
                {"id": at, "image_id": picture, "category_id": index, "bbox": box, "area": area, "iscrowd": int(crowd)}
                for at, (picture, index, box, area, crowd) in enumerate(
                    _rows(truth.pictures, truth.classes, _xywh(truth.boxes), truth.areas, truth.crowd), start=1
                )
            ],
        }
    )
    found = [
        {"image_id": picture, "category_id": index, "bbox": box, "score": score}
        for picture, index, box, score in _rows(answers.pictures, answers.classes, _xywh(answers.boxes), answers.scores)
    ]
    evaluation = COCOeval_faster(there, there.loadRes(found), "bbox")
    evaluation.run()
    precisions = np.asarray(evaluation.eval["precision"])[:, :, :, 0, 2]  # all areas, 100 detections
    figures = {name: _known(value) for name, value in zip(COCO_FIGURES, evaluation.stats[:12], strict=True)}
    return figures, np.where(precisions < 0, np.nan, precisions)


def _rows(*columns: NDArray[Any]) -> Any:
    return zip(*(column.tolist() for column in columns), strict=True)


def _xywh(boxes: Floats) -> Floats:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _known(figure: float) -> float | None:
    return float(figure) if figure >= 0 else None
