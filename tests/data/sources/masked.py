"""Small data sets with masks, written on the spot."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from tests.data.sources.annotated import picture

WIDTH, HEIGHT = 20, 10


def rows(*values: int, dtype: type = np.uint8) -> np.ndarray:
    """``[10, 20]``: so many bands of equal width from left to right, each of one value."""
    return np.repeat(np.array(values, dtype), WIDTH // len(values))[None].repeat(HEIGHT, axis=0)


def drawn(text: str) -> np.ndarray:
    """A mask as it is written: a digit a pixel, . for 255."""
    return np.array([[255 if c == "." else int(c) for c in line] for line in text.split()], np.uint8)


def mask(path: Path, values: ArrayLike, palette: Sequence[int] | None = None) -> Path:
    """A mask of these numbers (or colours), as PNG or what the name says; with a palette, places in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values))
    if palette is not None:
        image = image.convert("L")
        image.putpalette(list(palette))
    image.save(path)
    return path


def pairs(folder: Path, *masks: ArrayLike, classes: str | None = "sky\nroad\n", start: int = 0) -> Path:
    """``images/0.png`` beside ``masks/0.png`` and so on."""
    for number, values in enumerate(masks, start=start):
        picture(folder / "images" / f"{number}.png", WIDTH, HEIGHT, seed=number)
        mask(folder / "masks" / f"{number}.png", values)
    if classes is not None:
        (folder / "classes.txt").write_text(classes, encoding="utf-8")
    return folder


def png(pixels: ArrayLike) -> str:
    """A picture of two values as PNG, in base64, as Labelme has masks."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=bool)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
