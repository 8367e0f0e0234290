"""One mask for a large photograph from the logits for its tiles, each of which answers for its core as the whole would.

Of the logits nothing is kept: they become class indices as they come, in bands of rows.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.pictures.exact_tiles import Tile
from striate.pictures.geometry import UNKNOWN, Geometry

BAND = 1 << 18
"""So many pixels are decided at a time, each by a number of eight bytes."""


def gathered_classes(
    parts: Iterable[tuple[Tile, Tensor]], geometry: Geometry, on_seam: Callable[[int, int], None]
) -> NDArray[np.uint8]:
    """Class indices uint8 ``[height, width]`` of the photograph, from each tile's logits ``[1, classes, h, w]``.

    ``geometry`` is how the photograph came into what was cut, by borders alone. ``on_seam`` is told how many pixels
    of the photograph a tile answers that others had answered, and how many of these otherwise.
    """
    whole = np.full((geometry.height, geometry.width), UNKNOWN, np.uint8)
    left, top = (-round(offset) for offset in geometry.window[0, :2])
    for tile, outputs in parts:
        logits = outputs[0]
        for rows, columns in _bands(tile.core, (top, left), whole.shape):
            whole[rows, columns] = _classes(logits, tile, rows, columns, (top, left))
        for strip in _strips(tile):
            for rows, columns in _bands(strip, (top, left), whole.shape):
                again = _classes(logits, tile, rows, columns, (top, left))
                on_seam(again.size, int((again != whole[rows, columns]).sum()))
    return whole


def _strips(tile: Tile) -> Iterator[tuple[int, int, int, int]]:
    """What of a tile's seam is not its core: above, and on the left."""
    (top, left, _, right), (first, begin, last, _) = tile.seam, tile.core
    yield top, left, first, right
    yield first, left, last, begin


def _bands(
    part: tuple[int, int, int, int], offset: tuple[int, int], shape: tuple[int, ...]
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the photograph, of this shape and moved by the offset, that a part of the whole shows."""
    (top, left), (height, width) = offset, shape
    first, last = (min(max(row - top, 0), height) for row in (part[0], part[2]))
    begin, end = (min(max(column - left, 0), width) for column in (part[1], part[3]))
    if begin < end:
        rows = max(1, BAND // (end - begin))
        for row in range(first, last, rows):
            yield slice(row, min(row + rows, last)), slice(begin, end)


def _classes(logits: Tensor, tile: Tile, rows: slice, columns: slice, offset: tuple[int, int]) -> NDArray[np.uint8]:
    """The most probable class of each of these pixels of the photograph."""
    down, across = offset[0] - tile.shows[0], offset[1] - tile.shows[1]
    part = logits[:, rows.start + down : rows.stop + down, columns.start + across : columns.stop + across]
    return part.argmax(0).to(torch.uint8).cpu().numpy()
