"""Boxes there and back: by grids and anchors, through letterboxes of all sizes, and what suppression leaves of them."""

from collections.abc import Iterator

import numpy as np

from accept import Check, at_most
from accept.pytests import all_pass
from striate.pictures.geometry import Geometry, Shrunk
from striate.pictures.preprocess import Preprocess

PICTURES = 500
"""Of each orientation and reduction."""


def checks() -> Iterator[Check]:
    yield all_pass("1.grids", "tests/ops/test_grids.py")
    # Collisions are counted there, as `anchor_report` counts them, and left out.
    yield all_pass("1.anchors", "tests/tasks/test_detect_anchors.py", "-k", "said_and_read")
    yield all_pass("1.letterbox", "tests/pictures", "-k", "boxes or edge or letterbox")
    for factor in (1, 2, 4, 8):
        error = max(_farthest(orientation, factor) for orientation in range(1, 9))
        yield at_most(f"1.letterbox.{factor}", error, 0.01, f"px, of {8 * PICTURES:,} pictures, 8 orientations")
    # How long it takes beside torchvision's, `make bench ONLY=detection` says.
    yield all_pass("1.nms", "tests/ops/test_suppression.py")


def _farthest(orientation: int, factor: int) -> float:
    """How far from where it was the farthest side of a box comes back, in pixels of the photograph."""
    drawn = np.random.default_rng([orientation, factor])
    # Where the camera's orientation puts the last row and column of a file, which cover less of the photograph.
    shrunk = Shrunk(factor, top=orientation in (3, 4, 7, 8), left=orientation in (2, 3, 6, 7))
    farthest = 0.0
    for height, width in drawn.integers(1, 4001, (PICTURES, 2)).tolist():
        size = tuple(drawn.integers(1, 1025, 2).tolist())
        geometry = Preprocess(size=size, resize="letterbox").geometry(Geometry(height, width).then(shrunk))
        corners = drawn.uniform(0, 1, (20, 2, 2)) * [width, height]
        boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
        farthest = max(farthest, float(np.abs(geometry.undo_boxes(geometry.boxes(boxes)) - boxes).max()))
    return farthest
