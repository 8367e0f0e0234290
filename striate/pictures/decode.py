"""Any picture file to upright uint8 pixels, or one honest sentence why not.

JPEG goes through libjpeg-turbo (simplejpeg), which can reduce by 2, 4 or 8 while it decodes; everything else, and JPEG
of odd kinds, through Pillow. Both release the interpreter's lock, so threads decode side by side.
"""

import errno
import io
import math
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from striate.base.errors import DataError, DecodeError
from striate.pictures.channels import Channels, Pixels, to_channels, with_pillow
from striate.pictures.depth import is_wide, of_16_bits, refuse_integers, remark_on
from striate.pictures.geometry import Geometry, Shrunk
from striate.pictures.heif import open_heif
from striate.pictures.jpeg import END, has_end, lacks_only_its_end
from striate.pictures.remarks import Remark
from striate.pictures.suspects import looks_like

# Pillow's own bound, so that both decoders refuse alike; 13,377 squared. A small file can claim to be far larger.
MAX_PIXELS = 178_956_970
_MOST = f"{MAX_PIXELS:,} that striate decodes; cut it into parts, or give its pixels to Python as an array"

PICTURE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".webp", ".avif", ".jp2", ".j2k", ".pbm", ".pgm", ".ppm", ".pnm"),
        # Read with pillow-heif; without it the owner of a telephone must hear so rather than see them passed over.
        *(".heic", ".heif"),
    }
)

# Only formats of pixels that are recognised by their first bytes: EPS would start another program, TGA has no mark.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
_PAGED = ("PNG", "GIF", "TIFF", "WEBP", "AVIF")

# Pillow warns of every odd tag and of every large picture; what matters becomes a DecodeError here. The filter is set
# once because `warnings.catch_warnings` is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says of itself; height and width are upright, orientation is EXIF's 1 to 8.

    ``bands`` counts what `decode` finds with an integer for channels: colours and alpha, or the pages of a TIFF.
    """

    height: int
    width: int
    format: str
    bands: int
    orientation: int


_WHOLE = Shrunk(1)
_TRANSPOSED, _FROM_BELOW, _FROM_RIGHT = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)  # of EXIF's orientations


@dataclass(frozen=True, slots=True)
class Decoded:
    """Upright pixels, uint8 ``[h, w, C]``, the photograph's own upright size, and how it was reduced to them.

    ``remark`` is for `Remarks`, which tell the user.
    """

    pixels: Pixels
    height: int
    width: int
    shrunk: Shrunk = _WHOLE
    remark: Remark = ""

    @property
    def geometry(self) -> Geometry:
        """Where every road to a network begins: the photograph, and what the decoder did with it as the first step."""
        return Geometry(self.height, self.width, (self.shrunk,) if self.shrunk.factor > 1 else ())


def read_header(source: Path | bytes, name: str | None = None) -> Header:
    """Read size and kind of a picture without decoding it (PNG excepted, whose orientation may stand at the end).

    ``name`` is what errors call a source of bytes.

    Raises:
        DecodeError: it cannot be read or is no picture.
    """
    with explained(source, name), open_picture(checked(source)) as image:
        refuse_integers(image)
        orientation = orientation_of(image)
        width, height = image.size
        pages = _pages(image)
        bands = pages if pages > 1 else len(Image.new(_plain_mode(image, alpha=False), (1, 1)).getbands())
        if orientation >= 5:
            height, width = width, height
        return Header(height, width, image.format or "", bands, orientation)


def decode(
    source: Path | bytes, channels: Channels, shorter_side: int | None = None, name: str | None = None
) -> Decoded:
    """Decode a picture to upright uint8 pixels in ``channels``.

    With ``shorter_side`` a picture of at least twice that comes back reduced by the largest of 2, 4 and 8 that leaves
    its shorter side that long, so the size depends on the file and on ``shorter_side`` alone.

    Of animations the first frame counts. Pages of one band and one size in a TIFF are the bands of one picture if
    ``channels`` is an integer, else the first page counts. Everything else as in `to_channels`. The pixels may be
    read-only.

    Raises:
        DecodeError: it cannot be read, is no picture, is damaged or too large, or its bands are not ``channels``.
    """
    with explained(source, name):
        data = checked(source)
        if isinstance(data, Path):
            data = data.read_bytes()
        try:
            return _decode(data, channels, shorter_side)
        except UnidentifiedImageError:
            raise
        except (ValueError, OSError):
            if not lacks_only_its_end(data):
                raise
            return replace(_decode(data + END, channels, shorter_side), remark="no end marker")


def from_memory(picture: Image.Image | NDArray[Any], channels: Channels, shorter_side: int | None = None) -> Decoded:
    """A PIL image or an array (as `to_channels` takes it), as `decode` would give the same picture from a file.

    Equal pixels come out for every file that Pillow reads; libjpeg-turbo reduces large JPEG files in a way of its own.

    Raises:
        DecodeError: the PIL image is damaged or has other bands than ``channels``.
        DataError: the array is no picture, or has other bands than ``channels``.
    """
    if isinstance(picture, np.ndarray):
        pixels = to_channels(picture, channels)
        height, width = pixels.shape[:2]
        factor = shrink_factor(height, width, shorter_side)
        remark = remark_on(np.asarray(picture), picture.dtype.kind == "u" and picture.dtype.itemsize == 2)
        return Decoded(_reduced(pixels, factor), height, width, Shrunk(factor), remark)
    with explained(b"", str(getattr(picture, "filename", "") or "the PIL image")):
        factor = shrink_factor(*picture.size, shorter_side)
        pixels, remark = _decode_by_pillow(picture, channels, factor)
        return _upright(pixels, picture.size, factor, orientation_of(picture), remark)


def path_of(name: str | os.PathLike[str]) -> Path:
    """The path that is meant; pathlib takes "" for the current folder, but who gives it has forgotten a name.

    Raises:
        DataError: it is empty.
    """
    text = os.fsdecode(name)
    if not text:
        raise DataError("a picture's path is empty; name a file, or a folder (the current one is '.')")
    return Path(text)


def shrink_factor(height: int, width: int, shorter_side: int | None) -> int:
    """Return by how much `decode` reduces a picture of that size, in each direction: 1, 2, 4 or 8."""
    if shorter_side is None:
        return 1
    side = min(height, width)
    for factor in (8, 4, 2):
        if side >= factor * shorter_side:
            return factor
    return 1


def _decode(data: bytes, channels: Channels, shorter_side: int | None) -> Decoded:
    with open_picture(data) as image:
        factor = shrink_factor(image.height, image.width, shorter_side)
        pixels: Pixels | None = None
        remark: Remark = ""
        if image.format in ("JPEG", "MPO"):
            if image.mode in ("L", "RGB"):
                pixels = _decode_jpeg(data, image, channels, factor)
            if pixels is None and not has_end(data):
                raise ValueError("premature end of JPEG file")  # Pillow takes what comes instead of it for pixels
        if pixels is None:
            pixels, remark = _decode_by_pillow(image, channels, factor)
            if _of_pages(image) and not (isinstance(channels, int) and _pages(image) > 1):
                remark = "first page"
        return _upright(pixels, image.size, factor, orientation_of(image), remark)


def _decode_jpeg(data: bytes, image: Image.Image, channels: Channels, factor: int) -> Pixels | None:
    """Decode by libjpeg-turbo, or None where Pillow should try (odd subsampling, stray bytes and the like)."""
    if channels in ("grey", "rgb", "bgr"):
        colour = {"grey": "GRAY", "rgb": "RGB", "bgr": "BGR"}[channels]
    else:
        colour = "GRAY" if image.mode == "L" else "RGB"
    # It takes the strongest reduction that keeps these, which is the factor's own.
    height, width = (math.ceil(side / factor) for side in (image.height, image.width)) if factor > 1 else (0, 0)
    try:
        pixels = simplejpeg.decode_jpeg(data, colour, min_height=height, min_width=width, strict=True)
    except ValueError as error:
        text = str(error).lower()
        if "premature end" in text or "bad huffman" in text or "instead of rst" in text:
            raise  # Pillow would fill the rest with grey and say nothing
        return None
    return pixels if colour == "BGR" else to_channels(pixels, channels)


def _decode_by_pillow(image: Image.Image, channels: Channels, factor: int) -> tuple[Pixels, Remark]:
    pages = _pages(image) if isinstance(channels, int) else 1
    wide = is_wide(image)
    if pages > 1:
        bands = []
        for page in range(pages):
            image.seek(page)
            bands.append(_array(image, alpha=False))
        image.seek(0)
        numbers = np.stack(bands, axis=2)
    else:
        numbers = _array(image, alpha=not isinstance(channels, int))
    pixels = to_channels(numbers, channels)
    return _reduced(pixels, factor), remark_on(numbers, wide)


def _reduced(pixels: Pixels, factor: int) -> Pixels:
    return with_pillow(pixels, lambda whole: whole.reduce(factor)) if factor > 1 else pixels


def _array(image: Image.Image, alpha: bool) -> NDArray[Any]:
    """One frame as `to_channels` takes it; ``alpha`` is False where bands are wanted as they are."""
    refuse_integers(image)
    image.load()
    mode = _plain_mode(image, alpha)
    array = np.asarray(image if image.mode == mode else image.convert(mode))
    return of_16_bits(array) if mode == "I" else array  # Pillow's home for 16-bit pictures of older formats


def _plain_mode(image: Image.Image, alpha: bool) -> str:
    """The mode of ours that stands for the image's mode: grey, RGB, alpha beside them, 16-bit, integers, floats."""
    if image.mode == "P":
        return "RGBA" if alpha and "transparency" in image.info else "RGB"
    if alpha and image.mode in ("1", "L", "RGB") and "transparency" in image.info:  # one colour that stands for none
        return "RGBA"
    if image.mode.startswith("I;16") or image.mode in ("L", "LA", "RGB", "RGBA", "I", "F"):
        return image.mode
    if not alpha and image.mode in ("CMYK", "RGBX"):  # four bands of anything, as TIFF stores them
        return image.mode
    return {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}.get(image.mode, "RGB")  # CMYK, YCbCr, LAB, HSV, RGBX


def _of_pages(image: Image.Image) -> bool:
    """Whether there are pages or frames that somebody may miss; cameras' MPO has more of the same picture."""
    return image.format in _PAGED and bool(getattr(image, "is_animated", False))


def _pages(image: Image.Image) -> int:
    """How many pages of a TIFF are bands of one picture: all of them if each has one band and one size, else 1."""
    count: int = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if count == 1:
        return 1
    kinds = set()
    for page in range(count):
        image.seek(page)
        kinds.add((image.size, len(image.getbands()), image.mode == "P"))
    image.seek(0)
    (size, bands, palette), *others = kinds
    if others or bands > 1 or palette:
        return 1
    _refuse_bomb(size[0], size[1] * count)
    return count


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none, or where Pillow has seen to it already (TIFF)."""
    if image.format == "TIFF":
        return 1
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged EXIF block brings up, the pixels may be sound
        if isinstance(error, OSError) and error.errno:  # the system's fault, which may pass: not upright for good
            raise
        return 1
    return orientation if orientation in range(1, 9) else 1


def _upright(pixels: Pixels, stored: tuple[int, int], factor: int, orientation: int, remark: Remark = "") -> Decoded:
    """Undo the turn that the camera noted.

    ``pixels`` are as the file stores them, ``stored`` is their width and height before they were reduced by ``factor``.
    """
    width, height = stored
    if orientation == 1:
        return Decoded(pixels, height, width, Shrunk(factor), remark)
    if orientation in _TRANSPOSED:
        height, width = width, height
    shrunk = Shrunk(factor, top=orientation in _FROM_BELOW, left=orientation in _FROM_RIGHT)
    return Decoded(turned(pixels, orientation), height, width, shrunk, remark)


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored pixels ``[H, W, ...]`` upright: EXIF 2.32, tag 274, says where the first row and column belong."""
    if orientation in _TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in _FROM_BELOW:
        pixels = pixels[::-1]
    if orientation in _FROM_RIGHT:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def checked(source: Path | bytes) -> Path | bytes:
    """Refuse what would block or deceive before it is opened: folders, pipes, empty files."""
    if isinstance(source, Path):
        found = source.stat()
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found.st_mode):
            raise DataError("it is a pipe or a device, not a file")
        size = found.st_size
    else:
        size = len(source)
    if size == 0:
        raise DataError("it is empty (0 bytes)")
    return source


def open_picture(data: Path | bytes) -> Image.Image:
    """Read the header; the pixels come later."""
    try:
        image: Image.Image = Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=_FORMATS)
    except UnidentifiedImageError:
        image = open_heif(data)
    _refuse_bomb(*image.size)
    return image


def _refuse_bomb(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(f"it claims {width} x {height} pixels, more than the {_MOST}")


_OS_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EISDIR: "it is a folder, not a picture",
    errno.EACCES: "no permission to read it",
    errno.EPERM: "no permission to read it",
    errno.ELOOP: "it is a symbolic link that leads in a circle",
}


@contextmanager
def explained(source: Path | bytes, name: str | None) -> Iterator[None]:
    """Turn whatever goes wrong inside into a DecodeError with a reason."""
    label = name if name is not None else source if isinstance(source, Path) else "picture"
    try:
        yield
    except Exception as error:  # noqa: BLE001 - becomes a DecodeError, always
        # Decoders meet damaged files with every exception there is (struct, zlib, IndexError, ...), so none is listed.
        cause, reason = _explanation(error, source, str(label))
        raise DecodeError(label, reason) from cause


def _explanation(error: Exception, source: Path | bytes, label: str) -> tuple[Exception, str]:
    try:
        return error, _reason(error, source, label)
    except OSError as fault:  # what it looks like cannot be read any more
        return fault, _reason(fault, source, label)


def _reason(error: Exception, source: Path | bytes, label: str) -> str:
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return looks_like(source, label)
    if isinstance(error, Image.DecompressionBombError):
        return f"it claims more pixels than the {_MOST}"
    if isinstance(error, MemoryError):
        return "its pixels do not fit into memory"
    if isinstance(error, OSError) and error.errno:
        return _OS_REASONS.get(error.errno) or f"it cannot be read ({error.strerror})"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, EOFError) or any(word in text.lower() for word in ("truncated", "premature end", "eof")):
        return f"it is truncated, its end is missing ({text})"
    return f"it is damaged ({text})"
