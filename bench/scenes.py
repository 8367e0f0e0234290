"""What detectors are measured on: drawn pictures with objects, and boxes to suppress. It needs NumPy alone."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SIDE = 320
"""Of the pictures that detectors get."""
OBJECTS = 2
"""On each picture."""

CLASSES, BOXES, IOU = 80, 10_000, 0.6
"""What is suppressed: so many boxes of so many classes, where they overlap by more."""
FIELD, CROWDS = 640.0, 100


def pictures(count: int, side: int) -> tuple[NDArray[np.uint8], Floats]:
    """Pictures of noise, uint8 ``[N, side, side, 3]``, and the boxes of their objects, xyxy ``[N, OBJECTS, 4]``."""
    drawn = np.random.default_rng(0)
    noise = drawn.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    sides = drawn.uniform(0.2, 0.8, (count, OBJECTS, 2)) * side
    corners = drawn.uniform(0, 1, (count, OBJECTS, 2)) * (side - sides)
    return noise, np.concatenate([corners, corners + sides], axis=2).astype(np.float32)


def candidates(kind: str) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Boxes xyxy ``[BOXES, 4]``, scores and classes: "spread" anywhere, or in "crowds" around objects of one class."""
    drawn = np.random.default_rng(0)
    count = {"spread": BOXES, "crowds": CROWDS}[kind]
    centres = drawn.uniform(0, FIELD, (count, 2))
    sides = np.exp(drawn.uniform(np.log(16), np.log(FIELD / 2), (count, 2)))
    classes = drawn.integers(0, CLASSES, count)
    if kind == "crowds":
        owner = drawn.integers(0, count, BOXES)
        centres = centres[owner] + drawn.normal(0, 0.1, (BOXES, 2)) * sides[owner]
        sides = sides[owner] * np.exp(drawn.normal(0, 0.15, (BOXES, 2)))
        classes = classes[owner]
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    return boxes.astype(np.float32), drawn.random(BOXES, dtype=np.float32), classes


KINDS = ("spread", "crowds")
"""Of candidates: few that overlap, and so many as detectors find around each object."""
