"""Arithmetic of boxes: overlaps with gradients, and the three ways to write a box.

Everywhere in the package a box is ``xyxy``: left, top, right, bottom in pixels, right and bottom exclusive, as floating
point numbers ``[..., 4]``. Here also are ``cxcywh`` (centre, width, height) and ``ltrb`` (the distances from a point
to the left, top, right and bottom side).

All is computed in float32, also of narrower numbers and under autocast; float64 stays float64. The overlaps take any
leading dimensions that broadcast: ``iou(a, b)`` of two ``[N, 4]`` is ``[N]``, each with its own, and
``iou(a[:, None], b)`` is ``[N, M]``, each with each. Shapes depend on shapes alone. Values and gradients of finite
boxes are finite, also of boxes without an area, whose overlap is 0; what lies farther away than the square of a side
can be held, 1e18 pixels in float32, counts as being there.
"""

import math

import torch
from torch import Tensor

_NOTHING = 1e-12  # px^2: what is less is no area, for its reciprocal would be a gradient that wrecks a step
_THIN = 1e-6  # px: what is thinner is as thin when sides are compared

_FAR = {dtype: math.sqrt(torch.finfo(dtype).max) / 16 for dtype in (torch.float32, torch.float64)}
"""Coordinates whose squared distances, and sums of a few of them, are still finite."""

_Sides = tuple[Tensor, Tensor, Tensor, Tensor]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union: what two boxes share, over what either covers, 0 to 1.

    ``a`` and ``b`` are xyxy ``[..., 4]``; the result has their leading dimensions, broadcast.

    Example:
        >>> a = torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 10]])
        >>> iou(a, torch.tensor([0.0, 0, 10, 10]))
        tensor([1.0000, 0.5000])
        >>> iou(a[:, None], a)
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]])
    """
    shared, union = _areas(_near(a), _near(b))
    return _ratio(shared, union)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU: less by the part of the smallest box around both that neither covers; -1 to 1.

    Rezatofighi et al., "Generalized intersection over union", CVPR 2019, algorithm 1. Boxes that share nothing get a
    gradient that draws them together. Shapes are those of `iou`.

    Example:
        >>> giou(torch.tensor([0.0, 0, 1, 1]), torch.tensor([2.0, 0, 3, 1]))
        tensor(-0.3333)
    """
    one, other = _near(a), _near(b)
    shared, union = _areas(one, other)
    width, height = _around(one, other)
    around = width * height
    return _ratio(shared, union) - _ratio(around - union, around)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU: less by the distance of the centres and by how the ratios of the sides differ; -2 to 1.

    Zheng et al., "Distance-IoU loss", AAAI 2020, section 4: the distance is squared, over the squared diagonal of the
    smallest box around both; the weight of the ratios' term is taken for a constant by the gradient, as there. Shapes
    are those of `iou`.

    Example:
        >>> ciou(torch.tensor([0.0, 0, 1, 1]), torch.tensor([2.0, 0, 3, 1]))  # alike: 2 apart, on a diagonal of 10
        tensor(-0.4000)
    """
    one, other = _near(a), _near(b)
    overlap = _ratio(*_areas(one, other))
    width, height = _around(one, other)
    across = one[0] + one[2] - other[0] - other[2]
    down = one[1] + one[3] - other[1] - other[3]
    apart = _ratio((across.square() + down.square()) / 4, width.square() + height.square())
    shapes = (4 / math.pi**2) * (_angle(other) - _angle(one)).square()
    weight = _ratio(shapes, 1 - overlap + shapes).detach()
    return overlap - apart - weight * shapes


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Centre, width and height of xyxy ``[..., 4]``.

    Example:
        >>> xyxy_to_cxcywh(torch.tensor([10.0, 20, 30, 60]))
        tensor([20., 40., 20., 40.])
    """
    left, top, right, bottom = _sides(boxes)
    return torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], -1)


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """The opposite of `xyxy_to_cxcywh`."""
    x, y, width, height = _sides(boxes)
    return torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], -1)


def xyxy_to_ltrb(boxes: Tensor, points: Tensor) -> Tensor:
    """Distances from ``points`` (x, y) ``[..., 2]`` to the sides of xyxy ``[..., 4]``; negative from outside.

    Example:
        >>> xyxy_to_ltrb(torch.tensor([10.0, 20, 30, 60]), torch.tensor([15.0, 50]))
        tensor([ 5., 30., 15., 10.])
    """
    boxes, points = wide(boxes), wide(points)
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1)


def ltrb_to_xyxy(distances: Tensor, points: Tensor) -> Tensor:
    """The opposite of `xyxy_to_ltrb`."""
    distances, points = wide(distances), wide(points)
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)


def wide(numbers: Tensor) -> Tensor:
    """The same in float32, or in float64 if that is what they are."""
    return numbers if numbers.dtype == torch.float64 else numbers.float()


def _sides(boxes: Tensor) -> _Sides:
    first, second, third, fourth = wide(boxes).unbind(-1)
    return first, second, third, fourth


def _near(boxes: Tensor) -> _Sides:
    numbers = wide(boxes)
    return _sides(numbers.clamp(-_FAR[numbers.dtype], _FAR[numbers.dtype]))


def _size(box: _Sides) -> tuple[Tensor, Tensor]:
    """Width and height; 0 where sides are the wrong way round."""
    return (box[2] - box[0]).clamp(min=0), (box[3] - box[1]).clamp(min=0)


def _areas(one: _Sides, other: _Sides) -> tuple[Tensor, Tensor]:
    """What both cover, and what either does."""
    low = torch.maximum(one[0], other[0]), torch.maximum(one[1], other[1])
    high = torch.minimum(one[2], other[2]), torch.minimum(one[3], other[3])
    shared, first, second = (width * height for width, height in map(_size, ((*low, *high), one, other)))
    return shared, first + second - shared


def _around(one: _Sides, other: _Sides) -> tuple[Tensor, Tensor]:
    """Width and height of the smallest box around both."""
    low = torch.minimum(one[0], other[0]), torch.minimum(one[1], other[1])
    high = torch.maximum(one[2], other[2]), torch.maximum(one[3], other[3])
    return _size((*low, *high))


def _angle(box: _Sides) -> Tensor:
    """The arc tangent of width over height, whose gradient of a point would not be a number."""
    width, height = _size(box)
    return torch.atan2(width.clamp(min=_THIN), height.clamp(min=_THIN))


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """``part / whole``, and 0 with no gradient where the whole is nothing."""
    there = whole > _NOTHING
    return torch.where(there, part / torch.where(there, whole, 1.0), 0.0)
