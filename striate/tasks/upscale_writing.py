"""An enlarged picture as a file, with what the photograph has beside its colours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.base.atomic import replace_file
from striate.base.errors import OutputError
from striate.data.names import printable
from striate.pictures.beside import beside
from striate.pictures.resampling import resample

_Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Format:
    """How a format of files is written: Pillow's name for it and its options, and what it can hold."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    alpha: bool = True
    longest: int = 1 << 30


_JPEG = Format("jpeg", {"quality": 95, "subsampling": 0}, alpha=False, longest=65_500)
_TIFF = Format("tiff")  # plain: with compression Pillow leaves EXIF to libtiff, which takes no nested tables

FORMATS: Mapping[str, Format] = {
    ".png": Format("png"),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format("webp", {"quality": 95}, longest=16_383),
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
"""By the ending of a file's name, in small letters."""


def usual_ending(pixels: _Pixels) -> str:
    """That of a format which loses nothing of a picture ``[H, W, C]``: PNG, or TIFF of bands of no colour."""
    return ".png" if pixels.shape[2] in (1, 3) else ".tif"


def write_as(pixels: _Pixels, file: Path, photograph: Path) -> None:
    """Write an enlarged picture, uint8 ``[H, W, C]``, in the format of the file's ending, one of `FORMATS`.

    Alpha is enlarged bicubically. What was decoded lay on white: where something shines through, that is taken away
    again, so that laid on white the file is what the network said. Where a format has no alpha, it stays on white.

    Raises:
        OutputError: it cannot be written, or the format does not hold such a picture.
        DecodeError: the photograph cannot be read any more.
    """
    height, width, bands = pixels.shape
    how = FORMATS[file.suffix.lower()]
    if bands not in (1, 3) and how is not _TIFF:
        raise OutputError(f"{printable(file)}: there are {bands} bands, which are no colours; give a .tif")
    if max(height, width) > how.longest:
        raise OutputError(
            f"{printable(file)}: {width} x {height} pixels are more than {how.name} holds, {how.longest:,} a "
            "side; give a .png"
        )
    if bands not in (1, 3):
        _write_bands(pixels, file)
        return
    kept = beside(photograph, size=(height, width), name=printable(photograph))
    colours = pixels[:, :, :1] if kept.grey else pixels
    if kept.alpha is not None and how.alpha:
        alpha = resample(kept.alpha[:, :, None], height, width, "bicubic")
        colours = np.concatenate([_off_white(colours, alpha), alpha], axis=2)
    picture = Image.fromarray(colours.squeeze(2) if colours.shape[2] == 1 else colours)
    with replace_file(file) as partial:
        picture.save(partial, how.name, exif=kept.exif, icc_profile=kept.profile, **how.options)


def _write_bands(pixels: _Pixels, file: Path) -> None:
    first, *others = (Image.fromarray(np.ascontiguousarray(pixels[:, :, band])) for band in range(pixels.shape[2]))
    with replace_file(file) as partial:
        first.save(partial, _TIFF.name, save_all=True, append_images=others, compression="tiff_deflate")


def _off_white(colours: _Pixels, alpha: _Pixels) -> _Pixels:
    """The colours that make these when they are laid on white; white where nothing is to be seen of them."""
    share = np.maximum(alpha, 1).astype(np.float32) / 255
    found = 255 - (255 - colours.astype(np.float32)) / share
    return np.where(alpha > 0, np.clip(np.rint(found), 0, 255), 255).astype(np.uint8)
