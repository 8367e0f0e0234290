"""From answers that are right or wrong to a curve of precision over recall, and the numbers that are read off it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """How many objects there are, and after each answer, the surest first, how many ``[M]`` were found.

    Example:
        >>> curve = Curve(3, np.array([True, False, True]))
        >>> curve.recalls.round(2), curve.precisions.round(2)
        (array([0.33, 0.33, 0.67]), array([1.  , 0.5 , 0.67]))
    """

    objects: int
    right: NDArray[np.bool_]

    @property
    def recalls(self) -> Floats:
        """Part of the objects that were found so far ``[M]``."""
        recalls: Floats = self.right.cumsum() / self.objects
        return recalls

    @property
    def precisions(self) -> Floats:
        """Part of the answers so far that were right ``[M]``."""
        precisions: Floats = self.right.cumsum() / np.arange(1, len(self.right) + 1)
        return precisions

    @property
    def envelope(self) -> Floats:
        """The best precision ``[M]`` at this recall or a higher one."""
        envelope: Floats = np.maximum.accumulate(self.precisions[::-1])[::-1]
        return envelope


def eleven_points(curve: Curve) -> float:
    """VOC 2007's average precision: the mean over recalls 0, 0.1, ..., 1 of the best precision at it or above.

    Everingham et al. 2010, section 4.2. A recall that is never reached counts 0.

    Example:
        >>> eleven_points(Curve(2, np.array([True, False])))  # recalls 0, 0.1, ..., 0.5 of eleven
        0.5454545454545454
    """
    # k / 10, where 0.1 * 3 is more than the recall 3 / 10
    at = np.searchsorted(curve.recalls, np.arange(11) / 10)
    return float(np.append(curve.envelope, 0.0)[at].mean())


def all_points(curve: Curve) -> float:
    """The average precision of VOC 2010 and after: the area under the best precision at each recall or above.

    Example:
        >>> all_points(Curve(2, np.array([True, False])))
        0.5
    """
    return float(curve.envelope[curve.right].sum()) / curve.objects


def best_threshold(scores: Floats, curve: Curve) -> tuple[float | None, float | None]:
    """The score from which on answers should be given for the best F1, and that F1; None where nothing is right.

    ``scores`` ``[M]`` are the answers' of the curve. The threshold lies half-way between the last answer that is given
    and the next, so that neither depends on the last digit of a score.

    Example:
        >>> best_threshold(np.array([0.9, 0.75, 0.25, 0.2]), Curve(2, np.array([True, True, False, False])))
        (0.5, 1.0)
    """
    if not curve.right.any():
        return None, None
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # of equal scores all or none are given
    values = 2 * curve.right.cumsum()[last] / (last + 1 + curve.objects)
    best = int(values.argmax())
    following = np.append(scores, 0.0)[last[best] + 1]
    return float((scores[last[best]] + following) / 2), float(values[best])
