"""Colour: whatever bands a picture has, to uint8 in the channels that a network wants."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.base.errors import DataError

Channels = Literal["grey", "rgb", "bgr", "luma"] | int
Pixels = NDArray[np.uint8]

_COUNTS: dict[Channels, int] = {"grey": 1, "luma": 1, "rgb": 3, "bgr": 3}
_BANDS_OF_COLOUR = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGB and alpha"}


def channel_count(channels: Channels) -> int:
    """Return how many channels that is: 1 for grey and luma, 3 for rgb and bgr, N for N."""
    return channels if isinstance(channels, int) else _COUNTS[channels]


def to_channels(pixels: NDArray[Any], channels: Channels) -> Pixels:
    """Convert the pixels of one picture to uint8 ``[H, W, count]``.

    ``pixels`` is ``[H, W]`` or ``[H, W, bands]`` of bool, uint8, uint16 or floats in 0..1. The whole range of the type
    becomes 0..255, rounded (65,535 becomes 255), and nothing is clipped.

    For ``"grey"``, ``"luma"``, ``"rgb"`` and ``"bgr"`` one band is grey, two are grey and alpha, three RGB, four RGB
    and alpha; alpha is laid over white. Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); luma is the same in studio
    range, 16..235, as MATLAB's ``rgb2ycbcr`` and with it the papers on super-resolution have it. An integer N takes
    N bands as they are.

    The result may share memory with ``pixels``.

    Raises:
        DataError: the bands do not fit, the numbers are of another type or range, or some of them are masked.
    """
    if np.ma.is_masked(pixels):
        raise DataError("it is a masked array, whose mask is not used; fill what is masked: picture.filled(value)")
    pixels = np.asarray(pixels)  # numpy.matrix would stay two-dimensional, and numpy.repeat crash
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3:
        raise DataError(f"a picture has the shape [H, W] or [H, W, bands], not {list(pixels.shape)}")
    if pixels.size == 0:
        raise DataError(f"it has no pixels: its shape is {list(pixels.shape)}")
    pixels = to_bytes(pixels)
    bands = pixels.shape[2]
    if isinstance(channels, int):
        if bands != channels:
            raise DataError(f"it has {_plural(bands)} where {_plural(channels)} were expected")
        return pixels
    if bands not in _BANDS_OF_COLOUR:
        known = ", ".join(f"{count} ({what})" for count, what in _BANDS_OF_COLOUR.items())
        raise DataError(f"it has {_plural(bands)}, which cannot become {channels}; that takes one of {known}")
    if bands in (2, 4):
        pixels = _over_white(pixels)
    return _recolour(pixels, channels)


def with_pillow(pixels: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Let Pillow change uint8 ``[H, W, C]`` of any C; ``change`` sees images of 1, 3 or 4 plain bands.

    Four bands go as CMYK: as RGBA Pillow would multiply the first three by the fourth. Other counts go band by band.
    The result is read-only.
    """
    height, width, count = pixels.shape
    mode = {1: "L", 3: "RGB", 4: "CMYK"}.get(count)
    if mode is None:
        return np.concatenate([with_pillow(pixels[:, :, band, None], change) for band in range(count)], axis=2)
    image = Image.frombuffer(mode, (width, height), np.ascontiguousarray(pixels), "raw", mode, 0, 1)
    changed: Pixels = np.asarray(change(image))
    return changed[:, :, None] if count == 1 else changed


def to_bytes(pixels: NDArray[Any]) -> Pixels:
    """The whole range of the numbers' type as 0..255, see `to_channels`; raises DataError as that does."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:  # either byte order
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype.kind == "f":
        low, high = float(np.min(pixels, initial=0.0)), float(np.max(pixels, initial=0.0))
        if not math.isfinite(low + high):
            bad = pixels.size - int(np.isfinite(pixels).sum())
            raise DataError(f"{bad} of its {pixels.size} numbers are NaN or infinite, where 0 to 1 was expected")
        if low < 0 or high > 1:
            raise DataError(f"its numbers are floats from {low:g} to {high:g}, where 0 to 1 was expected; rescale them")
        return np.rint(pixels * 255).astype(np.uint8)
    raise DataError(f"its numbers are {pixels.dtype}, where uint8, uint16, bool or floats in 0..1 were expected")


def _over_white(pixels: Pixels) -> Pixels:
    colour, alpha = pixels[:, :, :-1].astype(np.uint32), pixels[:, :, -1:].astype(np.uint32)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _recolour(pixels: Pixels, channels: Literal["grey", "rgb", "bgr", "luma"]) -> Pixels:
    """One or three bands to the channels wanted."""
    if channels in ("rgb", "bgr"):
        if pixels.shape[2] == 1:
            return np.repeat(pixels, 3, axis=2)
        return pixels if channels == "rgb" else np.ascontiguousarray(pixels[:, :, ::-1])
    grey = pixels if pixels.shape[2] == 1 else _weighted(pixels, 19595, 38470, 7471, 32768)
    if channels == "grey":
        return grey
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return _weighted(pixels, 16829, 33039, 6416, (16 << 16) + 32768)  # (65.481, 128.553, 24.966) / 255


def _weighted(pixels: Pixels, red: int, green: int, blue: int, offset: int) -> Pixels:
    """A weighted sum in 16-bit fixed point."""
    wide = pixels.astype(np.uint32)
    total = wide[:, :, 0:1] * red + wide[:, :, 1:2] * green + wide[:, :, 2:3] * blue + offset
    return np.right_shift(total, 16).astype(np.uint8)


def _plural(count: int) -> str:
    return f"{count} band" if count == 1 else f"{count} bands"
