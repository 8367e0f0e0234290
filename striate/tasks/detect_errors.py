"""What is wrong with a detector's answers: six kinds of errors, how many there are, and what each costs.

Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020, sections 2.2 and 2.3.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from striate.tasks.average_precision import all_points
from striate.tasks.detect_matching import SAME, Flags, Indices, Measured, Verdicts, curves

NEAR = 0.1
"""IoU from which on a box is about an object at all; below, it is about the background."""

ERRORS: Mapping[str, str] = {
    "class": "of another class",
    "localization": "badly placed",
    "both": "badly placed and of another class",
    "duplicate": "named twice",
    "background": "where nothing is",
    "missed": "not found at all",
}
"""The kinds, and what an answer, or at last an object, is then."""


def errors(measured: Measured, threshold: float) -> dict[str, dict[str, Any]]:
    """For each of `ERRORS` its ``count`` among answers that score at least ``threshold``, and its ``gain``.

    The gain is by how much the average precision at IoU 0.5 would rise were all of the kind mended, whatever they
    score: an answer that has an object to itself but for its place or its class is right, others are withdrawn, and
    what was missed is not asked for. None where there is nothing to find.
    """
    verdicts = measured.judged()
    kinds = kinds_of(measured, verdicts)
    named = measured.answers.scores >= threshold
    missed = int(_missed(measured, verdicts, kinds, named).sum())
    before = _average(measured.answers.classes, verdicts, measured.objects)
    found = {}
    for kind in ERRORS:
        after = _without(kind, measured, verdicts, kinds)
        count = missed if kind == "missed" else int((named & (kinds == kind)).sum())
        found[kind] = {"count": count, "gain": None if before is None or after is None else after - before}
    return found


def kinds_of(measured: Measured, verdicts: Verdicts) -> np.ndarray:
    """The kind of error that each answer is, ``[M]``; "" where it is none.

    One that overlaps an object of its class is a duplicate or badly placed, whatever else it overlaps.
    """
    own, other = measured.matches.own_iou, measured.matches.other_iou
    cases = [~verdicts.wrong, own >= SAME, own >= NEAR, other >= SAME, other >= NEAR]
    return np.select(cases, ["", "duplicate", "localization", "class", "both"], "background")


def _missed(measured: Measured, verdicts: Verdicts, kinds: np.ndarray, named: Flags) -> Flags:
    """Which objects ``[T]`` no answer is about, not even one that is badly placed or of another class."""
    found = ~measured.truth.counted
    found[measured.matches.own[named & (verdicts.right | (kinds == "localization"))]] = True
    found[measured.matches.other[named & (kinds == "class")]] = True
    return ~found


def _without(kind: str, measured: Measured, verdicts: Verdicts, kinds: np.ndarray) -> float | None:
    """The average precision were there no errors of this kind."""
    truth, matches, objects = measured.truth, measured.matches, measured.objects
    classes = measured.answers.classes.copy()
    if kind == "missed":
        missed = truth.classes[_missed(measured, verdicts, kinds, np.ones(len(kinds), dtype=bool))]
        return _average(classes, verdicts, objects - np.bincount(missed, minlength=measured.classes))
    right = verdicts.right.copy()
    if kind in ("class", "localization"):
        about = matches.other if kind == "class" else matches.own
        free = truth.counted
        free[matches.own[right]] = False
        rows = np.flatnonzero(kinds == kind)
        rows = rows[free[about[rows]]]
        _, surest = np.unique(about[rows], return_index=True)
        right[rows[surest]] = True
        classes[rows] = truth.classes[about[rows]]
    return _average(classes, Verdicts(right, verdicts.wrong & (kinds != kind)), objects)


def _average(classes: Indices, verdicts: Verdicts, objects: Indices) -> float | None:
    values = [all_points(curve) for curve in curves(classes, verdicts, objects).values()]
    return float(np.mean(values)) if values else None
