"""An object that was found on a photograph, in words and drawn there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#800000")


@dataclass(frozen=True, slots=True)
class Detection:
    """One object: its class, how probable it is (0..1), and its box in the photograph's pixels.

    Example:
        >>> print(Detection("cat", 0.9, (3.0, 1.0, 60.0, 43.0)))
        cat 90% at 3, 1, 60, 43
    """

    name: str
    probability: float
    xyxy: tuple[float, float, float, float]

    def __str__(self) -> str:
        return f"{self.name} {self.probability:.0%} at {', '.join(f'{edge:.0f}' for edge in self.xyxy)}"


def drawn(photograph: NDArray[np.uint8], found: Sequence[Detection], names: Sequence[str]) -> NDArray[np.uint8]:
    """The photograph uint8 ``[H, W, 3]`` with the boxes of what was found, the surest first, in a colour a class."""
    picture = Image.fromarray(photograph)
    pen = ImageDraw.Draw(picture)
    width = max(1, round(max(picture.size) / 300))
    size = max(10, round(max(picture.size) / 50))
    for each in reversed(found):  # the surest last, over the others
        colour = COLOURS[names.index(each.name) % len(COLOURS)]
        pen.rectangle(each.xyxy, outline=colour, width=width)
        label, at = f"{each.name} {each.probability:.0%}", (each.xyxy[0] + width, each.xyxy[1] + width)
        pen.rectangle(pen.textbbox(at, label, font_size=size), fill=colour)
        pen.text(at, label, fill="white", font_size=size)
    return np.asarray(picture)
