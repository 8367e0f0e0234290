"""Photographs of telephones (HEIC), where the optional pillow-heif is installed."""

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

MARKS = tuple(b"ftyp" + brand for brand in (b"hei", b"hev", b"mif1", b"msf1"))
"""What stands at the fifth byte of such a file."""

MISSING = "it is a HEIC photograph, which takes one more package (pip install 'striate[heif]'); or convert it to JPEG"


def open_heif(source: Path | bytes) -> Image.Image:
    """Read the header of such a photograph; Pillow's own list of formats stays as it is for the rest of the process.

    Raises:
        UnidentifiedImageError: it is none, or pillow-heif is not installed.
        OSError, SyntaxError: it cannot be read, or is damaged.
    """
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
        if not file.read(12)[4:].startswith(MARKS):
            raise UnidentifiedImageError
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise UnidentifiedImageError from None
    image: Image.Image = HeifImageFile(source if isinstance(source, Path) else io.BytesIO(source))
    return image
