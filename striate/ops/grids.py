"""Grids: the places of a detector's maps, and boxes as the numbers that a network says there.

A map of stride s has a cell for each s x s pixels; a place is a cell of one of the maps. Two ways of saying a box:
by its distances from the cell's centre (Tian et al., "FCOS", ICCV 2019, section 3.1, without anchors), and by its
centre within the cell and its size over an anchor's (Redmon and Farhadi, "YOLO9000", CVPR 2017, section 2). Decoding
is computed in float32 as in `striate.ops.boxes`, and gives finite boxes for whatever finite numbers.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.base.errors import ModelError
from striate.ops.boxes import cxcywh_to_xyxy, ltrb_to_xyxy, wide, xyxy_to_cxcywh, xyxy_to_ltrb

# exp(10) is 22,026: no picture has a box of so many strides or anchors, and its area is far from float32's end.
_LARGEST = 10.0
_LEAST = 1e-6  # of a stride, a cell or an anchor: what is said instead of 0, whose logarithm is infinite


def cells(size: tuple[int, int], strides: Sequence[int]) -> int:
    """How many places all maps of an input of ``size`` (height, width) have, see `cell_centres`.

    Example:
        >>> cells((16, 24), (8, 16))
        8
    """
    return sum(math.prod(-(-side // stride) for side in size) for stride in strides)


def cell_places(size: tuple[int, int], maps: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Where the places of maps of an input of ``size`` (height, width) lie: map, row, column and number ``[P, 4]``.

    ``maps`` are strides, and how many places a cell has, which come one after the other.

    Example:
        >>> cell_places((8, 16), [(8, 2)]).tolist()
        [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 1]]
    """
    grids = [(1, -(-size[0] // stride), -(-size[1] // stride), count) for stride, count in maps]
    places = [np.indices(grid).reshape(4, -1).T for grid in grids]
    for at, place in enumerate(places):
        place[:, 0] = at
    return np.concatenate(places)


def cell_centres(
    size: tuple[int, int],
    strides: Sequence[int],
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """The places of all maps of an input of ``size`` (height, width): centres ``[P, 2]`` (x, y) and strides ``[P]``.

    Maps come in the order of ``strides``, their cells row by row. A map that has a cell for what is left at the right
    and at the bottom has ``ceil(size / stride)`` of them a side.

    Raises:
        ModelError: a size or a stride is below 1, or there are no strides.

    Example:
        >>> centres, strides = cell_centres((16, 24), (8, 16))
        >>> centres.tolist()[:4]
        [[4.0, 4.0], [12.0, 4.0], [20.0, 4.0], [4.0, 12.0]]
        >>> strides.tolist()
        [8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 16.0, 16.0]
    """
    if min(*size, *strides, len(strides)) < 1:
        raise ModelError(f"cell_centres: takes a size and strides from 1; got {tuple(size)} and {tuple(strides)}")
    places, steps = [], []
    for stride in strides:
        rows, columns = (-(-side // stride) for side in size)
        place = torch.arange(rows * columns, device=device)
        places.append(torch.stack([place % columns, place // columns], -1))
        steps.append(torch.full((rows * columns,), stride, device=device, dtype=dtype))
    stride_of = torch.cat(steps)
    return (torch.cat(places).to(dtype) + 0.5) * stride_of[:, None], stride_of


def kept_centres(size: tuple[int, int], strides: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """`cell_centres` for who answers picture after picture and changes neither; made once for each size.

    Example:
        >>> [part.shape for part in kept_centres((16, 24), (8, 16), torch.device("cpu"))]
        [torch.Size([8, 2]), torch.Size([8])]
    """
    centres, steps = _kept(size, tuple(strides))
    return torch.from_numpy(centres).to(device), torch.from_numpy(steps).to(device)


@lru_cache(maxsize=16)
def _kept(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    # As arrays: a tensor belongs to the mode in which it was made, as that of fake tensors.
    centres, steps = cell_centres(size, strides, device="cpu")
    return centres.numpy(), steps.numpy()


def decode_distances(numbers: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Boxes xyxy whose sides are ``exp(numbers) * stride`` away from their places' centres.

    ``numbers`` are ``[..., P, 4]`` for the sides left, top, right, bottom; ``centres`` ``[P, 2]`` and ``strides``
    ``[P]`` come from `cell_centres`. Numbers over 10 count as 10.

    Example:
        >>> decode_distances(torch.zeros(1, 4), *cell_centres((8, 8), (8,)))
        tensor([[-4., -4., 12., 12.]])
    """
    return ltrb_to_xyxy(wide(numbers).clamp(max=_LARGEST).exp() * wide(strides)[..., None], centres)


def encode_distances(boxes: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """What `decode_distances` makes these boxes xyxy ``[..., P, 4]`` of, one for each place.

    A box can be said where the centre of the cell lies inside it; a side that lies on the wrong side of the centre
    is said as if it went through it.
    """
    distances = xyxy_to_ltrb(boxes, centres) / wide(strides)[..., None]
    return distances.clamp(min=_LEAST).log()


def decode_anchors(
    numbers: Tensor, centres: Tensor, strides: Tensor, anchors: Tensor, *, scale_xy: float | Tensor = 1.0
) -> Tensor:
    """Boxes xyxy as YOLOv2 and YOLOv3 say them.

    The centre lies ``(sigmoid(x) - 0.5) * scale_xy`` cells from the centre of the cell, so inside it by default
    (darknet's ``scale_x_y`` reaches over its edges); width and height are ``exp(w)`` and ``exp(h)`` times the anchor's.
    ``numbers`` are ``[..., 4]``: x, y, w, h; ``centres`` ``[..., 2]``, ``strides`` ``[...]``, ``anchors``
    ``[..., 2]`` (width, height in pixels) and a ``scale_xy`` ``[...]`` broadcast. For A anchors a place give
    ``centres[:, None]`` and ``strides[:, None]``, and numbers ``[N, P, A, 4]``. Exponents over 10 count as 10.

    Example:
        >>> decode_anchors(torch.zeros(1, 4), *cell_centres((8, 8), (8,)), torch.tensor([10.0, 6]))
        tensor([[-1.,  1.,  9.,  7.]])
    """
    numbers, reach = wide(numbers), (wide(strides) * scale_xy)[..., None]
    middles = wide(centres) + (numbers[..., :2].sigmoid() - 0.5) * reach
    sizes = wide(anchors) * numbers[..., 2:].clamp(max=_LARGEST).exp()
    return cxcywh_to_xyxy(torch.cat([middles, sizes], -1))


def encode_anchors(
    boxes: Tensor, centres: Tensor, strides: Tensor, anchors: Tensor, *, scale_xy: float | Tensor = 1.0
) -> Tensor:
    """What `decode_anchors` makes these boxes xyxy ``[..., 4]`` of.

    A box can be said in the cell in which its centre lies; elsewhere it is said at the nearest edge.
    """
    middles, sizes = xyxy_to_cxcywh(boxes).split(2, -1)
    within = (middles - wide(centres)) / (wide(strides) * scale_xy)[..., None] + 0.5
    return torch.cat([within.logit(eps=_LEAST), (sizes / wide(anchors)).clamp(min=_LEAST).log()], -1)
