"""How many bits the numbers of a picture have, which says how large white is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.base.errors import DataError
from striate.pictures.remarks import DIM, Remark

_TIFF_BITS = 258


def refuse_integers(image: Image.Image) -> None:
    """Refuse Pillow's mode I, unless the file says that its numbers have 16 bits: nobody knows how large white is.

    Raises:
        DataError: its numbers have more bits, or come from no file that says so.
    """
    says_16 = image.format == "PPM"  # whose numbers Pillow scales to 16 bits, whatever they were
    if image.format == "TIFF":
        says_16 = image.tag_v2.get(_TIFF_BITS) == (16,)  # type: ignore[attr-defined]
    if image.mode == "I" and not says_16:
        raise DataError(
            "its numbers are 32-bit integers (Pillow's mode I), where 8 or 16 bits were expected; make it uint8 if 255 "
            "is white, or uint16 if 65,535 is"
        )


def is_wide(image: Image.Image) -> bool:
    """Whether the file's numbers have more than 8 bits; asked before Pillow loads them, since of colours it keeps 8."""
    return image.mode[0] == "I" or ";16" in str(getattr(image, "tile", ""))


def of_16_bits(numbers: NDArray[Any]) -> NDArray[np.uint16]:
    """16 bits of what Pillow may keep in 32.

    Raises:
        DataError: some need more.
    """
    low, high = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    if low < 0 or high > 65535:
        raise DataError(f"its numbers are integers from {low} to {high}, where at most 16 bits were expected")
    return numbers.astype(np.uint16)


def remark_on(numbers: NDArray[Any], wide: bool) -> Remark:
    """What is to be said of the numbers ``[H, W]`` or ``[H, W, C]`` of a picture that is ``wide`` or not."""
    if not wide:
        return ""
    colours = numbers[:, :, :-1] if numbers.ndim == 3 and numbers.shape[2] in (2, 4) else numbers
    return "16 bits, dim" if colours.max() < (DIM if numbers.itemsize == 2 else DIM >> 8) else "16 bits"
