"""An enlarged picture as a file, with what the photograph has beside its colours."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.base.atomic import replace_file
from striate.data.names import printable
from striate.pictures.beside import beside
from striate.pictures.resampling import resample

_Pixels = NDArray[np.uint8]


def write_enlarged(pixels: _Pixels, photograph: Path, folder: Path, name: str) -> str:
    """Write an enlarged picture, uint8 ``[H, W, C]``, and give the file's name: PNG, or TIFF of bands of no colour.

    Alpha is enlarged bicubically. What was decoded lay on white: where something shines through, that is taken away
    again, so that laid on white the file is what the network said.

    Raises:
        OutputError: it cannot be written.
        DecodeError: the photograph cannot be read any more.
    """
    height, width, bands = pixels.shape
    if bands not in (1, 3):
        return _write_bands(pixels, folder, f"{name}.enlarged.tif")
    kept = beside(photograph, size=(height, width), name=printable(photograph))
    colours = pixels[:, :, :1] if kept.grey else pixels
    if kept.alpha is not None:
        alpha = resample(kept.alpha[:, :, None], height, width, "bicubic")
        colours = np.concatenate([_off_white(colours, alpha), alpha], axis=2)
    picture = Image.fromarray(colours.squeeze(2) if colours.shape[2] == 1 else colours)
    with replace_file(folder / f"{name}.enlarged.png") as partial:
        picture.save(partial, "png", exif=kept.exif, icc_profile=kept.profile)
    return f"{name}.enlarged.png"


def _write_bands(pixels: _Pixels, folder: Path, file: str) -> str:
    first, *others = (Image.fromarray(np.ascontiguousarray(pixels[:, :, band])) for band in range(pixels.shape[2]))
    with replace_file(folder / file) as partial:
        first.save(partial, "tiff", save_all=True, append_images=others, compression="tiff_deflate")
    return file


def _off_white(colours: _Pixels, alpha: _Pixels) -> _Pixels:
    """The colours that make these when they are laid on white; white where nothing is to be seen of them."""
    share = np.maximum(alpha, 1).astype(np.float32) / 255
    found = 255 - (255 - colours.astype(np.float32)) / share
    return np.where(alpha > 0, np.clip(np.rint(found), 0, 255), 255).astype(np.uint8)
