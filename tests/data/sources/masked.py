"""Small data sets with masks, written on the spot."""

import base64
import io
import struct
import zlib
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


def wide_png(colour_type: int, values: np.ndarray) -> bytes:
    """A PNG of bands ``[H, W, C]`` of 16 bits, which Pillow does not write; 2 is RGB, 4 grey with alpha, 6 RGBA."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    packed = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")
