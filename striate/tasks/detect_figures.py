"""The figures of detection: COCO's twelve, VOC's two, how sure they are, and what the given answers are like."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate.data.records import Classes
from striate.tasks.average_precision import Curve, all_points, best_threshold, eleven_points
from striate.tasks.coco_figures import coco_figures
from striate.tasks.detect_errors import errors
from striate.tasks.detect_margin import margin
from striate.tasks.detect_matching import Floats, Measured, Verdicts, curves

USUAL_SCORE = 0.3
"""Where it is not known which is best, answers are given from this score on."""
OVERLAPS: Mapping[str, Sequence[float]] = {
    "ap": tuple(at / 100 for at in range(50, 100, 5)),
    "ap50": (0.5,),
    "ap75": (0.75,),
}
"""The figures that come with a margin, and the IoUs that they are means over."""
DECIMALS = 4
"""Of a curve's precisions, which are looked at."""


def figures_of(measured: Measured, classes: Classes, score_threshold: float | None) -> dict[str, Any]:
    """The figures of ``docs/json.md`` but for ``images`` and ``loss``; None where there is nothing to find.

    ``score_threshold`` is that from which on answers are given; None is the one of the best F1 on these pictures.
    """
    coco, precisions = coco_figures(measured)
    verdicts = measured.judged()
    by_class = curves(measured.answers.classes, verdicts, measured.objects)
    threshold = _threshold(measured, verdicts, score_threshold)
    counts = np.bincount(measured.truth.classes[~measured.truth.crowd], minlength=len(classes))
    there = np.flatnonzero(counts).tolist()
    return {
        **coco,
        "voc07_ap50": _mean([eleven_points(each) for each in by_class.values()]),
        "voc12_ap50": _mean([all_points(each) for each in by_class.values()]),
        "margins": {name: margin(measured, overlaps) for name, overlaps in OVERLAPS.items()},
        "score_threshold": threshold,
        **_given(*_curve(measured, verdicts), threshold),
        "errors": errors(measured, threshold),
        "per_class": [
            {
                "name": classes.names[index],
                "objects": int(counts[index]),
                "ap": float(precisions[:, :, index].mean()),
                "ap50": float(precisions[0, :, index].mean()),
                **_given(*_curve(measured, verdicts, index), threshold),
            }
            for index in there
        ],
        "curves": precisions[0][:, there].T.round(DECIMALS).tolist(),
    }


def rows_of(measured: Measured, losses: Sequence[float], score_threshold: float | None) -> list[dict[str, Any]]:
    """For each picture how many ``objects`` are there, how many answers ``named`` one, and how many were ``found``.

    ``missed`` are the objects that were not found. Right is a picture of which all were found and nothing else named.
    """
    verdicts, truth, answers = measured.judged(), measured.truth, measured.answers
    given = answers.scores >= _threshold(measured, verdicts, score_threshold)
    where = (
        truth.pictures[truth.counted],
        answers.pictures[given & verdicts.counted],
        answers.pictures[given & verdicts.right],
    )
    counts = [np.bincount(pictures, minlength=measured.images).tolist() for pictures in where]
    return [
        {
            "objects": objects,
            "named": named,
            "found": found,
            "missed": objects - found,
            "loss": loss,
            "right": objects == named == found,
        }
        for objects, named, found, loss in zip(*counts, losses, strict=True)
    ]


def _threshold(measured: Measured, verdicts: Verdicts, score_threshold: float | None) -> float:
    """The score from which on answers are given: the one that is asked for, else the best, else the usual one."""
    best, _ = best_threshold(*_curve(measured, verdicts))
    usual = USUAL_SCORE if best is None else best
    return usual if score_threshold is None else score_threshold


def _curve(measured: Measured, verdicts: Verdicts, index: int | None = None) -> tuple[Floats, Curve]:
    """The answers of one class or of all, the surest first, and their scores."""
    objects = measured.objects
    rows = verdicts.counted if index is None else verdicts.counted & (measured.answers.classes == index)
    count = objects.sum() if index is None else objects[index]
    return measured.answers.scores[rows], Curve(int(count), verdicts.right[rows])


def _given(scores: Floats, curve: Curve, threshold: float) -> dict[str, float | None]:
    """What the answers are like that score at least the threshold, and what the best threshold would be."""
    named = int((scores >= threshold).sum())
    found = int(curve.right[:named].sum())
    best, best_f1 = best_threshold(scores, curve)
    return {
        "precision": found / named if named else None,
        "recall": found / curve.objects if curve.objects else None,
        "f1": 2 * found / (named + curve.objects) if curve.objects else None,
        "best_threshold": best,
        "best_f1": best_f1,
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
