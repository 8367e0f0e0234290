"""Drawn scenes of segmentation: noise with a red and a blue rectangle, whose masks are known."""

from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("ground", "red", "blue")


def draw_scenes(folder: Path, count: int, size: tuple[int, int] = (32, 32)) -> Path:
    """So many pictures under ``images``, masks under ``masks``, whose corners are void; and ``classes.txt``."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join([*NAMES, "255 void"]))
    height, width = size
    for number in range(count):
        random = np.random.default_rng(number)
        pixels = random.integers(90, 110, (height, width, 3)).astype(np.uint8)
        mask = np.zeros(size, np.uint8)
        for index, colour in ((1, (250, 20, 20)), (2, (20, 20, 250))):
            top, left = (int(random.integers(1, side - side // 2)) for side in size)
            here = np.s_[top : top + height // 2, left : left + width // 3]
            pixels[here], mask[here] = colour, index
        mask[:3, :3] = 255
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder
