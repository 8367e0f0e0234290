"""Photograph-like JPEGs, drawn: for measurements that need many and do not ask what they show."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def draw_photographs(root: Path, classes: int, per_class: int, height: int = 256, width: int = 320) -> Path:
    """Fill ``root/class<k>/`` with smooth noise under a shape that tells the class; no two are alike."""
    for index in range(classes):
        folder = root / f"class{index}"
        folder.mkdir(parents=True)
        for number in range(per_class):
            rng = np.random.default_rng([index, number])
            coarse = Image.fromarray(rng.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8))
            picture = coarse.resize((width, height), Image.Resampling.BICUBIC)
            x, y = rng.uniform(0.3, 0.7, 2) * (width, height)
            reach = rng.uniform(0.15, 0.3) * height
            pen = ImageDraw.Draw(picture)
            box = (x - reach, y - reach, x + reach, y + reach)
            (pen.ellipse if index % 2 else pen.rectangle)(box, fill=tuple(rng.integers(0, 256, 3).tolist()))
            picture.save(folder / f"{number:05d}.jpg", quality=88)
    return root
