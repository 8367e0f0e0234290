"""The figures of segmentation, from what was counted of each picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.data.records import Classes
from striate.tasks.intervals import jackknife_margin

COUNTS = (
    "right",
    "true",
    "answered",
    "border",
    "border_found",
    "border_answered",
    "border_right",
)
"""What is counted of each picture and class: pixels whose answer is right, that are of it, that are answered with it;
and of pixels at its true border all and those that are found, of those at the answered one all and those right."""

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def figures_of(counts: Counts, confusion: Counts, losses: Floats, classes: Classes) -> dict[str, Any]:
    """All figures of ``docs/json.md`` from counts ``[N, 7, K]``, the confusion ``[K, K]`` and losses ``[N]``."""
    right, true, answered = counts[:, :3].sum(0).astype(np.float64)
    ious, borders = ratio(right, true + answered - right), border_f1(counts)
    known = losses[~np.isnan(losses)]
    return {
        "images": len(counts),
        "mean_iou": mean(ious),
        "pixel_accuracy": number(ratio(right.sum(), true.sum())),
        "boundary_f1": mean(_row_means(borders)),
        "loss": mean(known),
        "margins": margins(counts),
        "per_class": [
            {
                "name": name,
                "id": None if classes.ids is None else classes.ids[at],
                "images": int((counts[:, 1, at] > 0).sum()),
                "share": number(ratio(true[at], true.sum())),
                "iou": number(ious[at]),
                "recall": number(ratio(right[at], true[at])),
                "precision": number(ratio(right[at], answered[at])),
                "boundary_f1": mean(borders[:, at]),
            }
            for at, name in enumerate(classes.names)
        ],
        "confusion": confusion.tolist(),
    }


def rows_of(counts: Counts, losses: Floats) -> list[dict[str, Any]]:
    """Of each picture ``pixel_accuracy``, ``mean_iou`` of the classes in mask or answer, ``boundary_f1``, ``loss``."""
    right, true, answered = (counts[:, at].astype(np.float64) for at in range(3))
    columns = {
        "pixel_accuracy": ratio(right.sum(1), true.sum(1)),
        "mean_iou": _row_means(ratio(right, true + answered - right)),
        "boundary_f1": _row_means(border_f1(counts)),
        "loss": losses,
    }
    return [{name: number(column[at]) for name, column in columns.items()} for at in range(len(counts))]


def border_f1(counts: Counts) -> Floats:
    """F1 of each picture's borders ``[N, K]``; NaN where a class has none in mask nor answer, 0 where in one alone."""
    there, found, said, right = (counts[:, 3 + at].astype(np.float64) for at in range(4))
    # 2 P R / (P + R) with P = right / said and R = found / there
    return ratio(2 * right * found, right * there + found * said, where=there + said > 0)


def margins(counts: Counts) -> Mapping[str, float | None]:
    """How far figures may be off with 95 % confidence because the pictures are few; None for fewer than two.

    Of sums over pictures by the infinitesimal jackknife; of the boundaries' mean that is its standard error.
    """
    right, true, answered = (counts[:, at].astype(np.float64) for at in range(3))
    union = true + answered - right
    occurring = union.sum(0) > 0
    ious = _moved(right[:, occurring], union[:, occurring]).sum(1) / max(1, occurring.sum())
    borders = _row_means(border_f1(counts))
    borders = borders[~np.isnan(borders)]
    moved = {
        "mean_iou": ious,
        "pixel_accuracy": _moved(right.sum(1, keepdims=True), true.sum(1, keepdims=True))[:, 0],
        "boundary_f1": (borders - borders.mean()) / len(borders) if len(borders) else borders,
    }
    return {name: jackknife_margin(each) for name, each in moved.items()}


def _moved(part: Floats, whole: Floats) -> Floats:
    """How the ratios of the sums ``[K]`` move with each picture's weight ``[N, K]``; 0 where the whole is nothing."""
    total = np.where(whole.sum(0) > 0, whole.sum(0), 1)
    moved: Floats = (part - part.sum(0) / total * whole) / total
    return moved


def ratio(part: Any, whole: Any, where: Any = True) -> Any:
    """``part / whole``; NaN where the whole is nothing, or where it does not count; of nothing that counts 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    counted = where if where is not True else whole > 0
    return np.where(counted, part / np.where(whole > 0, whole, 1), np.nan)


def mean(values: Floats) -> float | None:
    """Of the values that exist; None where none does."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else None


def number(value: Any) -> float | None:
    """A number as JSON has it."""
    return None if np.isnan(value) else float(value)


def _row_means(values: Floats) -> Floats:
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0).sum(1), there.sum(1))
