"""How well borders between classes lie: what of them is found, within a small distance.

Csurka, Larlus and Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013: for each class
precision and recall of the pixels at its border, a pixel being right if one of the other side's border is within a
tolerance. Here a pixel is at the border of its class if the pixel above, below, left or right of it is of another
known class, so that neither the photograph's edges nor unknown pixels are borders.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from striate.pictures.geometry import UNKNOWN

TOLERANCE = 0.0075
"""Part of the photograph's diagonal that two borders may lie apart, centre of a pixel to centre of a pixel."""
_WORD = 64  # classes whose borders are looked for at once: the bits of the largest integer

Indices = NDArray[np.uint8]


def boundary_counts(true: Indices, answered: Indices, classes: int) -> NDArray[np.int64]:
    """Pixels of each class ``[4, classes]``: at true borders, those found; at answered borders, those right.

    Both are class indices ``[H, W]``; what is `UNKNOWN` in either is in neither.
    """
    unknown = (true == UNKNOWN) | (answered == UNKNOWN)
    true, answered = np.where(unknown, UNKNOWN, true), np.where(unknown, UNKNOWN, answered)
    reach = TOLERANCE * math.hypot(*true.shape)
    there, said = at_border(true), at_border(answered)
    counts = [_found(true, there, answered, said, reach, classes), _found(answered, said, true, there, reach, classes)]
    return np.concatenate(counts)


def at_border(indices: Indices) -> NDArray[np.bool_]:
    """Which pixels ``[H, W]`` lie beside another known class."""
    border = np.zeros(indices.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (indices[one] != indices[other]) & (indices[one] != UNKNOWN) & (indices[other] != UNKNOWN)
        border[one] |= differ
        border[other] |= differ
    return border


def _found(
    indices: Indices,
    border: NDArray[np.bool_],
    others: Indices,
    other_border: NDArray[np.bool_],
    reach: float,
    classes: int,
) -> NDArray[np.int64]:
    """Border pixels of each class, and those with one of the other map's, of the same class, in reach: ``[2, K]``."""
    rows, columns = np.nonzero(border)
    own = indices[rows, columns]
    found = np.zeros(len(own), bool)
    for first in range(0, classes, _WORD):
        count = min(classes - first, _WORD)
        kind = np.min_scalar_type((1 << count) - 1).type
        here = other_border & (others >= first) & (others < first + count)
        bits = np.where(here, np.left_shift(kind(1), (others - np.uint8(first)) % _WORD, dtype=kind), kind(0))
        near = widened(bits, reach)[rows, columns]
        of_these = (own >= first) & (own < first + count)
        shift = np.where(of_these, own - np.uint8(first), 0).astype(kind)
        found |= of_these & ((near >> shift) & kind(1)).astype(bool)
    counts = [np.bincount(each, minlength=classes) for each in (own, own[found])]
    return np.stack(counts).astype(np.int64)


def widened(bits: NDArray[np.unsignedinteger], reach: float) -> NDArray[np.unsignedinteger]:
    """Of each pixel ``[H, W]`` the bits of all pixels whose centres lie within ``reach`` of its own, together."""
    wide = bits.copy()  # the bits of the row so far: it grows as the disc does, from its top to its middle
    whole = np.zeros_like(bits)
    halves = [math.floor(math.sqrt(reach * reach - down * down)) for down in range(math.floor(reach) + 1)]
    for down, half in reversed([*enumerate(halves)]):
        before = halves[down + 1] if down + 1 < len(halves) else 0
        for aside in range(before + 1, half + 1):
            wide[:, aside:] |= bits[:, :-aside]
            wide[:, :-aside] |= bits[:, aside:]
        for upper, lower in _apart(down):
            whole[upper] |= wide[lower]
    return whole


def _apart(down: int) -> Iterator[tuple[slice, slice]]:
    """Rows and those so far below them, and the other way round."""
    yield slice(None, -down or None), slice(down, None)
    if down:
        yield slice(down, None), slice(None, -down)
