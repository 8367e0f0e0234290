"""Anchors: the usual sizes of a data set's boxes, and what a grid detector can at best find with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from striate.base.errors import DataError, ModelError
from striate.base.seeds import uniforms
from striate.ops.boxes import iou, xyxy_to_cxcywh

_STARTS = 5
_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class AnchorReport:
    """What is known of anchors on a data set's boxes before anything is trained.

    ``mean_best_iou`` is the mean over ``objects`` of the IoU with the best anchor, both with one centre; ``reachable``
    the part of the objects for which it is at least 0.5. ``collisions`` are objects lost because another of their
    picture has the same anchor in the same cell; ``small`` are those of which no side is as long as the finest stride.
    """

    objects: int
    mean_best_iou: float
    reachable: float
    collisions: int
    small: int


def size_overlaps(sizes: Tensor, anchors: Tensor) -> Tensor:
    """IoU ``[..., A]`` of boxes of these sizes ``[..., 2]`` with those of each of the anchors ``[A, 2]``, one centre.

    Example:
        >>> size_overlaps(torch.tensor([10.0, 20]), torch.tensor([[10.0, 10], [20, 20]]))
        tensor([0.5000, 0.5000])
    """
    first, second = (torch.cat([torch.zeros_like(part), part], -1) for part in (sizes, anchors))  # with one corner
    return iou(first[..., None, :], second)


def anchors_by_kmeans(sizes: Tensor, count: int, seed: int = 0) -> Tensor:
    """The ``count`` sizes around which a data set's sizes lie nearest: float64 ``[count, 2]``, the smallest area first.

    Redmon and Farhadi, "YOLO9000", CVPR 2017, section 2: k-means by the distance 1 - IoU of boxes with one centre.
    ``sizes`` are widths and heights ``[K, 2]`` in pixels of the network's input, in any order. Of a few starts, drawn
    far apart (Arthur and Vassilvitskii, "k-means++", SODA 2007), that with the highest mean IoU is taken.

    Raises:
        ModelError: ``count`` is below 1, or ``sizes`` are not ``[K, 2]``.
        DataError: there are fewer different sizes than anchors, or one is not positive and finite.

    Example:
        >>> anchors_by_kmeans(torch.tensor([[10, 20], [12, 20], [80, 60], [80, 64]]), 2)
        tensor([[11., 20.],
                [80., 62.]], dtype=torch.float64)
    """
    if count < 1 or sizes.dim() != 2 or sizes.shape[1] != 2:
        raise ModelError(
            f"anchors_by_kmeans: takes sizes [K, 2] and a count from 1; got {list(sizes.shape)} and {count}"
        )
    usable = ((sizes > 0) & sizes.isfinite()).all(1)
    if not usable.all():
        raise DataError(f"anchors: {int((~usable).sum())} of {len(sizes)} boxes have no size, or none that is finite")
    points, weights = torch.unique(sizes.detach().cpu().double(), dim=0, return_counts=True)
    if len(points) < count:
        raise DataError(f"{count} anchors need boxes of {count} different sizes; there are {len(points)}")
    tries = [_lloyd(points, weights, _spread(points, weights, count, seed, start)) for start in range(_STARTS)]
    best = max(tries, key=lambda anchors: float((size_overlaps(points, anchors).amax(1) * weights).sum()))
    return best[best.prod(1).argsort(stable=True)]


def anchor_report(boxes: Sequence[Tensor], anchors: Tensor, strides: Sequence[int]) -> AnchorReport:
    """What detectors with these anchors can find of ``boxes``, xyxy ``[K, 4]`` for each picture, in its input's pixels.

    ``anchors`` ``[A, 2]`` are shared out among ``strides`` in order, as many to each. An object is for the anchor whose
    size fits best, in the cell of that anchor's stride in which its centre lies.

    Raises:
        ModelError: the anchors cannot be shared out equally.
        DataError: there are no boxes.

    Example:
        >>> two = torch.tensor([[0.0, 0, 40, 40], [2, 2, 42, 42]])
        >>> anchor_report([two], torch.tensor([[40.0, 40]]), [32])
        AnchorReport(objects=2, mean_best_iou=1.0, reachable=1.0, collisions=1, small=0)
    """
    if not strides or len(anchors) == 0 or len(anchors) % len(strides):
        raise ModelError(f"{len(anchors)} anchors cannot be shared out equally among {len(strides)} strides")
    if not any(map(len, boxes)):
        raise DataError("anchors: there are no boxes")
    middles, sizes = xyxy_to_cxcywh(torch.cat([part.double() for part in boxes])).split(2, -1)
    best, chosen = size_overlaps(sizes, anchors.double()).max(1)
    steps = torch.tensor(strides, dtype=torch.float64).repeat_interleave(len(anchors) // len(strides))[chosen]
    pictures = torch.arange(len(boxes)).repeat_interleave(torch.tensor([len(part) for part in boxes]))
    cells = (middles / steps[:, None]).floor().long()
    places = torch.cat([pictures[:, None], chosen[:, None], cells], 1)
    return AnchorReport(
        objects=len(sizes),
        mean_best_iou=float(best.mean()),
        reachable=float((best >= 0.5).double().mean()),
        collisions=len(sizes) - len(torch.unique(places, dim=0)),
        small=int((sizes.amax(1) < min(strides)).sum()),
    )


def _spread(points: Tensor, weights: Tensor, count: int, seed: int, start: int) -> Tensor:
    """The first anchors: each a size that is drawn with its distance from those before as its chance."""
    draws = uniforms(seed, start, np.zeros(1, dtype=np.uint64), count)[0]
    distances = torch.ones(len(points), dtype=torch.float64)
    chosen: list[int] = []
    for draw in draws.tolist():
        chances = (distances * weights).cumsum(0)
        chosen.append(int(torch.searchsorted(chances, draw * chances[-1], right=True)))
        distances = torch.minimum(distances, 1 - size_overlaps(points, points[chosen[-1:]])[:, 0])
    return points[chosen]


def _lloyd(points: Tensor, weights: Tensor, anchors: Tensor) -> Tensor:
    """Means of the sizes that are nearest to each anchor, until none changes sides."""
    nearest = torch.full((len(points),), -1)
    for _ in range(_ROUNDS):
        before, nearest = nearest, size_overlaps(points, anchors).argmax(1)
        if torch.equal(before, nearest):
            break
        members = torch.zeros(len(anchors), dtype=torch.float64).index_add_(0, nearest, weights.double())
        sums = torch.zeros_like(anchors).index_add_(0, nearest, points * weights[:, None])
        anchors = torch.where(members[:, None] > 0, sums / members[:, None].clamp(min=1), anchors)
    return anchors
