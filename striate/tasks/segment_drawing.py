"""Classes of pixels as people see them: a colour for each, laid over the photograph, with names below."""

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from striate.data.names import printable
from striate.pictures.geometry import UNKNOWN
from striate.tasks.segment_boundaries import at_border

COVER = 0.5
"""Part of an overlaid pixel's colour that is its class's."""
BAND = 256
"""So many rows are drawn at a time."""
NOTHING = "background"
"""The name of a class that is the lack of all others: black in masks, and the photograph itself where one is drawn."""
_TURN = 0.618033988749895  # of the circle of hues, from class to class: the golden section comes near none of before
_TONES = ((0.85, 0.95), (0.55, 0.75), (0.95, 0.6))  # saturation and value, by turns


def palette(names: Sequence[str]) -> NDArray[np.uint8]:
    """A colour for each of the 256 values of a mask, uint8 ``[256, 3]``; black for what is no class."""
    colours = np.zeros((UNKNOWN + 1, 3), np.uint8)
    for at, name in enumerate(names):
        if name.lower() != NOTHING:
            tone = _TONES[at % len(_TONES)]
            colours[at] = [round(255 * part) for part in colorsys.hsv_to_rgb(0.58 + at * _TURN % 1, *tone)]
    return colours


def as_picture(indices: NDArray[np.uint8], names: Sequence[str]) -> Image.Image:
    """Class indices ``[H, W]`` as a picture of a palette, whose bytes they are."""
    picture = Image.fromarray(indices)
    picture.putpalette(palette(names).tobytes())  # makes it one of mode P
    return picture


def overlaid(
    photograph: NDArray[np.uint8], indices: NDArray[np.uint8], names: Sequence[str], shares: Sequence[tuple[int, float]]
) -> NDArray[np.uint8]:
    """The photograph uint8 ``[H, W, 3]`` in the classes' colours; below it names and ``shares`` (index, 0 to 1)."""
    colours = palette(names)
    shown = np.zeros(UNKNOWN + 1, bool)
    shown[: len(names)] = [name.lower() != NOTHING for name in names]
    cover = np.where(shown, COVER, 0).astype(np.float32)
    border, mixed = at_border(indices), np.empty_like(photograph)
    for start in range(0, len(indices), BAND):  # in bands, so that no large photograph becomes floats at once
        here, rows = indices[start : start + BAND], np.s_[start : start + BAND]
        part = np.where(border[rows] & shown[here], np.float32(1), cover[here])[..., None]
        mixed[rows] = np.rint(photograph[rows] * (1 - part) + colours[here] * part)
    chips = [(colours[at], f"{printable(names[at])} {share:.1%}") for at, share in shares]
    return np.concatenate([mixed, _legend(chips, mixed.shape[1], max(photograph.shape[:2]))])


def _legend(chips: Sequence[tuple[NDArray[np.uint8], str]], width: int, longest: int) -> NDArray[np.uint8]:
    """Names beside their colours on white, uint8 ``[h, width, 3]``, in as many lines as they need."""
    size = max(10, round(longest / 45))
    gap, line = size // 2, round(size * 1.6)
    font = ImageFont.load_default(size)
    places, left, top = [], gap, gap
    for _, text in chips:
        long = 2 * size + gap + round(font.getlength(text))
        if left > gap and left + long > width:
            left, top = gap, top + line
        places.append((left, top))
        left += long
    strip = Image.new("RGB", (width, top + line), "white")
    pen = ImageDraw.Draw(strip)
    for (colour, text), (left, top) in zip(chips, places, strict=True):
        pen.rectangle((left, top, left + size, top + size), fill=tuple(colour.tolist()), outline="black")
        pen.text((left + size + gap, top + size / 2), text, fill="black", font=font, anchor="lm")
    return np.asarray(strip)
