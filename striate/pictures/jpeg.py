"""JPEG files that lack nothing but their end marker, told from those that lack pixels."""

import re
from collections.abc import Iterator

import simplejpeg

END = b"\xff\xd9"

_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # in coded data 0xff 0x00 is a byte, 0xd0 to 0xd7 a restart
_FILLING = re.compile(rb"\0\0\Z|[\t\n\r -~]{8}\Z")  # zeros of a disk, a server's text: rare as codes
_END, _SCAN = 0xD9, 0xDA
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_HUFFMAN = (0xC0, 0xC1, 0xC2)  # sequential and progressive; a decoder does not say when other codes run out
_COLOURS = {1: "GRAY", 3: "RGB", 4: "CMYK"}


def lacks_only_its_end(data: bytes) -> bool:
    """Whether a JPEG file breaks off behind its coded pixels, so that with `END` it gives those of the whole file.

    Its scans must bring every coefficient in full, or a progressive picture that breaks off between two of them would
    pass; and libjpeg-turbo must need the file's last byte and no more, or what lies there would be other than pixels.
    """
    coded = data.rstrip(b"\xff")  # half an end marker, or what may stand before one
    if not data.startswith(b"\xff\xd8") or _FILLING.search(coded[-8:]):
        return False
    bands = _complete_bands(data)
    return bands in _COLOURS and _decodes(coded, bands) and not _decodes(coded[:-1], bands)


def _decodes(coded: bytes, bands: int) -> bool:
    try:
        simplejpeg.decode_jpeg(coded + END, _COLOURS[bands], strict=True)
    except ValueError:
        return False
    return True


def has_end(data: bytes) -> bool:
    """Whether the first picture of a JPEG file has its end marker."""
    return data.endswith(END) or any(marker == _END for marker, _ in _segments(data))


def _complete_bands(data: bytes) -> int:
    """How many bands a picture without end marker has, if its scans bring all of each, else 0."""
    missing: dict[int, list[int]] = {}  # of each band, how many bits each of its 64 coefficients lacks
    for marker, body in _segments(data):
        if marker == _END or (marker in _FRAMES and marker not in _HUFFMAN):
            return 0
        if marker in _FRAMES:
            missing = {band: [16] * 64 for band in body[6::3]}
        elif marker == _SCAN:
            bands, (first, last, precision) = body[1:-3:2], body[-3:] if len(body) > 3 else (0, 0, 0)
            for band in bands:
                missing.get(band, [])[first : last + 1] = [precision & 15] * (last + 1 - first)
    return 0 if any(map(any, missing.values())) else len(missing)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The markers of a JPEG file behind its first one, to the end marker, with what their segments hold."""
    place = 2
    while found := _MARKER.search(data, place):
        marker, place = found[1][0], found.end()
        if marker == _END:
            yield marker, b""
            return
        length = int.from_bytes(data[place : place + 2], "big")
        yield marker, data[place + 2 : place + length]
        place += max(length, 2)
