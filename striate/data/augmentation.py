"""Augmentation: other looks at the same picture, decided by the numbers drawn for it and by nothing else.

Every change of place is a step of the Geometry, so boxes and masks follow it; colours change on uint8 afterwards.
The random window is that of Szegedy et al., "Going Deeper with Convolutions", 2014, section 6; scale, which also makes
pictures smaller, is that of Liu et al., "SSD", 2016, section 3.6, and of most detectors since. Mosaics are made in
`striate.data.mosaic`.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from striate.base.errors import RecipeError
from striate.base.fields import Later
from striate.base.ranges import Side
from striate.pictures.geometry import Crop, Flip, Geometry, Pad, Resize, Rotate
from striate.pictures.preprocess import Preprocess, ResizeRule

if TYPE_CHECKING:
    from striate.data.targets import Target

_AREA, _ASPECT, _TOP, _LEFT, FLIP, DOWN, RIGHT, _TURN, _BRIGHT, _CONTRAST, _SATURATION, MOSAIC = range(12)
BALANCE, _CLASS, _PLACE = 12, 13, 14
DRAWS = 15
"""How many uniform numbers in [0, 1) each sample needs; which is for what never depends on the settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What may change about a training picture, and how far.

    Example:
        >>> Augmentation(crop=(1.0, 1.0), shift=2).off
        False
        >>> NO_AUGMENTATION.off
        True
    """

    crop: Annotated[
        tuple[float, float],
        Field(description="the window's share of the picture's area, least and most; [1, 1] is evaluation's window"),
    ] = (0.35, 1.0)
    aspect: Annotated[
        tuple[float, float],
        Field(description="how far a random window's aspect may differ from the right one, least and most factor"),
    ] = (3 / 4, 4 / 3)
    scale: Annotated[
        tuple[float, float],
        Later(as_before=(1.0, 1.0)),
        Field(
            description="the picture's sides over those with which it fits, least and most, instead of a window: "
            "smaller ones lie anywhere in the input, of larger ones a part is seen"
        ),
    ] = (1.0, 1.0)
    crop_size: Annotated[
        tuple[Side, Side] | None,
        Later(as_before=None),
        Field(
            description="height and width in pixels of the crops to learn from, of pictures that fit the recipe's size "
            "times scale; without it, crops are of that size"
        ),
    ] = None
    crop_balance: Annotated[
        float,
        Later(as_before=0.0),
        Field(
            description="part of the windows that show a place of a class drawn of those in the picture, each alike, "
            "so that rare ones are seen more often, 0 to 1"
        ),
    ] = 0.0
    flip: Annotated[bool, Field(description="mirror left and right, half of the time")] = True
    shift: Annotated[int, Field(description="move by up to so many pixels of the network's input each way")] = 0
    rotation: Annotated[float, Field(description="turn by up to so many degrees each way, 0 to 180")] = 0.0
    colour: Annotated[
        float, Field(description="change brightness, contrast and saturation by factors of 1 - colour to 1 + colour")
    ] = 0.0
    mosaic: Annotated[
        float,
        Later(as_before=0.0),
        Field(description="part of the pictures that are put together of four, 0 to 1; boxes and masks alone can be"),
    ] = 0.0
    mosaic_epochs: Annotated[
        float,
        Later(as_before=0.75),
        Field(description="part of the epochs, from the first on, in which mosaics are made, 0 to 1"),
    ] = 0.75
    multi_scale: Annotated[
        tuple[float, float],
        Later(as_before=(1.0, 1.0)),
        Field(description="sides of a batch's pictures over the recipe's, least and most, in steps of 32 pixels"),
    ] = (1.0, 1.0)

    def __post_init__(self) -> None:
        legal = (
            ("crop", 0 < self.crop[0] <= self.crop[1] <= 1, "two shares, 0 < least <= most <= 1"),
            ("aspect", 0 < self.aspect[0] <= self.aspect[1] < math.inf, "two factors, 0 < least <= most"),
            ("shift", 0 <= self.shift <= 4096, "whole pixels, 0 to 4096"),
            ("rotation", 0 <= self.rotation <= 180, "degrees from 0 to 180"),
            ("colour", 0 <= self.colour <= 1, "a strength from 0 to 1"),
            ("scale", 0 < self.scale[0] <= self.scale[1] <= 10, "two factors, 0 < least <= most <= 10"),
            ("crop_balance", 0 <= self.crop_balance <= 1, "a share from 0 to 1"),
            ("mosaic", 0 <= self.mosaic <= 1, "a share from 0 to 1"),
            ("mosaic_epochs", 0 <= self.mosaic_epochs <= 1, "a share from 0 to 1"),
            ("multi_scale", 0 < self.multi_scale[0] <= self.multi_scale[1] <= 4, "two factors, 0 < least <= most <= 4"),
        )
        for field, fine, expected in legal:
            if not fine:
                raise RecipeError(f"augmentation: {field} = {getattr(self, field)!r}; expected {expected}")
        if self.scale != (1.0, 1.0) and self.crop != (1.0, 1.0):
            raise RecipeError(
                f"augmentation: crop = {list(self.crop)} and scale = {list(self.scale)} both choose what is seen of a "
                "picture; leave one of them at [1, 1]"
            )
        if self.crop_size and self.crop != (1.0, 1.0):
            raise RecipeError(
                f"augmentation: crop = {list(self.crop)} and crop_size = {list(self.crop_size)} both choose what is "
                "seen of a picture; leave crop at [1, 1], or crop_size out"
            )
        if self.crop_size and self.multi_scale != (1.0, 1.0):
            raise RecipeError(
                f"augmentation: crop_size = {list(self.crop_size)} and multi_scale = {list(self.multi_scale)} both "
                "choose the size of a batch; leave multi_scale at [1, 1], or crop_size out"
            )

    @property
    def off(self) -> bool:
        """Whether nothing changes."""
        places = self.windows or self.flip or self.shift or self.rotation
        return not (places or self.colour or self.mosaic or self.multi_scale != (1.0, 1.0))

    @property
    def windows(self) -> bool:
        """Whether it is random what is seen of a picture, and how large."""
        return self.crop != (1.0, 1.0) or self.scale != (1.0, 1.0) or self.crop_size is not None

    def size(self, preprocess: Preprocess) -> tuple[int, int]:
        """Height and width of what the network gets while it learns."""
        return self.crop_size or preprocess.size

    def place(self, target: "Target", draws: NDArray[np.float64]) -> tuple[float, float] | None:
        """The place (x, y) of the photograph that the window shall show, of a class that was drawn; None: any."""
        return target.place(float(draws[_CLASS]), float(draws[_PLACE])) if draws[BALANCE] < self.crop_balance else None

    def geometry(
        self,
        start: Geometry,
        preprocess: Preprocess,
        draws: NDArray[np.float64],
        frame: tuple[int, int] | None = None,
        place: tuple[float, float] | None = None,
    ) -> Geometry:
        """Where each pixel goes: window, resize, border, then mirror, shift and turn.

        ``start`` is the picture's `Decoded.geometry`, ``draws`` ``[DRAWS]`` are the sample's numbers. The result has
        the size that `size` gives, or that of the ``frame`` (height, width) that shows a part of it. A random window
        shows the photograph's ``place`` (x, y), if there is one.
        """
        if frame or self.crop_size or self.scale != (1.0, 1.0):
            geometry = self._in_frame(start, preprocess, frame or self.size(preprocess), draws, place)
        elif self.windows:
            geometry = self._window(start, preprocess, draws, place)
        else:
            geometry = preprocess.geometry(start)
        if self.flip and draws[FLIP] < 0.5:
            geometry = geometry.then(Flip())
        if self.shift:
            # Moving a picture is cropping another window out of a padded one.
            margin = self.shift
            down, right = (int(draws[draw] * (2 * margin + 1)) for draw in (DOWN, RIGHT))
            rows, columns = geometry.output_size
            padded = Pad(margin, margin, margin, margin, preprocess.fill)
            geometry = geometry.then(padded, Crop(down, right, rows, columns))
        if self.rotation:
            geometry = geometry.then(Rotate((2 * float(draws[_TURN]) - 1) * self.rotation, fill=preprocess.fill))
        return geometry

    def _in_frame(
        self,
        start: Geometry,
        preprocess: Preprocess,
        frame: tuple[int, int],
        draws: NDArray[np.float64],
        place: tuple[float, float] | None,
    ) -> Geometry:
        """A picture of random size, at a random place of a ``frame`` (height, width) that shows as much as goes in.

        At scale 1 the picture fits ``preprocess.size``, whatever the frame; its aspect changes by the root of a factor
        each way. What is left of the frame is filled.
        """
        rows, columns = start.output_size
        fits = (preprocess.size[0] / rows, preprocess.size[1] / columns)
        if preprocess.resize == "none":
            fits = (1.0, 1.0)
        elif preprocess.resize != "stretch":
            fits = (max(fits),) * 2 if preprocess.resize == "crop" else (min(fits),) * 2
        factor, aspect = (
            math.exp(math.log(low) + (math.log(high) - math.log(low)) * float(draws[draw]))
            for (low, high), draw in ((self.scale, _AREA), (self.aspect, _ASPECT))
        )
        window, seen, free = [], [], []
        for side, fit, stretch, room, at, draw in zip(
            (rows, columns),
            fits,
            (aspect**-0.5, aspect**0.5),
            frame,
            _decoded(start, place),
            draws[[_TOP, _LEFT]].tolist(),
            strict=True,
        ):
            whole = max(1, round(side * fit * factor * stretch))
            part = side if whole <= room else max(1, round(side * room / whole))
            window.append((_begin(side, part, at, draw), part))
            seen.append(min(whole, room))
            before = int(draw * (room - seen[-1] + 1))
            free.append((before, room - seen[-1] - before))
        (top, height), (left, width) = window
        return start.then(
            Crop(top, left, height, width),
            Resize(seen[0], seen[1], preprocess.interpolation),
            Pad(*free[0], *free[1], preprocess.fill),
        )

    def _window(
        self,
        start: Geometry,
        preprocess: Preprocess,
        draws: NDArray[np.float64],
        place: tuple[float, float] | None,
    ) -> Geometry:
        """A random window, then what `preprocess` does with a picture that is all to be seen.

        Of pictures that stay in their own pixels it has the network's size, whatever `crop` says.
        """
        if preprocess.resize == "none":
            return self._in_frame(start, preprocess, preprocess.size, draws, place)
        rows, columns = start.output_size
        least, most = self.crop
        area = least + (most - least) * float(draws[_AREA])
        # "crop" shows windows of the target's aspect, the others windows of the picture's own.
        right = preprocess.size[1] / preprocess.size[0] if preprocess.resize == "crop" else columns / rows
        # A window of this area fits between these two aspects; where no wished one does, the nearest, made smaller.
        low, high = area * columns / rows, columns / rows / area
        low, high = (min(max(right * factor, low), high) for factor in self.aspect)
        aspect = math.exp(math.log(low) + (math.log(high) - math.log(low)) * float(draws[_ASPECT]))
        aspect = min(max(aspect, right * self.aspect[0]), right * self.aspect[1])
        tall = math.sqrt(area * rows * columns / aspect)
        fit = min(1.0, rows / tall, columns / (tall * aspect))
        h = min(max(round(tall * fit), 1), rows)
        w = min(max(round(tall * aspect * fit), 1), columns)
        down, across = _decoded(start, place)
        top, left = _begin(rows, h, down, float(draws[_TOP])), _begin(columns, w, across, float(draws[_LEFT]))
        return start.then(Crop(top, left, h, w), *_whole(preprocess).geometry(Geometry(h, w)).steps)

    def colour_image(self, pixels: NDArray[np.uint8], draws: NDArray[np.float64]) -> NDArray[np.uint8]:
        """``[H, W, C]`` with brightness, contrast and saturation changed, in one rounding.

        Contrast is about the picture's own mean, saturation about the mean of the three channels (so that RGB and BGR
        change alike).
        """
        if not self.colour:
            return pixels
        bright, contrast, saturation = (
            1 + self.colour * (2 * float(draws[draw]) - 1) for draw in (_BRIGHT, _CONTRAST, _SATURATION)
        )
        gain, shift = bright * contrast, (1 - contrast) * bright
        if pixels.shape[2] == 3:
            return _mixed(pixels, gain * saturation, gain * (1 - saturation) / 3, shift)
        offset = shift * (float(pixels.sum(dtype=np.int64)) / pixels.size)
        table = np.clip(np.rint(np.arange(256) * gain + offset), 0, 255).astype(np.uint8)
        return table[pixels]


def _mixed(pixels: NDArray[np.uint8], own: float, shared: float, shift: float) -> NDArray[np.uint8]:
    """Each of three channels times ``own``, the sum of the three times ``shared``, the mean of all times ``shift``."""
    planes = np.empty((3, *pixels.shape[:2]), np.float32)  # numpy is slow along an innermost axis of 3
    for channel in range(3):
        planes[channel] = pixels[:, :, channel]
    total = planes[0] + planes[1] + planes[2]
    # Whole numbers, and exact by rows: the mean depends on no order of summing.
    mean = float(total.sum(axis=1).sum(dtype=np.float64)) / pixels.size
    total *= np.float32(shared)
    total += np.float32(shift * mean + 0.5)  # the half makes cutting off the fraction a rounding
    planes *= np.float32(own)
    planes += total
    np.clip(planes, 0, 255, out=planes)
    mixed = np.empty(pixels.shape, np.uint8)
    for channel in range(3):
        mixed[:, :, channel] = planes[channel]
    return mixed


def _decoded(start: Geometry, place: tuple[float, float] | None) -> tuple[int | None, int | None]:
    """Row and column of a place (x, y) of the photograph among the decoded pixels."""
    if place is None:
        return None, None
    across, down = start.boxes(np.array([place * 2]))[0, :2].tolist()
    rows, columns = start.output_size
    return min(max(math.floor(down), 0), rows - 1), min(max(math.floor(across), 0), columns - 1)


def _begin(side: int, part: int, at: int | None, draw: float) -> int:
    """Where a window of ``part`` of ``side`` pixels begins, drawn of the places where it shows the pixel ``at``."""
    first, last = (0, side - part) if at is None else (max(0, at - part + 1), min(side - part, at))
    return first + int(draw * (last - first + 1))


NO_AUGMENTATION = Augmentation(crop=(1.0, 1.0), aspect=(1.0, 1.0), flip=False)


@lru_cache(maxsize=16)
def _whole(preprocess: Preprocess) -> Preprocess:
    """The same, but showing all of a window that was chosen already."""
    rule: ResizeRule = "letterbox" if preprocess.resize == "letterbox" else "stretch"
    return replace(preprocess, resize=rule, crop_fraction=1.0)
