"""One answer for a large photograph from those for its tiles.

Each pixel is that of the tile in which it lies farthest from a border behind which the photograph goes on: there a
network sees most of what is around it, and windows that reach over a border see nothing. The distance counts by how
sure the tile is, where it says so: what both guess is then not cut along a straight line, and at its own border none is
believed. What was answered for the whole counts only where no tile says anything.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from striate.pictures.geometry import UNKNOWN, Geometry
from striate.tasks.segment_decoding import SureMap

_FAR = np.iinfo(np.int32).max


def put_together(parts: Iterable[tuple[Geometry, NDArray[np.uint8] | SureMap]]) -> NDArray[np.uint8]:
    """Class indices uint8 ``[H, W]`` of the photograph, from each part's place there and its indices.

    A place is a crop, or the whole. Of tiles that count alike the first is taken.
    """
    whole: NDArray[np.uint8] | None = None
    for place, answer in parts:
        indices, sure = (answer.indices, answer.sure) if isinstance(answer, SureMap) else (answer, np.uint8(255))
        if whole is None:
            whole = np.full((place.height, place.width), UNKNOWN, np.uint8)
            best = np.full(whole.shape, -1, np.float32)
        left, top, right, bottom = place.window[0].astype(int).tolist()
        here = np.s_[top:bottom, left:right]
        inside = np.minimum(
            _inside(top, bottom, place.height)[:, None], _inside(left, right, place.width)[None]
        ) * bool(place.steps)  # the whole: 0 everywhere, so that every tile goes first
        counts = inside.astype(np.float32) * sure
        better = (counts > best[here]) & (indices != UNKNOWN)
        whole[here][better], best[here][better] = indices[better], counts[better]
    if whole is None:
        raise AssertionError("a fault of ours: a photograph without parts")
    return whole


def _inside(start: int, stop: int, side: int) -> NDArray[np.int32]:
    """How many pixels lie between each of a window's and its nearer border, of those where the photograph goes on."""
    at = np.arange(stop - start, dtype=np.int32)
    before = at + 1 if start else np.full_like(at, _FAR)
    after = at[::-1] + 1 if stop < side else np.full_like(at, _FAR)
    return np.minimum(before, after)
