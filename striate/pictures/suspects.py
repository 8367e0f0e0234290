"""What a file that is no picture looks like, for the sentence that refuses it."""

import struct
from pathlib import Path, PurePath

from striate.pictures import heif

_START = 512  # bytes that are looked at

_FILM = "it is a film; make pictures of its frames and give their folder: ffmpeg -i FILM frames/%06d.png"

# The first bytes of files that turn up among pictures, and what to say of them.
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "it begins like a JPEG picture but is truncated or damaged"),
    (0, b"\x89PNG", "it begins like a PNG picture{size} but is truncated or damaged"),
    (0, b"GIF8", "it begins like a GIF picture but is truncated or damaged"),
    (0, b"BM", "it begins like a BMP picture but is truncated or damaged"),
    (0, b"II*\0", "it begins like a TIFF picture, but one that is damaged or of a kind that Pillow cannot read"),
    (0, b"MM\0*", "it begins like a TIFF picture, but one that is damaged or of a kind that Pillow cannot read"),
    (8, b"WEBP", "it begins like a WebP picture but is truncated or damaged"),
    (4, b"ftypavi", "it begins like an AVIF picture but is truncated or damaged"),
    *((4, mark, heif.MISSING) for mark in heif.MARKS),
    (4, b"ftyp", _FILM),  # MP4 and MOV
    (8, b"AVI ", _FILM),
    (0, b"\x1aE\xdf\xa3", _FILM),  # Matroska and WebM
    (0, b"\0\0\1\xba", _FILM),  # MPEG
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _FILM),  # WMV
    (0, b"FLV\1", _FILM),
    (0, b"%PDF", "not a picture: it is a PDF document"),
    (0, b"%!PS", "not a picture: it is a PostScript document"),
    (0, b"8BPS", "it is a Photoshop file; export it as PNG or JPEG"),
    (0, b"PK\x03\x04", "not a picture: it is a zip archive"),
    (0, b"\x1f\x8b", "not a picture: it is a gzip archive"),
    (0, b"\x93NUMPY", "not a picture: it is a NumPy array"),
)


def looks_like(source: Path | bytes, name: str) -> str:
    """Say what the file seems to be instead of a picture.

    Raises:
        OSError: it cannot be read.

    Example:
        >>> looks_like(b"name,label", "list.jpg")
        'not a picture: it is a text file named .jpg'
    """
    if isinstance(source, bytes):
        start = source[:_START]
    else:
        with source.open("rb") as file:
            start = file.read(_START)
    for offset, mark, what in _MARKS:
        if start[offset : offset + len(mark)] == mark:
            return what.format(size=_png_size(start))
    suffix = PurePath(name).suffix
    named = f" named {suffix}" if suffix else ""
    if not start.strip(b"\0"):
        return f"not a picture: it begins with {len(start)} zero bytes"
    if _is_text(start):
        lowered = start.lstrip().lower()
        if lowered.startswith((b"<!doctype html", b"<html")):
            return f"not a picture: it is a web page{named}, perhaps of a download that failed"
        if b"<svg" in lowered:
            return f"it is an SVG drawing{named}; export it as PNG"
        return f"not a picture: it is a text file{named}"
    return "not a picture in any format that striate reads (JPEG, PNG, TIFF, WebP, AVIF, GIF, BMP, JPEG 2000, PNM)"


def _png_size(start: bytes) -> str:
    """What the header of a PNG says, which tells a cut picture from one that was made to be too large."""
    if start[12:16] != b"IHDR" or len(start) < 24:
        return ""
    width, height = struct.unpack(">II", start[16:24])
    return f" of {width} x {height} pixels"


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else only the last letter is cut
            return False
        text = start[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\t\n\r\f" for letter in text.lstrip("\ufeff"))
