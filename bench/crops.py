"""What networks for segmentation learn from: pictures of noise, and masks of squares. It needs NumPy alone."""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

SIDE, BATCH = 320, 4
"""Of the crops, and how many are a batch: those of a default run."""
CLASSES, UNKNOWN = 11, 255
"""CamVid's classes, and what a mask says where no class is known."""
SQUARE = 20
"""Sides of the places of one class, in pixels."""


def crops(count: int, side: int = SIDE) -> tuple[Bytes, Bytes]:
    """Pictures uint8 ``[N, side, side, 3]`` and class indices uint8 ``[N, side, side]``; a few squares are unknown."""
    drawn = np.random.default_rng(0)
    noise = drawn.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    across = -(-side // SQUARE)
    squares = drawn.integers(0, CLASSES + 1, (count, across, across)).astype(np.uint8)
    squares[squares == CLASSES] = UNKNOWN
    masks = squares.repeat(SQUARE, 1).repeat(SQUARE, 2)[:, :side, :side]
    return noise, np.ascontiguousarray(masks)
