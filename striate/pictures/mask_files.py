"""Masks as files: what stands for each pixel, as it is stored, before it is known what that means.

Numbers may be grey values, places in a palette or colours. Files are turned upright like any picture.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.base.errors import DataError
from striate.pictures.decode import checked, explained, open_picture, orientation_of, turned
from striate.pictures.depth import is_wide, of_16_bits
from striate.pictures.lossy import lossy

Kind = Literal["grey", "palette", "colour"]
Numbers = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]

_SCALED = {"L;2": 85, "L;4": 17}  # PNG's grey of 2 and 4 bits, which Pillow spreads over 0 to 255


@dataclass(frozen=True, slots=True, eq=False)
class StoredMask:
    """``numbers`` ``[H, W]``: uint8 or uint16 grey values, uint8 places in ``palette``, or uint32 0xRRGGBB.

    ``lossy`` names the compression that may have changed them, ``see_through`` says that some pixels are not opaque,
    ``turned`` that EXIF turned it.
    """

    numbers: Numbers
    kind: Kind
    palette: tuple[int, ...] = ()
    lossy: str = ""
    see_through: bool = False
    turned: bool = False

    def colours(self) -> NDArray[np.uint32]:
        """The colour of each pixel, 0xRRGGBB.

        Raises:
            DataError: its grey values are more than colours have.
        """
        if self.kind == "colour":
            return self.numbers.astype(np.uint32, copy=False)
        if self.kind == "grey":
            if self.numbers.dtype != np.uint8:
                raise DataError("its grey has 16 bits, where colours were expected")
            return self.numbers.astype(np.uint32) * 0x010101
        return np.array([*self.palette, *[0] * (256 - len(self.palette))], np.uint32)[self.numbers]

    def values(self) -> Numbers:
        """What numbers classes where no colours do: grey values, also of colours that are all grey, or places.

        Raises:
            DataError: some colours are no grey.
        """
        if self.kind != "colour":
            return self.numbers
        grey = (self.numbers & np.uint32(0xFF)).astype(np.uint8)
        if not np.array_equal(self.numbers, grey.astype(np.uint32) * 0x010101):
            raise DataError("it is in colours, where a mask has one number a pixel")
        return grey


def read_mask(source: Path, name: str | None = None) -> StoredMask:
    """Read a mask as it is stored, upright.

    Raises:
        DecodeError: it cannot be read, has several pages, or no kind of pixels that a mask may have.
    """
    with explained(source, name), open_picture(checked(source)) as image:
        if (pages := getattr(image, "n_frames", 1)) > 1:
            raise DataError(f"it has {pages} pages or frames, where a mask has one")
        # Asking for the orientation of a PNG reads its pixels, after which nothing says how they were stored.
        scale = max((_SCALED.get(str(tile.args), 1) for tile in getattr(image, "tile", ())), default=1)
        compression = lossy(image, source)
        _refuse_wide_colours(image)
        orientation = orientation_of(image)
        numbers, kind, palette, see_through = _numbers(image)
        if scale > 1:
            numbers = (numbers // scale).astype(np.uint8)
        return StoredMask(turned(numbers, orientation), kind, palette, compression, see_through, orientation != 1)


def _refuse_wide_colours(image: Image.Image) -> None:
    """Refuse what Pillow would cut to 8 bits of 16; of one band it keeps all."""
    if is_wide(image) and image.mode[0] != "I":
        raise DataError("it has several bands of 16 bits, where a mask has one of 16 bits, or bands of 8")


def _numbers(image: Image.Image) -> tuple[Numbers, Kind, tuple[int, ...], bool]:
    """The first three fields of a `StoredMask`, and whether some pixels are not opaque."""
    if image.mode in ("L", "1"):
        return np.array(image, dtype=np.uint8), "grey", (), False
    if image.mode == "P":
        table = np.array(image.getpalette("RGB"), np.uint32).reshape(-1, 3)
        return np.array(image, dtype=np.uint8), "palette", tuple(_packed(table).tolist()), False
    pixels = np.array(image)
    if image.mode in ("LA", "RGBA", "RGBa"):
        see_through = bool((pixels[..., -1] < 255).any())
        if image.mode == "LA":
            return pixels[..., 0], "grey", (), see_through
        return _packed(pixels), "colour", (), see_through
    if image.mode in ("RGB", "RGBX"):
        return _packed(pixels), "colour", (), False
    if image.mode[0] == "I":  # of 16 bits, or of 32 where only 16 may be used
        return of_16_bits(pixels), "grey", (), False
    raise DataError(f"it is a picture of mode {image.mode}, where a mask has grey values, a palette or colours")


def read_indices(source: Path, name: str | None = None) -> NDArray[np.uint8]:
    """A picture of class indices, of one byte a pixel (a palette's places count, not its colours): uint8 ``[H, W]``.

    Raises:
        DecodeError: it cannot be read, has colours, or values over 255.
    """
    stored = read_mask(source, name)
    with explained(source, name):
        values = stored.values()
        if values.dtype != np.uint8 and (largest := int(values.max(initial=0))) > 255:
            raise DataError(f"it has the value {largest}, where a mask of one byte a pixel was expected")
        return values.astype(np.uint8, copy=False)


def _packed(colours: NDArray[np.uint8] | NDArray[np.uint32]) -> NDArray[np.uint32]:
    red, green, blue = (colours[..., band].astype(np.uint32) for band in range(3))
    return np.asarray(red << 16 | green << 8 | blue, dtype=np.uint32)
