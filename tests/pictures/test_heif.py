"""Photographs of telephones, with and without pillow-heif (a stand-in for it, so that the tests need neither)."""

import io
import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageFile

from striate.base.errors import DecodeError
from striate.pictures.decode import decode, read_header

START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def photograph(pixels, brand=b"heic", **options) -> bytes:
    """What the stand-in reads: HEIC's first bytes, then a PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return START.replace(b"ftypheic", b"ftyp" + brand) + file.getvalue()


class StandIn(ImageFile.ImageFile):
    """As pillow-heif's class: made of a path or of an open file."""

    format = "HEIF"

    def _open(self):
        self.fp.seek(len(START))
        try:
            self._inner = Image.open(io.BytesIO(self.fp.read()))
        except OSError as error:
            raise SyntaxError(f"Invalid input: {error}") from None
        self._mode, self._size, self.info = self._inner.mode, self._inner.size, {**self._inner.info}
        self.info["exif"] = self._inner.getexif().tobytes()

    def load(self):
        self._inner.load()
        self.im = self._inner.im
        return super().load()


@pytest.fixture
def pillow_heif(monkeypatch):
    module = ModuleType("pillow_heif")
    module.HeifImageFile = StandIn
    monkeypatch.setitem(sys.modules, "pillow_heif", module)


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)


PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1"])
def test_with_the_package_it_is_a_picture(tmp_path, pillow_heif, brand):
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(photograph(PIXELS, brand))
    before = dict(Image.OPEN)
    for source in (path, path.read_bytes()):
        decoded = decode(source, "rgb")
        assert (decoded.pixels == PIXELS).all() and decoded.remark == ""
        header = read_header(source)
        assert (header.height, header.width, header.format, header.bands) == (20, 30, "HEIF", 3)
        assert decode(source, "grey", shorter_side=10).pixels.shape == (10, 15, 1)
    assert before == Image.OPEN  # what Pillow reads is the process's own affair


def test_it_is_turned_upright(pillow_heif):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert (decode(photograph(PIXELS, exif=exif), "rgb").pixels == np.rot90(PIXELS, -1)).all()


def test_a_damaged_one_is_not_said_to_lack_the_package(tmp_path, pillow_heif):
    path = tmp_path / "IMG_1.heic"
    path.write_bytes(START)
    for read in (lambda: decode(path, "rgb"), lambda: read_header(path)):
        with pytest.raises(DecodeError, match=r"IMG_1\.heic: it is damaged \(Invalid input"):
            read()


def test_one_that_claims_too_much_is_refused(pillow_heif, monkeypatch):
    monkeypatch.setattr("striate.pictures.decode.MAX_PIXELS", 599)
    with pytest.raises(DecodeError, match="claims 30 x 20 pixels"):
        decode(photograph(PIXELS), "rgb")


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1"])
def test_without_the_package_the_error_names_it(tmp_path, without, brand):
    path = tmp_path / "IMG_1.heic"
    path.write_bytes(photograph(PIXELS, brand))
    for read in (lambda: decode(path, "rgb"), lambda: read_header(path), lambda: decode(path.read_bytes(), "rgb")):
        with pytest.raises(DecodeError, match=r"HEIC photograph.*pip install 'striate\[heif\]'.*convert it to JPEG"):
            read()


def test_other_files_are_called_what_they_are(tmp_path, pillow_heif):
    for start, what in ((b"\0\0\0\x18ftypmp42", "a film"), (b"roses are red", "a text file")):
        with pytest.raises(DecodeError, match=what):
            decode(start, "rgb")
