# ruff: noqa: D102  (what the six methods of a step do is said once, in `Step`)
"""Where the pixels went: steps from a photograph to a network's input, and the way back.

Coordinates are continuous: the first pixel covers 0..1, so right and bottom edges are exclusive. Boxes are float64
``[K, 4]`` (left, top, right, bottom) and not clipped; masks are uint8 ``[H, W]``, and 255 wherever nothing is known.
The way back uses the very integers of the way there; nobody else in this package does arithmetic on coordinates.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.base.errors import DataError
from striate.pictures.channels import Pixels, with_pillow
from striate.pictures.resampling import Interpolation, resample

Boxes = NDArray[np.float64]
Mask = NDArray[np.uint8]

UNKNOWN = 255  # the class index in masks that nobody counts


class Step(Protocol):
    """One move of the pixels; ``height`` and ``width`` are always the size that goes in on the way forward."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The size that comes out."""

    def image(self, pixels: Pixels) -> Pixels:
        """Move uint8 ``[H, W, C]``; the result may be a view."""

    def boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        """Move boxes ``[K, 4]``."""

    def mask(self, mask: Mask) -> Mask:
        """Move class indices ``[H, W]``, by nearest pixels; `UNKNOWN` outside the photograph."""

    def undo_boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        """Bring boxes back."""

    def undo_mask(self, mask: Mask, height: int, width: int) -> Mask:
        """Bring a mask back; `UNKNOWN` where it says nothing."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What the decoder did already: one pixel for ``factor`` x ``factor`` of the photograph's.

    Where ``factor`` does not divide a side, the file's last row or column covers less of the photograph than the
    others. The camera's orientation may have made it the first: ``top`` and ``left`` say so.
    """

    factor: int
    top: bool = False
    left: bool = False

    def size(self, height: int, width: int) -> tuple[int, int]:
        return -(-height // self.factor), -(-width // self.factor)

    def image(self, pixels: Pixels) -> Pixels:
        return pixels

    def boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return _shifted(boxes, *self._lacking(height, width)) / self.factor

    def mask(self, mask: Mask) -> Mask:
        # The pixel below and right of the middle, and the nearest one where that lies outside.
        rows, columns = (
            np.clip(np.arange(count) * self.factor + self.factor // 2 - lacking, 0, side - 1)
            for side, count, lacking in zip(mask.shape, self.size(*mask.shape), self._lacking(*mask.shape), strict=True)
        )
        return _picked(mask, rows, columns)

    def undo_boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        down, across = self._lacking(height, width)
        return _shifted(boxes * self.factor, -down, -across)

    def undo_mask(self, mask: Mask, height: int, width: int) -> Mask:
        down, across = self._lacking(height, width)
        return _picked(mask, (np.arange(height) + down) // self.factor, (np.arange(width) + across) // self.factor)

    def _lacking(self, height: int, width: int) -> tuple[int, int]:
        """How many of the photograph's pixels the first row and the first column lack."""
        return (-height % self.factor) * self.top, (-width % self.factor) * self.left


@dataclass(frozen=True, slots=True)
class Resize:
    """Resample to another size, with antialiasing."""

    height: int
    width: int
    interpolation: Interpolation = "bilinear"

    def size(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def image(self, pixels: Pixels) -> Pixels:
        if pixels.shape[:2] == (self.height, self.width):
            return pixels
        return resample(pixels, self.height, self.width, self.interpolation)

    def boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return _scaled(boxes, self.height / height, self.width / width)

    def mask(self, mask: Mask) -> Mask:
        return _resized_mask(mask, self.height, self.width)

    def undo_boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return _scaled(boxes, height / self.height, width / self.width)

    def undo_mask(self, mask: Mask, height: int, width: int) -> Mask:
        return _resized_mask(mask, height, width)


@dataclass(frozen=True, slots=True)
class Crop:
    """Keep a window, which must lie inside; the result is a view."""

    top: int
    left: int
    height: int
    width: int

    def size(self, height: int, width: int) -> tuple[int, int]:
        inside = 0 <= self.top <= height - self.height and 0 <= self.left <= width - self.width
        if not (inside and self.height > 0 and self.width > 0):
            raise AssertionError(f"a fault of ours: {self} does not lie inside {height} x {width}")
        return self.height, self.width

    def image(self, pixels: Pixels) -> Pixels:
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]

    def boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return _shifted(boxes, -self.top, -self.left)

    def mask(self, mask: Mask) -> Mask:
        return mask[self.top : self.top + self.height, self.left : self.left + self.width]

    def undo_boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return _shifted(boxes, self.top, self.left)

    def undo_mask(self, mask: Mask, height: int, width: int) -> Mask:
        whole = np.full((height, width), UNKNOWN, np.uint8)
        whole[self.top : self.top + self.height, self.left : self.left + self.width] = mask
        return whole


@dataclass(frozen=True, slots=True)
class Pad:
    """Add a border of one value, 0..255 in every channel (masks get `UNKNOWN` there)."""

    top: int
    bottom: int
    left: int
    right: int
    fill: int = 0

    def size(self, height: int, width: int) -> tuple[int, int]:
        return self.top + height + self.bottom, self.left + width + self.right

    def image(self, pixels: Pixels) -> Pixels:
        height, width, count = pixels.shape
        whole = np.full((*self.size(height, width), count), self.fill, np.uint8)
        whole[self.top : self.top + height, self.left : self.left + width] = pixels
        return whole

    def boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return _shifted(boxes, self.top, self.left)

    def mask(self, mask: Mask) -> Mask:
        rows, columns = (self.top, self.bottom), (self.left, self.right)
        return np.pad(mask, (rows, columns), constant_values=UNKNOWN)

    def undo_boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return _shifted(boxes, -self.top, -self.left)

    def undo_mask(self, mask: Mask, height: int, width: int) -> Mask:
        return mask[self.top : self.top + height, self.left : self.left + width]


@dataclass(frozen=True, slots=True)
class Flip:
    """Swap left and right; the result is a view."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def image(self, pixels: Pixels) -> Pixels:
        return pixels[:, ::-1]

    def boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)

    def mask(self, mask: Mask) -> Mask:
        return mask[:, ::-1]

    def undo_boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return self.boxes(boxes, height, width)

    def undo_mask(self, mask: Mask, height: int, width: int) -> Mask:
        return mask[:, ::-1]


@dataclass(frozen=True, slots=True)
class Rotate:
    """Turn about the centre, counter-clockwise in degrees, on the same canvas; corners that open get ``fill``.

    A box becomes the smallest upright box around the turned one, so there and back again it is larger than it was.
    """

    degrees: float
    fill: int = 0

    def size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def image(self, pixels: Pixels) -> Pixels:
        return with_pillow(
            pixels,
            lambda image: image.rotate(
                self.degrees, Image.Resampling.BILINEAR, fillcolor=(self.fill,) * len(image.getbands())
            ),
        )

    def boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return _turned(boxes, self.degrees, height, width)

    def mask(self, mask: Mask) -> Mask:
        return _turned_mask(mask, self.degrees)

    def undo_boxes(self, boxes: Boxes, height: int, width: int) -> Boxes:
        return _turned(boxes, -self.degrees, height, width)

    def undo_mask(self, mask: Mask, height: int, width: int) -> Mask:
        return _turned_mask(mask, -self.degrees)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The photograph's own upright size and the steps that were taken from there.

    Boxes and masks, going in and coming back, are in the photograph's own pixels. Only `image` begins with what the
    decoder gave: a photograph that was decoded at a reduced size has `Shrunk` as its first step (`Decoded.geometry`).

    Example:
        >>> geometry = Geometry(100, 200).then(Crop(0, 50, 100, 100), Resize(50, 50), Flip())
        >>> there = geometry.boxes(np.array([[60.0, 10.0, 80.0, 30.0]]))
        >>> there
        array([[35.,  5., 45., 15.]])
        >>> geometry.undo_boxes(there)
        array([[60., 10., 80., 30.]])
    """

    height: int
    width: int
    steps: tuple[Step, ...] = field(default=())

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width after the last step."""
        return self._sizes()[-1]

    @property
    def window(self) -> Boxes:
        """What of the photograph the output shows, as a box ``[1, 4]``; with its borders, if there are any."""
        height, width = self.output_size
        return self.undo_boxes(np.array([[0, 0, width, height]]))

    def then(self, *steps: Step) -> "Geometry":
        """The same with more steps after these."""
        return Geometry(self.height, self.width, self.steps + steps)

    def image(self, pixels: Pixels) -> Pixels:
        """Move the decoded pixels, uint8 ``[h, w, C]``; the result may be a read-only view."""
        begin = self.height, self.width
        if self.steps and isinstance(self.steps[0], Shrunk):
            begin = self.steps[0].size(*begin)
        _expect(pixels, *begin)
        for step in self.steps:
            pixels = step.image(pixels)
        return pixels

    def boxes(self, boxes: Boxes) -> Boxes:
        """Move boxes ``[K, 4]`` from the photograph to the network's input."""
        boxes = np.asarray(boxes, np.float64)
        for step, (height, width) in zip(self.steps, self._sizes(), strict=False):
            boxes = step.boxes(boxes, height, width)
        return boxes

    def mask(self, mask: Mask) -> Mask:
        """Move class indices ``[H, W]`` from the photograph to the network's input.

        Raises:
            DataError: the mask has another size than the photograph.
        """
        if mask.shape != (self.height, self.width):
            raise DataError(
                f"the mask's shape is {list(mask.shape)}, expected one number for each of the photograph's "
                f"{self.height} x {self.width} pixels (height x width, turned upright as EXIF's orientation says)"
            )
        for step in self.steps:
            mask = step.mask(mask)
        return mask

    def undo_boxes(self, boxes: Boxes) -> Boxes:
        """Bring boxes ``[K, 4]`` from the network's input back to the photograph."""
        boxes = np.asarray(boxes, np.float64)
        for step, (height, width) in zip(reversed(self.steps), self._sizes()[-2::-1], strict=True):
            boxes = step.undo_boxes(boxes, height, width)
        return boxes

    def undo_mask(self, mask: Mask) -> Mask:
        """Bring class indices from the network's input back to the photograph; `UNKNOWN` where it was not looked at."""
        _expect(mask, *self.output_size)
        for step, (height, width) in zip(reversed(self.steps), self._sizes()[-2::-1], strict=True):
            mask = step.undo_mask(mask, height, width)
        return mask

    def positions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the middles of the photograph's rows ``[height]`` and columns ``[width]`` lie in the output.

        Of steps that turn nothing: then all pixels of a row lie in one.
        """
        down, across = ((np.arange(side) + 0.5)[:, None].repeat(4, axis=1) for side in (self.height, self.width))
        return self.boxes(down * [0, 1, 0, 1])[:, 1], self.boxes(across * [1, 0, 1, 0])[:, 0]

    def _sizes(self) -> list[tuple[int, int]]:
        """The photograph's size, then the size after each step."""
        sizes = [(self.height, self.width)]
        for step in self.steps:
            sizes.append(step.size(*sizes[-1]))
        return sizes


def _expect(pixels: NDArray[np.uint8], height: int, width: int) -> None:
    if pixels.shape[:2] != (height, width):
        shape = " x ".join(map(str, pixels.shape))
        raise AssertionError(f"a fault of ours: expected {height} x {width} pixels, not {shape}")


def _scaled(boxes: Boxes, down: float, across: float) -> Boxes:
    return np.multiply(boxes, np.array([across, down, across, down]))


def _shifted(boxes: Boxes, down: int, across: int) -> Boxes:
    return np.add(boxes, np.array([across, down, across, down]))


def _turned(boxes: Boxes, degrees: float, height: int, width: int) -> Boxes:
    """The upright boxes around the boxes turned counter-clockwise (y points down)."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x = boxes[:, [0, 2, 2, 0]] - width / 2
    y = boxes[:, [1, 1, 3, 3]] - height / 2
    across, down = cosine * x + sine * y + width / 2, cosine * y - sine * x + height / 2
    return np.stack([across.min(1), down.min(1), across.max(1), down.max(1)], axis=1)


def _resized_mask(mask: Mask, height: int, width: int) -> Mask:
    if mask.shape == (height, width):
        return mask
    # The pixel that the middle lies in, in whole numbers: where it lies on a border, Pillow lets rounding decide.
    rows, columns = (
        (2 * np.arange(count) + 1) * side // (2 * count)
        for side, count in zip(mask.shape, (height, width), strict=True)
    )
    return _picked(mask, rows, columns)


def _picked(mask: Mask, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Mask:
    """The mask at those rows and columns, copied in the order that copies less."""
    if len(rows) < len(mask):
        return mask.take(rows, axis=0).take(columns, axis=1)
    return mask.take(columns, axis=1).take(rows, axis=0)


def _turned_mask(mask: Mask, degrees: float) -> Mask:
    return np.asarray(Image.fromarray(mask).rotate(degrees, Image.Resampling.NEAREST, fillcolor=UNKNOWN))
