"""Drawn pictures to be enlarged."""

import numpy as np


def waves(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth coloured picture with some edges."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.zeros((height, width, 3))
    for band in range(3):
        for _ in range(3):
            down, across, phase = rng.uniform(-0.9, 0.9, 3)
            pixels[:, :, band] += np.sin(down * rows + across * columns + 6 * phase)
    pixels = 128 + 35 * pixels
    pixels[(rows + columns) % 23 < 7] *= 0.5
    return pixels.clip(0, 255).astype(np.uint8)
