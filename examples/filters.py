"""The textbook's figure: a vertical and a horizontal line as filters over two photographs, written to a PNG.

    pip install ".[demo]"
    python examples/filters.py [FILE.png]

Where a photograph has a line like the filter's, the map is bright; everything else is blurred across it.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from striate.ops import conv2d, from_tensorflow

NAMES = ("china.jpg", "flower.jpg")
WIDTH, GAP = 300, 8


def line_filters() -> torch.Tensor:
    """Two filters of 7x7 over three colours, ``[2, 3, 7, 7]``: white in the middle column, and in the middle row."""
    windows = torch.zeros(2, 3, 7, 7)
    windows[0, :, :, 3] = 1
    windows[1, :, 3, :] = 1
    return windows


def maps(photographs: np.ndarray) -> torch.Tensor:
    """Photographs ``[N, H, W, 3]`` of bytes to what the two filters see of them, ``[N, 2, H, W]``."""
    x = from_tensorflow(torch.from_numpy(photographs) / 255, "NHWC")
    return conv2d(x, line_filters(), padding="same")


def draw(photographs: np.ndarray) -> Image.Image:
    """A row for each photograph: itself in grey, the vertical lines, the horizontal lines."""
    rows = []
    for photograph, seen in zip(photographs, maps(photographs), strict=True):
        grey = torch.from_numpy(photograph).float().mean(-1)
        tiles = [tile(plane / plane.max() * 255) for plane in (grey, *seen)]
        rows.append(np.concatenate([part for image in tiles for part in (image, blank(len(image), GAP))][:-1], axis=1))
    between = blank(GAP, rows[0].shape[1])
    sheet = np.concatenate([part for row in rows for part in (row, between)][:-1])
    # 64 shades keep the file small; nobody sees the difference.
    return Image.fromarray(sheet).quantize(64, dither=Image.Dither.NONE)


def tile(plane: torch.Tensor) -> np.ndarray:
    """A map of 0..255 as grey bytes of the figure's width."""
    image = Image.fromarray(plane.round().to(torch.uint8).numpy())
    return np.asarray(image.resize((WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.BILINEAR))


def blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width), 255, np.uint8)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures/filters.png")
    draw(np.stack([load_sample_image(name) for name in NAMES])).save(target, optimize=True)
    print(f"wrote {target}, {target.stat().st_size / 1000:.0f} kB")
