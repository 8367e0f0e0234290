import io
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.base.errors import DecodeError
from striate.pictures.decode import MAX_PIXELS, Decoded, decode, read_header

SMOOTH = np.asarray(Image.linear_gradient("L").resize((16, 16)).convert("RGB"))


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(file, kind, **options)
    return file.getvalue()


def attempted(read, picture):
    try:
        return read(bytes(picture))
    except DecodeError as error:
        return error


@settings(deadline=None)
@given(st.data())
def test_damage_is_a_decode_error_or_a_picture_never_anything_else(data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"]))
    picture = bytearray(encoded(SMOOTH[:11], kind))
    for _ in range(data.draw(st.integers(1, 5))):
        picture[data.draw(st.integers(0, len(picture) - 1))] = data.draw(st.integers(0, 255))
    sizes = set()
    for found in (attempted(lambda data: decode(data, "rgb"), picture), attempted(read_header, picture)):
        if isinstance(found, DecodeError):
            assert found.reason and str(found) == f"picture: {found.reason}" and "\n" not in found.reason
            continue
        sizes.add((found.height, found.width))
        if isinstance(found, Decoded):
            assert found.pixels.dtype == np.uint8 and found.pixels.shape == (found.height, found.width, 3)
    assert len(sizes) < 2  # of the pixels and of the header


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises that many pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.mark.parametrize("size", [(30_000, 30_000), (13_378, 13_378)])
def test_a_bomb_is_refused_before_it_goes_off(size):
    for read in (lambda data: decode(data, "rgb"), read_header):
        with pytest.raises(DecodeError, match=f"more pixels than the {MAX_PIXELS:,}|more than the {MAX_PIXELS:,}"):
            read(png_that_claims(*size))


def test_a_bomb_of_pages(monkeypatch):
    from striate.pictures import decode as module

    pages = [Image.new("L", (100, 100))] * 20
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    monkeypatch.setattr(module, "MAX_PIXELS", 100_000)
    with pytest.raises(DecodeError, match="claims"):
        decode(data, 20)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"it is empty \(0 bytes\)"),
        (b"roses are red", "not a picture: it is a text file named .jpg"),
        ("Blüten\n".encode() * 100, "it is a text file named .jpg"),
        (b"<!DOCTYPE html><html>not found", "it is a web page named .jpg, perhaps of a download that failed"),
        (b"<?xml version='1.0'?><svg/>", "it is an SVG drawing named .jpg"),
        (b"\0" * 900, "it begins with 512 zero bytes"),
        (b"%PDF-1.7 ...", "it is a PDF document"),
        *(
            (start + b"\0" * 30, r"it is a film; make pictures of its frames .*: ffmpeg -i FILM frames/%06d\.png")
            for start in (b"\0\0\0\x18ftypisom", b"RIFF\0\0\0\0AVI LIST", b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"FLV\1")
        ),
        (b"\0\0\0\x18ftypheic\0\0\0\0", r"HEIC photograph.*\(pip install 'striate\[heif\]'\); or convert it to JPEG"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "begins like a JPEG picture but is truncated or damaged|its end is missing"),
        (bytes(range(128, 256)), "not a picture in any format that striate reads"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(tmp_path, content, reason):
    path = tmp_path / "rose.jpg"
    path.write_bytes(content)
    for read in (lambda: decode(path, "rgb"), lambda: read_header(path)):
        with pytest.raises(DecodeError, match=reason) as caught:
            read()
        assert caught.value.path == path
        assert str(caught.value) == f"{path}: {caught.value.reason}"
        assert "\n" not in str(caught.value)


def test_bytes_are_called_by_their_name():
    with pytest.raises(DecodeError, match=r"^row 7\.png: not a picture: it is a text file named \.png$"):
        decode(b"roses", "rgb", name="row 7.png")


def test_places_that_hold_no_file(tmp_path):
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, reason in [
        ("none.jpg", "there is no such file"),
        ("folder.jpg", "it is a folder, not a picture"),
        ("circle.jpg", "a symbolic link that leads in a circle"),
        ("pipe.jpg", "a pipe or a device"),
    ]:
        for read in (lambda path: decode(path, "rgb"), read_header):
            with pytest.raises(DecodeError, match=reason):
                read(tmp_path / name)


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="drops root's privileges for a moment")
def test_a_file_without_read_permission():
    folder = Path(tempfile.mkdtemp())  # pytest's own tree cannot be entered by others
    path = folder / "rose.jpg"
    try:
        folder.chmod(0o755)
        path.write_bytes(encoded(SMOOTH, "JPEG"))
        path.chmod(0)
        os.seteuid(65534)
        with pytest.raises(DecodeError, match="no permission to read it"):
            decode(path, "rgb")
    finally:
        os.seteuid(0)
        path.unlink()
        folder.rmdir()


def test_pillow_is_silent_and_torch_stays_away(tmp_path):
    (tmp_path / "odd.jpg").write_bytes(encoded(SMOOTH, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\x00"))
    (tmp_path / "large.png").write_bytes(png_that_claims(13_000, 13_000))  # where Pillow warns but does not refuse
    code = (
        "import sys; from pathlib import Path; from striate.pictures.decode import decode, read_header\n"
        "decode(Path(sys.argv[1]), 'rgb')\n"
        "try: read_header(Path(sys.argv[2]))\nexcept Exception as e: assert 'truncated' in str(e), e\n"
        "import striate.pictures.preprocess, striate.pictures.geometry\n"
        "assert 'torch' not in sys.modules"
    )
    paths = [str(tmp_path / "odd.jpg"), str(tmp_path / "large.png")]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
