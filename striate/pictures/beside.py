"""What a picture file holds beside the colours that are decoded, for a picture that is made of it."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from striate.pictures.decode import explained, open_picture, orientation_of, turned

_GREY = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_OF_THE_FILE = frozenset(
    {*range(254, 260), 262, 266, 273, 274, 277, 278, 279, 284, 297, *range(317, 348), 512, 513, 514}
)
"""EXIF's tags that say how the very file stores its pixels and its thumbnail, or how these are to be turned."""
_SPACES = {b"GRAY": True, b"RGB ": False}


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """What is beside the colours.

    Fields:
        grey: whether the picture has no colours.
        alpha: upright, uint8 ``[H, W]``, 255 for what hides all behind it; None where everything does.
        exif: when and how it was taken, without orientation, thumbnail and what is about the file; b"" for nothing.
        profile: the ICC profile of the colours, None where there is none, or one of colours that are decoded otherwise.
    """

    grey: bool
    alpha: NDArray[np.uint8] | None
    exif: bytes
    profile: bytes | None


def beside(source: Path, *, size: tuple[int, int], name: str | None = None) -> Beside:
    """What is beside the colours of a picture; EXIF's own account of its size becomes ``size``, height and width.

    Raises:
        DecodeError: it cannot be read.
    """
    with explained(source, name), open_picture(source) as image:
        orientation = orientation_of(image)
        grey = image.mode in _GREY
        exif = b""
        with contextlib.suppress(Exception):  # a damaged block keeps nobody from the pixels
            exif = _exif(image, size)
        profile = image.info.get("icc_profile")
        if not isinstance(profile, bytes) or _SPACES.get(profile[16:20]) is not grey:
            profile = None
        alpha = None
        if image.has_transparency_data:
            alpha = turned(np.asarray(image.convert("RGBA").getchannel("A")), orientation)
        return Beside(grey, None if alpha is None or alpha.min() == 255 else alpha, exif, profile)


def _exif(image: Image.Image, size: tuple[int, int]) -> bytes:
    found = image.getexif()
    for tag in _OF_THE_FILE & {*found}:
        del found[tag]
    inner = found.get_ifd(ExifTags.IFD.Exif)
    for tag, side in ((ExifTags.Base.ExifImageHeight, size[0]), (ExifTags.Base.ExifImageWidth, size[1])):
        if tag in inner:
            inner[tag] = side
    return found.tobytes() if len(found) else b""
