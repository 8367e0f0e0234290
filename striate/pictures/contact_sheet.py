"""Many pictures on one sheet, each with a line below it, as photographers look through a film."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WIDTH = 240
"""Of a picture on a sheet, in pixels, if its shape lets it."""
TALLEST = 1.5
"""How many times as high as that it may be."""
GAP = 8
TEXT = 12
"""Height of the letters, in pixels."""


def contact_sheet(
    pictures: Sequence[tuple[NDArray[np.uint8], str]], *, columns: int | None = None, width: int = WIDTH
) -> NDArray[np.uint8]:
    """Pictures uint8 ``[H, W, 3]`` of any sizes, with a line each, row by row on one of uint8 ``[H, W, 3]``.

    Each is as wide as its column, or where that makes it more than `TALLEST` times as high, so high; smaller ones are
    made larger by whole numbers, so that their pixels can be seen. A row is as high as the highest in it. Lines that
    are too long are cut. Without ``columns`` there are about as many as rows.

    Raises:
        ValueError: there are no pictures, or no columns.

    Example:
        >>> contact_sheet([(np.zeros((20, 30, 3), np.uint8), "one"), (np.zeros((9, 9, 3), np.uint8), "two")]).shape
        (270, 504, 3)
    """
    across = math.ceil(math.sqrt(len(pictures))) if columns is None else min(columns, len(pictures))
    if across < 1:
        raise ValueError(f"{len(pictures)} pictures in {columns} columns; a sheet has at least one of both")
    fitted = [_fitted(Image.fromarray(pixels), width) for pixels, _ in pictures]
    rows = [range(start, min(start + across, len(pictures))) for start in range(0, len(pictures), across)]
    heights = [max(fitted[place].height for place in row) + TEXT + 2 * GAP for row in rows]
    sheet = Image.new("RGB", (GAP + across * (width + GAP), GAP + sum(heights)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, place in enumerate(row):
            left, picture = GAP + column * (width + GAP), fitted[place]
            bottom = top + height - TEXT - 2 * GAP
            sheet.paste(picture, (left + (width - picture.width) // 2, bottom - picture.height))
            pen.text((left, bottom + GAP // 2), _cut(pictures[place][1], font, width), fill="black", font=font)
        top += height
    return np.asarray(sheet)


def _fitted(picture: Image.Image, width: int) -> Image.Image:
    times = min(width / picture.width, TALLEST * width / picture.height)
    if times >= 1:
        return picture.resize((picture.width * int(times), picture.height * int(times)), Image.Resampling.NEAREST)
    size = max(1, round(picture.width * times)), max(1, round(picture.height * times))
    return picture.resize(size, Image.Resampling.BOX)


def _cut(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    kept = next((end for end in range(len(text) - 1, 0, -1) if font.getlength(f"{text[:end]}...") <= width), 0)
    return f"{text[:kept]}..."
