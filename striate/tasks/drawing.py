"""An object that was found on a photograph, in words and drawn there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from striate.data.names import counted
from striate.data.targets import Boxes, Target

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""
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
    xyxy: Box

    def __str__(self) -> str:
        return f"{self.name} {self.probability:.0%} at {', '.join(f'{edge:.0f}' for edge in self.xyxy)}"


def drawn(photograph: NDArray[np.uint8], found: Sequence[Detection], names: Sequence[str]) -> NDArray[np.uint8]:
    """The photograph uint8 ``[H, W, 3]`` with the boxes of what was found, the surest first, in a colour a class."""
    boxes = [(each.xyxy, names.index(each.name), f"{each.name} {each.probability:.0%}") for each in found]
    return outlined(photograph, boxes[::-1])  # the surest last, over the others


def outlined(photograph: NDArray[np.uint8], boxes: Sequence[tuple[Box, int, str]]) -> NDArray[np.uint8]:
    """The photograph uint8 ``[H, W, 3]`` with boxes, each in the colour of its class's index, and with its label."""
    picture = Image.fromarray(photograph)
    pen = ImageDraw.Draw(picture)
    width = max(1, round(max(picture.size) / 300))
    size = max(10, round(max(picture.size) / 50))
    for box, index, label in boxes:
        colour, at = COLOURS[index % len(COLOURS)], (box[0] + width, box[1] + width)
        pen.rectangle(box, outline=colour, width=width)
        pen.rectangle(pen.textbbox(at, label, font_size=size), fill=colour)
        pen.text(at, label, fill="white", font_size=size)
    return np.asarray(picture)


def exhibited(image: NDArray[np.uint8], target: Target, names: Sequence[str]) -> tuple[NDArray[np.uint8], str]:
    """What is known of a picture that a network sees: its boxes drawn, uint8 ``[H, W, 3]``, and how many they are."""
    assert isinstance(target, Boxes)
    boxes = []
    for index, edges, difficult, crowd in zip(
        target.classes.tolist(), target.xyxy.tolist(), target.difficult, target.crowd, strict=True
    ):
        left, top, right, bottom = edges
        marks = [word for word, marked in (("difficult", difficult), ("crowd", crowd)) if marked]
        boxes.append(((left, top, right, bottom), index, ", ".join([names[index], *marks])))
    return outlined(image, boxes), counted(len(boxes), "object")
