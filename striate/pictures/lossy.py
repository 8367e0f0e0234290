"""Which files have pixels that compression may have changed: of no matter for photographs, and the end of masks."""

from pathlib import Path

from PIL import Image

_ALWAYS = {"JPEG": "JPEG", "MPO": "JPEG", "AVIF": "AVIF", "HEIF": "HEIC"}  # as good as always
_IN_TIFF = {"jpeg": "JPEG in TIFF", "tiff_jpeg": "JPEG in TIFF", "webp": "WebP in TIFF"}
_WAVELET = 13  # behind the mark of JPEG 2000's COD, which wavelet it is (ISO 15444-1, A.6.1): 0 cannot be undone
_HEAD = 1 << 16


def lossy(image: Image.Image, source: Path | bytes) -> str:
    """The compression that may have changed the pixels of a picture that was opened from ``source``, or ""."""
    if image.format == "WEBP":
        return "lossy WebP" if _has_vp8(source if isinstance(source, bytes) else source.read_bytes()) else ""
    if image.format == "JPEG2000":
        return "lossy JPEG 2000" if _is_irreversible(source) else ""
    if image.format == "TIFF":
        return _IN_TIFF.get(str(image.info.get("compression")), "")
    return _ALWAYS.get(image.format or "", "")


def _has_vp8(data: bytes) -> bool:
    """Whether a WebP has a chunk of VP8, and not of VP8L, which is without loss."""
    place = 12  # behind RIFF, its length and WEBP
    while place + 8 <= len(data):
        if data[place : place + 4] in (b"VP8 ", b"ANMF"):
            return True
        place += 8 + (int.from_bytes(data[place + 4 : place + 8], "little") + 1) // 2 * 2
    return False


def _is_irreversible(source: Path | bytes) -> bool:
    if isinstance(source, Path):
        with source.open("rb") as file:
            source = file.read(_HEAD)
    start = source.find(b"\xff\x4f\xff\x51")  # where the code begins
    found = source.find(b"\xff\x52", start)
    return 0 <= start < found and source[found + _WAVELET : found + _WAVELET + 1] == b"\0"
