"""The objects of a large photograph, each once, from the boxes that its tiles and the whole show.

Two views of a photograph see the same pixels where they overlap. So two boxes say one object if they agree there:
clipped to what both views show, their IoU is over `AGREEMENT`. It need not be high, as boxes of one view, which are
never compared, are told apart already. A box that touches a border inside the photograph is a *piece* of something
that may go on beyond.

1. Of boxes that are no pieces and agree, the surest of its class stays: non-max suppression across views.
2. A piece is gone if one of those agrees with it, whatever the piece is called and however sure it is: who sees a half
   can only guess.
3. Pieces that are left, of one class, and agree are one object that no view shows whole: the box around them.

Suppression by IoU alone leaves the halves of cut objects; merging by intersection over the smaller box, as others do,
takes objects that cover each other for one. `tests/tasks/test_detect_tiles.py` counts both.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from striate.ops.boxes import iou

AGREEMENT = 0.3
"""Least IoU, in what both views show, of two boxes that say one object; as boxes of small objects jitter, not more."""
NEAR = 0.02
"""A box touches its view's border if it ends within this part of the view's longer side from it."""

_Boxes = NDArray[np.float64]
_Pairs = NDArray[np.int64]


def each_once(
    boxes: _Boxes, scores: NDArray[np.float64], names: NDArray[np.str_], windows: _Boxes, size: tuple[int, int]
) -> tuple[NDArray[np.int64], _Boxes]:
    """Which boxes stay, the surest first: their indices ``[K]``, and what they are now ``[K, 4]``.

    ``boxes`` are xyxy ``[M, 4]`` in the pixels of a photograph of this ``size`` (height, width), with ``scores`` and
    ``names`` ``[M]``; ``windows`` ``[M, 4]`` is what of the photograph the view shows that each is from. The boxes of a
    view are told apart already. Of equal scores the first is the surer.

    Example:
        >>> halves = np.array([[40.0, 10, 100, 30], [80, 10, 120, 30], [5, 5, 30, 30]])
        >>> tiles = np.array([[0.0, 0, 100, 100], [80, 0, 180, 100], [0, 0, 100, 100]])
        >>> each_once(halves, np.array([0.5, 0.6, 0.9]), np.array(["cat", "cat", "cat"]), tiles, (100, 180))
        (array([2, 1]), array([[  5.,   5.,  30.,  30.],
               [ 40.,  10., 120.,  30.]]))
    """
    pieces = _touching(boxes, windows, size)
    order = np.lexsort((-scores, pieces))  # those that are none first, and of each kind the surest
    boxes, pieces = boxes[order], pieces[order]
    pairs = _agreeing(boxes, windows[order])
    alike = names[order[pairs[:, 0]]] == names[order[pairs[:, 1]]]
    staying = np.ones(len(boxes), dtype=bool)
    for surer, other in pairs[~pieces[pairs[:, 0]] & (alike | pieces[pairs[:, 1]])].tolist():
        if staying[surer]:
            staying[other] = False
    objects = np.arange(len(boxes))
    for one, other in pairs[(staying & pieces)[pairs].all(axis=1) & alike].tolist():
        first, second = sorted((objects[one], objects[other]))
        objects[objects == second] = first
    around = boxes.copy()
    np.minimum.at(around[:, :2], objects[staying], boxes[staying, :2])
    np.maximum.at(around[:, 2:], objects[staying], boxes[staying, 2:])
    kept = np.flatnonzero(staying & (objects == np.arange(len(boxes))))
    kept = kept[np.argsort(-scores[order[kept]], kind="stable")]
    return order[kept], around[kept]


def _touching(boxes: _Boxes, windows: _Boxes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes touch a border of their window where the photograph goes on."""
    height, width = size
    goes_on = windows != [0, 0, width, height]
    near = np.abs(boxes - windows) <= NEAR * (windows[:, 2:] - windows[:, :2]).max(axis=1, keepdims=True)
    touching: NDArray[np.bool_] = (goes_on & near).any(axis=1)
    return touching


def _agreeing(boxes: _Boxes, windows: _Boxes) -> _Pairs:
    """Pairs ``[P, 2]`` of boxes of different views that say one object, sorted; the lower index first."""
    found = [np.zeros((0, 2), dtype=np.int64)]
    views, numbers = np.unique(windows, axis=0, return_inverse=True)
    numbers = numbers.reshape(-1)  # NumPy 2.0 alone keeps an axis
    members = np.split(np.argsort(numbers, kind="stable"), np.bincount(numbers).cumsum()[:-1])
    for second, window in enumerate(views):
        both = _shared(views[:second], window)
        for first in np.flatnonzero(_there(both)):
            one, seen = _clipped(boxes, members[first], both[first])
            other, again = _clipped(boxes, members[second], both[first])
            overlaps = iou(torch.from_numpy(seen[:, None]), torch.from_numpy(again)).numpy()
            rows, columns = np.nonzero(overlaps > AGREEMENT)
            found.append(np.stack([one[rows], other[columns]], axis=1))
    pairs = np.sort(np.concatenate(found), axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _clipped(boxes: _Boxes, indices: NDArray[np.int64], window: _Boxes) -> tuple[NDArray[np.int64], _Boxes]:
    """Of the boxes with these indices those of which a part lies in the window, and the parts."""
    parts = _shared(boxes[indices], window)
    inside = _there(parts)
    return indices[inside], parts[inside]


def _shared(one: _Boxes, other: _Boxes) -> _Boxes:
    """What two boxes share; where they share nothing, sides are the wrong way round."""
    return np.concatenate([np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])], axis=-1)


def _there(boxes: _Boxes) -> NDArray[np.bool_]:
    return np.asarray((boxes[:, :2] < boxes[:, 2:]).all(axis=1))
