"""Regions of one class as polygons, in the photograph's pixels.

A region is what hangs together by the sides of its pixels. Its borders run along the pixels' edges, so that polygons
filled by the even-odd rule are the very pixels; then corners are left out by which a border moves by at most a pixel
(Douglas and Peucker, "Algorithms for the reduction of the number of points required to represent a digitized line",
1973), which makes stairs slopes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.pictures.geometry import UNKNOWN

TOLERANCE = 1.0
"""How far, in pixels, a simplified border may lie from a corner that it leaves out."""
LEAST = 1e-4
"""Regions of a smaller part of the picture are left out."""

Ring = NDArray[np.int64]
_EAST, _SOUTH, _WEST, _NORTH = range(4)
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # row and column, of each way


@dataclass(frozen=True, slots=True)
class Polygon:
    """One region: its class, its pixels, and its rings of corners (x, y) ``[N, 2]``, the outer first, then its holes.

    Outer rings run clockwise as one sees them, holes the other way.
    """

    index: int
    pixels: int
    rings: tuple[Ring, ...]


def polygons(indices: NDArray[np.uint8], *, tolerance: float = TOLERANCE, least: float = LEAST) -> list[Polygon]:
    """The regions of class indices ``[H, W]``, the largest first; `UNKNOWN` is no class.

    Holes smaller than the least region are filled. With ``tolerance`` 0 and ``least`` 0 they are exact.
    """
    smallest = least * indices.size
    outer: list[tuple[int, Ring, float]] = []
    holes: list[tuple[int, Ring, float]] = []
    for index, ring in _rings(indices):
        twice = _twice_area(ring)
        if abs(twice) / 2 >= smallest:
            (outer if twice > 0 else holes).append((index, ring, abs(twice) / 2))
    inside: list[list[tuple[Ring, float]]] = [[] for _ in outer]
    for index, ring, area in holes:
        around = [
            at
            for at, (other, shell, size) in enumerate(outer)
            if other == index and size > area and _within(ring, shell)
        ]
        if around:
            inside[min(around, key=lambda at: outer[at][2])].append((ring, area))
    found = [
        Polygon(
            index,
            round(area - sum(size for _, size in mine)),
            tuple(simplified(each, tolerance) for each in (ring, *(hole for hole, _ in mine))),
        )
        for (index, ring, area), mine in zip(outer, inside, strict=True)
    ]
    return sorted(found, key=lambda each: -each.pixels)


def _rings(indices: NDArray[np.uint8]) -> Iterator[tuple[int, Ring]]:
    """Each border as its class and its corners (x, y), with the region on its right hand.

    An edge is known by its pixel and its way along that pixel, clockwise. At each corner it turns right if it can: so
    regions that touch by a corner are two.
    """
    height, width = indices.shape
    padded = np.full((height + 2, width + 2), -1, np.int64)
    padded[1:-1, 1:-1] = indices
    padded[padded == UNKNOWN] = -1
    # Of the ways along a pixel the outside lies to the left: above it going east, right of it going south.
    outside = [
        padded != np.roll(padded, (-down, -across), (0, 1)) for down, across in (_STEPS[way - 1] for way in range(4))
    ]
    following: dict[int, int] = {}
    for way, (down, across) in enumerate(_STEPS):
        rows, columns = np.nonzero(outside[way] & (padded >= 0))
        ahead = padded[rows + down, columns + across] == padded[rows, columns]
        left_down, left_across = _STEPS[way - 1]
        beside = ahead & (padded[rows + down + left_down, columns + across + left_across] == padded[rows, columns])
        # right: the next way along the same pixel; straight: along the next pixel; left: along the one beside that
        next_rows = rows + ahead * down + beside * left_down
        next_columns = columns + ahead * across + beside * left_across
        next_way = np.where(beside, (way - 1) % 4, np.where(ahead, way, (way + 1) % 4))
        keys = (rows * (width + 2) + columns) * 4 + way
        following |= zip(keys.tolist(), ((next_rows * (width + 2) + next_columns) * 4 + next_way).tolist(), strict=True)
    for first in tuple(following):
        if first not in following:
            continue  # it is of a border that was gone along
        edges, edge = [first], following.pop(first)
        while edge != first:
            edges.append(edge)
            edge = following.pop(edge)
        yield _corners(np.array(edges), padded)


def _corners(edges: NDArray[np.int64], padded: NDArray[np.int64]) -> tuple[int, Ring]:
    """The class of a border, and the corners where its edges turn."""
    pixels, ways = np.divmod(edges, 4)
    rows, columns = np.divmod(pixels, padded.shape[1])
    # Where an edge begins: the pixel's upper left corner going east, and so on clockwise; less one for the padding.
    x = columns - 1 + ((ways == _SOUTH) | (ways == _WEST))
    y = rows - 1 + ((ways == _WEST) | (ways == _NORTH))
    turns = ways != np.roll(ways, 1)
    return int(padded[rows[0], columns[0]]), np.stack([x, y], axis=1)[turns]


def _twice_area(ring: Ring) -> int:
    """Twice the area that a ring encloses, negative of holes."""
    x, y = ring[:, 0], ring[:, 1]
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _within(ring: Ring, shell: Ring) -> bool:
    """Whether a ring of a hole lies in another ring, neither of them simplified: by the even-odd rule.

    What is asked about is the middle of a pixel of the region, left of the hole's edge that goes up or down.
    """
    low, high = shell.min(0), shell.max(0)
    if (ring < low).any() or (ring > high).any():
        return False
    following = np.roll(ring, -1, axis=0)
    at = int(np.flatnonzero(ring[:, 0] == following[:, 0])[0])
    down = np.sign(following[at, 1] - ring[at, 1])
    x, y = ring[at, 0] - 0.5 * down, ring[at, 1] + 0.5 * down  # the region is on the right hand
    ends = np.roll(shell, -1, axis=0)
    upright = shell[:, 0] == ends[:, 0]
    one, other = shell[upright], ends[upright]
    crossed = (np.minimum(one[:, 1], other[:, 1]) < y) & (y < np.maximum(one[:, 1], other[:, 1])) & (one[:, 0] > x)
    return bool(crossed.sum() % 2)


def simplified(ring: Ring, tolerance: float) -> Ring:
    """The ring without corners that lie within ``tolerance`` of it; at least three corners are left."""
    if not tolerance or len(ring) <= 4:
        return ring
    middle = int(((ring - ring[0]) ** 2).sum(1).argmax())
    closed = np.concatenate([ring, ring[:1]])
    kept = np.zeros(len(closed), bool)
    kept[[0, middle, len(ring)]] = True
    todo = [(0, middle), (middle, len(ring))]
    while todo:
        start, stop = todo.pop()
        if stop - start < 2:
            continue
        off = _distances(closed[start + 1 : stop], closed[start], closed[stop])
        farthest = int(off.argmax())
        if off[farthest] > tolerance:
            at = start + 1 + farthest
            kept[at] = True
            todo += [(start, at), (at, stop)]
    left = ring[kept[:-1]]
    return left if len(left) > 2 else ring


def _distances(points: Ring, start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far points ``[N, 2]`` lie from a segment."""
    along, offset = (stop - start).astype(np.float64), points - start
    part = np.clip(offset @ along / max(float(along @ along), 1e-12), 0, 1)
    return np.asarray(np.hypot(*(offset - part[:, None] * along).T))
