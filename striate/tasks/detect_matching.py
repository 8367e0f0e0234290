"""What each answer of a detector is about, and whether it is right: by Pascal VOC's rule.

Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010, section 4.2: an answer is about the
object of its class that it overlaps most, and right if it overlaps that by half. Of several answers about one object
the surest is right. COCO's rule, by which the others may be about a further object, is in `coco_figures`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from striate.ops.boxes import iou
from striate.tasks.average_precision import Curve

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SAME = 0.5
"""IoU from which on a box is that of an object."""
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Answers:
    """What was found in all pictures, the surest first: pictures, xyxy ``[M, 4]``, scores and classes ``[M]``."""

    pictures: Indices
    boxes: Floats
    scores: Floats
    classes: Indices

    @classmethod
    def of(cls, rows: Floats) -> "Answers":
        """From rows ``[M, 7]`` of picture, xyxy, score, class."""
        rows = rows[np.argsort(-rows[:, 5], kind="stable")]
        return cls(rows[:, 0].astype(np.int64), rows[:, 1:5], rows[:, 5], rows[:, 6].astype(np.int64))


@dataclass(frozen=True, slots=True)
class Truth:
    """What is there in all pictures: pictures, xyxy ``[T, 4]``, classes, areas, crowd and difficult ``[T]``."""

    pictures: Indices
    boxes: Floats
    classes: Indices
    areas: Floats
    crowd: Flags
    difficult: Flags

    @classmethod
    def of(cls, rows: Floats) -> "Truth":
        """From rows ``[T, 9]`` of picture, xyxy, class, area, crowd, difficult."""
        pictures, classes = rows[:, 0].astype(np.int64), rows[:, 5].astype(np.int64)
        return cls(pictures, rows[:, 1:5], classes, rows[:, 6], rows[:, 7] > 0, rows[:, 8] > 0)

    @property
    def counted(self) -> Flags:
        """Which of them an answer must find: no crowds, and none that are hard to see."""
        return ~(self.crowd | self.difficult)


@dataclass(frozen=True, slots=True)
class Matches:
    """For each answer ``[M]`` what it overlaps most of what is there, and by how much (IoU).

    ``own`` is an object of its class, also one that is hard to see, ``other`` one of another class that is counted; -1
    where it overlaps none. ``in_crowd`` is the part of the answer that lies in a crowd of its class.
    """

    own: Indices
    own_iou: Floats
    other: Indices
    other_iou: Floats
    in_crowd: Floats


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Which answers ``[M]`` are right, and which are wrong; the others are about what nobody counts."""

    right: Flags
    wrong: Flags

    @property
    def counted(self) -> Flags:
        """Those that are one or the other."""
        return self.right | self.wrong


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found and what is there in so many ``images``, of so many ``classes``, and what is about what."""

    answers: Answers
    truth: Truth
    matches: Matches
    images: int
    classes: int

    @classmethod
    def of(cls, found: Floats, true: Floats, images: int, classes: int) -> "Measured":
        """From the rows of `Answers` and `Truth`.

        Example:
            >>> found = np.array([[0, 0, 0, 10, 10, 0.9, 1], [0, 50, 0, 60, 10, 0.8, 1]])
            >>> measured = Measured.of(found, np.array([[0, 0, 0, 10, 8, 1, 80, 0, 0.0]]), images=1, classes=2)
            >>> measured.matches.own, measured.matches.own_iou, measured.judged().right
            (array([ 0, -1]), array([0.8, 0. ]), array([ True, False]))
        """
        answers, truth = Answers.of(found), Truth.of(true)
        return cls(answers, truth, _matched(answers, truth), images, classes)

    @property
    def objects(self) -> Indices:
        """How many objects of each class are counted."""
        return np.bincount(self.truth.classes[self.truth.counted], minlength=self.classes)

    def judged(self, overlap: float = SAME) -> Verdicts:
        """Which answers are right where a box must overlap its object by so much.

        An answer about an object that is hard to see is neither right nor wrong, nor is one that no object claims and
        that lies in a crowd.
        """
        close = self.matches.own_iou >= overlap
        counted = np.append(self.truth.counted, False)[self.matches.own]  # the last is nobody's
        claims = np.flatnonzero(close & counted)
        _, surest = np.unique(self.matches.own[claims], return_index=True)
        right = np.zeros(len(close), dtype=bool)
        right[claims[surest]] = True
        ignored = np.where(close, ~counted, self.matches.in_crowd >= overlap)
        return Verdicts(right, ~right & ~ignored)


def curves(classes: Indices, verdicts: Verdicts, objects: Indices) -> dict[int, Curve]:
    """The curve of each class that has objects: answers ``[M]`` are of ``classes``, ``objects`` says how many."""
    counted = verdicts.counted
    return {
        index: Curve(int(objects[index]), verdicts.right[counted & (classes == index)])
        for index in np.flatnonzero(objects).tolist()
    }


def _matched(answers: Answers, truth: Truth) -> Matches:
    count = len(answers.scores)
    own, other = np.full((2, count), NOBODY)
    own_iou, other_iou, in_crowd = np.zeros((3, count))
    counted = truth.counted
    for rows, columns in _pictures(answers.pictures, truth.pictures):
        boxes, objects = (torch.from_numpy(each) for each in (answers.boxes[rows], truth.boxes[columns]))
        overlaps = iou(boxes[:, None], objects).numpy()
        same = answers.classes[rows, None] == truth.classes[columns]
        own[rows], own_iou[rows] = _most(overlaps * (same & ~truth.crowd[columns]), columns)
        other[rows], other_iou[rows] = _most(overlaps * (~same & counted[columns]), columns)
        if truth.crowd[columns].any():
            in_crowd[rows] = (_parts(boxes, objects, overlaps) * (same & truth.crowd[columns])).max(axis=1)
    return Matches(own, own_iou, other, other_iou, in_crowd)


def _pictures(first: Indices, second: Indices) -> Iterator[tuple[Indices, Indices]]:
    """For each picture that both have, where in them it stands."""
    pictures = np.intersect1d(first, second)
    orders = [np.argsort(each, kind="stable") for each in (first, second)]
    bounds = [
        np.searchsorted(each[order], [pictures, pictures + 1]).T.tolist()
        for each, order in zip((first, second), orders, strict=True)
    ]
    for rows, columns in zip(*bounds, strict=True):
        yield orders[0][slice(*rows)], orders[1][slice(*columns)]


def _most(overlaps: Floats, columns: Indices) -> tuple[Indices, Floats]:
    """For each answer the object that it overlaps most, and by how much."""
    best = overlaps.argmax(axis=1)
    most = overlaps[np.arange(len(best)), best]
    return np.where(most > 0, columns[best], NOBODY), most


def _parts(boxes: torch.Tensor, objects: torch.Tensor, overlaps: Floats) -> Floats:
    """The part ``[D, T]`` of each answer that lies in each object."""
    own, others = ((each[:, 2:] - each[:, :2]).clamp(min=0).prod(1).numpy() for each in (boxes, objects))
    shared = overlaps / (1 + overlaps) * (own[:, None] + others)
    return np.divide(shared, own[:, None], out=np.zeros_like(shared), where=own[:, None] > 0)
