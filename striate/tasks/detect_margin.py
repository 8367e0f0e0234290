"""How far an average precision may be off because the pictures are few: its spread over draws of as many pictures.

Drawing anew and counting again would take as long as many measurements. The infinitesimal jackknife (Jaeckel 1972;
Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982, section 6.3) takes one: it asks how the figure
would move if a picture weighed a little more, which is a sum over sorted answers, and the squares of that over the
pictures are the variance.
"""

from collections.abc import Sequence

import numpy as np

from striate.tasks.average_precision import Curve
from striate.tasks.detect_matching import Floats, Measured, curves
from striate.tasks.intervals import jackknife_margin


def margin(measured: Measured, overlaps: Sequence[float]) -> float | None:
    """How far below or above the true average precision one of so many pictures lies, with 95 % confidence.

    The precision is the mean over these ``overlaps`` and over the classes that are there. None for fewer than two
    pictures, and where there is nothing to find.
    """
    truth, answers, images = measured.truth, measured.answers, measured.images
    objects = measured.objects
    if not objects.any():
        return None
    moved = np.zeros(images)
    for overlap in overlaps:
        verdicts = measured.judged(overlap)
        for index, curve in curves(answers.classes, verdicts, objects).items():
            by_answer = influences(curve)
            pictures = answers.pictures[verdicts.counted & (answers.classes == index)]
            there = truth.pictures[truth.counted & (truth.classes == index)]
            moved += np.bincount(pictures, by_answer, minlength=images)
            moved -= by_answer.sum() / curve.objects * np.bincount(there, minlength=images)
    moved /= len(overlaps) * np.count_nonzero(objects)
    return jackknife_margin(moved)


def influences(curve: Curve) -> Floats:
    """How the area under a curve's envelope moves with the weight of each answer ``[M]``; their sum is the area.

    An answer of weight w counts w times. A right one adds its own precision, and every answer moves the precisions of
    all after it, of which those that the envelope touches count, each for the right answers whose best it is.
    """
    count = len(curve.right)
    if not count:
        return np.zeros(0)
    precisions, envelope = curve.precisions, curve.envelope
    touching = np.where(precisions == envelope, np.arange(count), count)
    best = np.minimum.accumulate(touching[::-1])[::-1]
    shares = np.bincount(best[curve.right], minlength=count) / np.arange(1, count + 1)
    raised, lowered = (np.cumsum(each[::-1])[::-1] for each in (shares, shares * precisions))
    moved: Floats = (curve.right * (envelope + raised) - lowered) / curve.objects
    return moved
