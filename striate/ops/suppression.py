"""Non-max suppression: of boxes that say the same object, the surest.

Computed by NumPy on the processor wherever the tensors are, without gradients: the length of a result depends on the
numbers, so every device has to wait for it anyway. Nothing is compared box by box. In crowds the surest box of each
class is compared with all others of it first (of more than a few hundred boxes). Pairs that may overlap are then found
by sorting left edges within a class, and of them all that are decided are decided at once.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.base.errors import ModelError
from striate.ops.boxes import wide

_BLOCK = 1024  # boxes at first
_FEW = 256  # boxes, of which comparing all near pairs is the shorter work
_CROWDED = 8  # pairs a box: where more overlap, smaller blocks leave fewer of the next ones to compare
_MANY = 8  # one box in so many: where fewer go at once, comparing each with one other is slower than by blocks
_FAR = 1e9  # px: no decoded box reaches there, and areas are still far from float32's end
_PAIRS = 1 << 16  # at once: what is computed of them stays in a core's own memory

_Floats = NDArray[np.floating]
_Indices = NDArray[np.int64]


class Detections(NamedTuple):
    """What was found in one picture, the surest first: xyxy ``[K, 4]``, scores ``[K]`` and class indices ``[K]``."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor


def nms(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor | None = None,
    *,
    iou_threshold: float = 0.6,
    score_threshold: float = 0.0,
    max_detections: int | None = None,
) -> Tensor:
    """Indices int64 ``[K]`` of the boxes that no surer kept box of their class overlaps, the surest first.

    ``boxes`` are xyxy ``[N, 4]``, ``scores`` ``[N]``, ``classes`` integers ``[N]``; without classes all are of one.
    Of equal scores the first is the surer. Two boxes overlap if their IoU is over ``iou_threshold``. Boxes that score
    less than ``score_threshold``, or are not finite, count for nothing. At most ``max_detections`` are kept.

    Raises:
        ModelError: shapes do not fit, a threshold is not in 0 to 1, or ``max_detections`` is below 1.

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])
        >>> nms(boxes, torch.tensor([0.8, 0.9, 0.3]))
        tensor([1, 2])
        >>> nms(boxes, torch.tensor([0.8, 0.9, 0.3]), torch.tensor([0, 1, 0]), score_threshold=0.5)
        tensor([1, 0])
    """
    _check("nms", iou_threshold, score_threshold, max_detections)
    xyxy, numbers, groups = _arrays("nms", boxes, scores, classes)
    kept = _suppress(xyxy, numbers, groups, iou_threshold, score_threshold, max_detections)
    return torch.from_numpy(kept).to(boxes.device)


def multiclass_nms(
    boxes: Tensor,
    scores: Tensor,
    *,
    iou_threshold: float = 0.6,
    score_threshold: float = 0.05,
    max_detections: int | None = None,
) -> list[Detections]:
    """What a batch of pictures shows: boxes xyxy ``[N, P, 4]`` and a score for each class ``[N, P, C]``.

    A place answers with every class that scores at least ``score_threshold``; `nms` is done for each picture.

    Raises:
        ModelError: as `nms` does.

    Example:
        >>> (found,) = multiclass_nms(torch.tensor([[[0.0, 0, 10, 10]]]), torch.tensor([[[0.9, 0.01, 0.2]]]))
        >>> found.classes
        tensor([0, 2])
    """
    _check("multiclass_nms", iou_threshold, score_threshold, max_detections)
    if boxes.shape != (*scores.shape[:2], 4) or scores.dim() != 3:
        raise ModelError(
            "multiclass_nms: takes boxes [N, P, 4] and scores [N, P, C]; got "
            f"{list(boxes.shape)} and {list(scores.shape)}"
        )
    found = []
    for xyxy, numbers in zip(_array(boxes), _array(scores), strict=True):
        places, classes = np.divmod(np.flatnonzero(numbers >= score_threshold), numbers.shape[1])
        likely = numbers[places, classes]
        kept = _suppress(xyxy[places], likely, classes, iou_threshold, score_threshold, max_detections)
        parts = xyxy[places[kept]], likely[kept], classes[kept]
        found.append(Detections(*(torch.from_numpy(part).to(boxes.device) for part in parts)))
    return found


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor | None = None,
    *,
    decay: Literal["linear", "gaussian"] = "linear",
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    score_threshold: float = 0.001,
    max_detections: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Indices int64 ``[K]`` and lowered scores ``[K]``: boxes are not removed but lose by each surer one they overlap.

    Bodla et al., "Soft-NMS", ICCV 2017, section 3: by ``1 - iou`` from ``iou_threshold`` on (linear) or by
    ``exp(-iou^2 / sigma)`` (gaussian). What falls below ``score_threshold`` is gone. Arguments are those of `nms`; the
    time grows with the boxes that are kept.

    Raises:
        ModelError: as `nms` does, or ``sigma`` is not positive, or ``decay`` has no such name.

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 0, 30, 10]])
        >>> soft_nms(boxes, torch.tensor([0.9, 0.8, 0.7]))
        (tensor([0, 2, 1]), tensor([0.9000, 0.7000, 0.4000]))
    """
    _check("soft_nms", iou_threshold, score_threshold, max_detections)
    if decay not in ("linear", "gaussian") or not sigma > 0:
        raise ModelError(f"soft_nms: decay is 'linear' or 'gaussian', sigma positive; got {decay!r} and {sigma}")
    xyxy, numbers, groups = _arrays("soft_nms", boxes, scores, classes)
    counting = _counting(xyxy, numbers, score_threshold)
    live = np.where(counting, numbers.astype(np.float64), -np.inf)
    members = {group: np.flatnonzero(counting & (groups == group)) for group in np.unique(groups[counting])}
    kept, lowered = [], []
    for _ in range(counting.sum() if max_detections is None else min(max_detections, counting.sum())):
        best = int(live.argmax())
        if live[best] < score_threshold:
            break
        kept.append(best)
        lowered.append(live[best])
        others = members[groups[best]] = members[groups[best]][members[groups[best]] != best]
        overlap = _iou(xyxy[best, :, None], xyxy[others].T)
        linear = np.where(overlap >= iou_threshold, 1 - overlap, 1.0)
        live[others] *= linear if decay == "linear" else np.exp(-(overlap**2) / sigma)
        live[best] = -np.inf
    picked = torch.tensor(kept, dtype=torch.int64, device=boxes.device)
    return picked, torch.tensor(lowered, dtype=wide(scores).dtype, device=boxes.device)


def _check(name: str, iou_threshold: float, score_threshold: float, max_detections: int | None) -> None:
    if not 0 <= iou_threshold <= 1:
        raise ModelError(f"{name}: iou_threshold is {iou_threshold}; an IoU is 0 to 1")
    if not 0 <= score_threshold <= 1:
        raise ModelError(f"{name}: score_threshold is {score_threshold}; a score is a probability, 0 to 1")
    if max_detections is not None and max_detections < 1:
        raise ModelError(f"{name}: max_detections is {max_detections}; the least is 1, and None keeps all")


def _arrays(name: str, boxes: Tensor, scores: Tensor, classes: Tensor | None) -> tuple[_Floats, _Floats, _Indices]:
    given = torch.zeros(len(scores), dtype=torch.int64) if classes is None else classes
    if boxes.shape != (len(scores), 4) or scores.dim() != 1 or given.shape != scores.shape:
        raise ModelError(
            f"{name}: takes boxes [N, 4], scores [N] and classes [N]; got {list(boxes.shape)}, {list(scores.shape)} "
            f"and {list(given.shape)}"
        )
    return _array(boxes), _array(scores), given.cpu().numpy().astype(np.int64)


def _array(numbers: Tensor) -> _Floats:
    array: _Floats = wide(numbers.detach()).cpu().numpy()
    return array


def _counting(xyxy: _Floats, scores: _Floats, threshold: float) -> NDArray[np.bool_]:
    """Which boxes there are: NaN is neither near nor sure."""
    counting: NDArray[np.bool_] = (scores >= threshold) & (np.abs(xyxy) < _FAR).all(axis=1)
    return counting


def _suppress(
    xyxy: _Floats, scores: _Floats, groups: _Indices, overlap: float, threshold: float, most: int | None
) -> _Indices:
    """The kept indices, the surest first: those of `_surest`, then block by block, each with what is kept before."""
    counting = np.flatnonzero(_counting(xyxy, scores, threshold))
    ranked = counting[np.argsort(-scores[counting], kind="stable")]
    xyxy, groups = xyxy[ranked], groups[ranked]
    few = len(ranked) <= _FEW
    surest, left = (ranked[:0], np.arange(len(ranked))) if few else _surest(xyxy, groups, overlap)
    kept = np.zeros(0, dtype=np.int64)
    start, size = 0, _BLOCK
    while start < len(left) and (most is None or len(kept) < most):
        together = np.concatenate([kept, left[start : start + size]])
        pairs = _overlapping(xyxy[together], groups[together], overlap)
        kept = together[_greedy(len(together), *pairs)]
        start += size
        size = 2 * size if len(pairs[0]) < _CROWDED * size else max(size // 2, 1)
    return ranked[np.sort(np.concatenate([surest, kept]))[:most]]


def _surest(xyxy: _Floats, groups: _Indices, threshold: float) -> tuple[_Indices, _Indices]:
    """The surest box of each group stays, and those that it overlaps go; again and again while many do.

    Boxes are in order, the surest first. Gives those that stay, and those that are left to decide about.
    """
    left = groups.argsort(kind="stable")
    staying = [left[:0]]
    while len(left):
        begins = np.append(True, np.diff(groups[left]) != 0)
        first = np.flatnonzero(begins)
        sides = xyxy.T.take(left, axis=1)
        theirs = sides[:, first].repeat(np.diff(first, append=len(left)), axis=1)
        gone = (_iou(theirs, sides) > threshold) | begins
        staying.append(left[first])
        left = left[~gone]
        if (gone.sum() - len(first)) * _MANY < len(left):
            break
    return np.concatenate(staying), np.sort(left)


def _greedy(count: int, surer: _Indices, other: _Indices) -> NDArray[np.bool_]:
    """Which of ``count`` boxes stay, given the pairs that overlap.

    All boxes that no surer one is left to challenge stay; the others in their pairs go, and with them their own pairs.
    The surest of those that are left is always among the unchallenged, so this ends.
    """
    staying = np.ones(count, dtype=bool)
    while len(surer):
        challenged = np.zeros(count, dtype=bool)
        challenged[other] = True
        staying[other[~challenged[surer]]] = False
        left = staying[surer] & staying[other]
        surer, other = surer[left], other[left]
    return staying


def _overlapping(xyxy: _Floats, groups: _Indices, threshold: float) -> tuple[_Indices, _Indices]:
    """Pairs of one group with an IoU over ``threshold``: the indices of the smaller one, and of the larger one.

    In the order of group and left edge, a box can overlap those alone that follow before its own width, less the part
    that at least must be shared, has passed. The slack is for rounding: too many candidates cost time, not truth.
    """
    left, _, right, _ = xyxy.T
    low, span = left.min(), float(right.max() - left.min()) + 1
    keys = groups * (2 * span) + (left - low)
    reach = keys + (1 - threshold) * (right - left) + 1e-5 * span
    order = keys.argsort()
    sides = xyxy.T.take(order, axis=1)
    counts = keys[order].searchsorted(reach[order], side="right") - np.arange(1, len(order) + 1)
    pairs = [np.zeros((2, 0), dtype=np.int64)]
    for first, second in _candidates(counts.clip(0)):
        _, top, _, bottom = sides
        near = np.minimum(bottom[first], bottom[second]) > np.maximum(top[first], top[second])
        first, second = first[near], second[near]
        over = _iou(sides.take(first, axis=1), sides.take(second, axis=1)) > threshold
        pairs.append(order[np.stack([first[over], second[over]])])
    one, other = np.concatenate(pairs, axis=1)
    return np.minimum(one, other), np.maximum(one, other)


def _candidates(counts: _Indices) -> Iterator[tuple[_Indices, _Indices]]:
    """Each box with as many of those that follow it as ``counts`` says, some `_PAIRS` at a time."""
    ends = counts.cumsum()
    start = 0
    while start < len(counts):
        stop = max(start + 1, int(ends.searchsorted(ends[start] - counts[start] + _PAIRS)))
        part = counts[start:stop]
        first = np.repeat(np.arange(start, stop), part)
        begin = np.arange(start, stop) + 1 - (part.cumsum() - part)
        yield first, np.arange(len(first)) + np.repeat(begin, part)
        start = stop


def _iou(one: _Floats, other: _Floats) -> _Floats:
    """IoU of boxes ``[4, N]`` that broadcast, 0 where there is no area: what `striate.ops.boxes.iou` gives.

    Sides come first here, so that each is read in one go.
    """
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared, union = _area(low, high), _area(one[:2], one[2:]) + _area(other[:2], other[2:])
    union -= shared
    ratio: _Floats = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    return ratio


def _area(low: _Floats, high: _Floats) -> _Floats:
    width, height = np.maximum(high - low, 0)
    area: _Floats = width * height
    return area
