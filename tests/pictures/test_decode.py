import errno
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence, UnidentifiedImageError

from striate.base.errors import DecodeError
from striate.pictures import decode as decoding
from striate.pictures.decode import Header, decode, read_header, shrink_factor
from striate.pictures.geometry import Geometry


def scene(height: int = 40, width: int = 60) -> np.ndarray:
    """A smooth coloured picture without symmetry, uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    return (np.stack([x, y, (1 - x) * (1 - y)], axis=2) * 250).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def turned(image: Image.Image, orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, kind, exif=exif, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))


# How a camera that notes orientation n stored an upright picture: the inverse of EXIF's instruction.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda upright: upright.transpose(Image.Transpose.ROTATE_180),
    4: lambda upright: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda upright: upright.transpose(Image.Transpose.TRANSPOSE),
    6: lambda upright: upright.transpose(Image.Transpose.ROTATE_90),
    7: lambda upright: upright.transpose(Image.Transpose.TRANSVERSE),
    8: lambda upright: upright.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_come_out_upright(orientation, kind):
    upright = scene()
    data = turned(STORED[orientation](Image.fromarray(upright)), orientation, kind)
    decoded = decode(data, "rgb")
    assert (decoded.height, decoded.width) == (40, 60)
    tolerance = {"JPEG": 8, "WEBP": 20}.get(kind, 0)
    assert np.abs(decoded.pixels.astype(int) - upright).max() <= tolerance
    assert decoded.pixels.flags.c_contiguous
    header = read_header(data)
    assert (header.height, header.width, header.bands) == (40, 60, 3)
    assert header.orientation == (1 if kind == "TIFF" else orientation)  # Pillow turns TIFF by itself


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_target_follows_whatever_the_orientation(orientation):
    upright = np.zeros((96, 160, 3), np.uint8)
    upright[16:48, 96:144] = 255
    box = np.array([[96, 16, 144, 48]], np.float32)
    data = turned(STORED[orientation](Image.fromarray(upright)), orientation, "JPEG")
    from striate.pictures.preprocess import Preprocess

    preprocess = Preprocess(size=(32, 48), resize="letterbox")
    decoded = decode(data, "rgb", preprocess.shorter_side)
    assert decoded.pixels.shape == (48, 80, 3)  # reduced by 2
    geometry = preprocess.geometry(decoded.geometry)
    image = geometry.image(decoded.pixels)
    rows, columns = np.nonzero(image[:, :, 0] > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(geometry.boxes(box)[0] - found).max() < 1
    assert np.abs(geometry.undo_boxes(geometry.boxes(box)) - box).max() < 0.01


def test_a_damaged_or_absurd_orientation_is_no_reason_to_refuse():
    picture = encoded(scene(), "JPEG", exif=b"Exif\0\0nonsense")
    assert decode(picture, "rgb").pixels.shape == (40, 60, 3)
    assert decode(turned(Image.fromarray(scene()), 9, "JPEG"), "rgb").height == 40


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("shorter_side", "factor"), [(None, 1), (401, 1), (201, 1), (200, 2), (101, 2), (100, 4), (50, 8), (3, 8)]
)
def test_reduction_by_whole_factors(kind, shorter_side, factor):
    whole = scene(401, 523)
    decoded = decode(encoded(whole, kind), "rgb", shorter_side)
    assert decoded.pixels.shape == (-(-401 // factor), -(-523 // factor), 3)
    assert (decoded.height, decoded.width) == (401, 523)
    assert shrink_factor(401, 523, shorter_side) == factor
    expected = np.asarray(Image.fromarray(whole).reduce(factor))
    assert np.abs(decoded.pixels.astype(int) - expected).max() <= (6 if kind == "JPEG" else 0)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 1000))
def test_the_factor_is_the_largest_that_keeps_enough(height, width, shorter_side):
    factor = shrink_factor(height, width, shorter_side)
    side = min(height, width)
    assert factor == 1 or side / factor >= shorter_side
    assert factor == 8 or side / (2 * factor) < shorter_side


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2), (8, 9)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_tiny_pictures(size, kind):
    decoded = decode(encoded(scene(*size), kind), "rgb", shorter_side=1)
    factor = shrink_factor(*size, 1)
    assert decoded.pixels.shape == (-(-size[0] // factor), -(-size[1] // factor), 3)


RED = np.zeros((4, 6, 3), np.uint8) + np.array([250, 0, 0], np.uint8)
RED_IMAGE = Image.fromarray(RED)
RED_GREY = 75  # 0.299 * 250


def with_alpha(alpha: int) -> Image.Image:
    image = RED_IMAGE.copy()
    image.putalpha(alpha)
    return image


PALETTE = RED_IMAGE.convert("P", palette=Image.Palette.ADAPTIVE)


@pytest.mark.parametrize(
    ("data", "rgb", "grey"),
    [
        (encoded(RED, "PNG"), (250, 0, 0), RED_GREY),
        (encoded(RED, "BMP"), (250, 0, 0), RED_GREY),
        (encoded(RED, "JPEG", quality=95, subsampling=0), (250, 0, 0), RED_GREY),
        (encoded(RED, "JPEG", keep_rgb=True), (250, 0, 0), RED_GREY),
        (encoded(RED, "JPEG", progressive=True), (250, 0, 0), RED_GREY),
        (encoded(RED_IMAGE.convert("CMYK"), "JPEG"), (250, 0, 0), RED_GREY),
        (encoded(RED_IMAGE.convert("CMYK"), "TIFF"), (250, 0, 0), RED_GREY),
        (encoded(RED_IMAGE.convert("YCbCr"), "TIFF"), (250, 0, 0), RED_GREY),
        (encoded(RED_IMAGE.convert("L"), "JPEG"), (75, 75, 75), RED_GREY),
        (encoded(PALETTE, "PNG"), (250, 0, 0), RED_GREY),
        (encoded(PALETTE, "PNG", transparency=0), (255, 255, 255), 255),
        (encoded(PALETTE, "PNG", transparency=bytes([51] * 256)), (254, 204, 204), 219),
        (encoded(PALETTE, "GIF"), (250, 0, 0), RED_GREY),
        (encoded(RED_IMAGE, "PNG", transparency=(250, 0, 0)), (255, 255, 255), 255),
        (encoded(with_alpha(255), "PNG"), (250, 0, 0), RED_GREY),
        (encoded(with_alpha(0), "PNG"), (255, 255, 255), 255),
        (encoded(with_alpha(51), "WEBP", lossless=True), (254, 204, 204), 219),
        (encoded(with_alpha(51).convert("LA"), "PNG"), (219, 219, 219), 219),
        (encoded(Image.new("1", (6, 4), 1), "PNG"), (255, 255, 255), 255),
        (encoded(Image.new("1", (6, 4), 0), "TIFF"), (0, 0, 0), 0),
        (encoded(np.full((4, 6), 33000, np.uint16), "PNG"), (128, 128, 128), 128),
        (encoded(np.full((4, 6), 33000, ">u2"), "TIFF"), (128, 128, 128), 128),
        (encoded(np.full((4, 6), 0.5, np.float32), "TIFF"), (128, 128, 128), 128),
        (encoded(RED, "PPM"), (250, 0, 0), RED_GREY),
        (encoded(RED, "JPEG2000"), (250, 0, 0), RED_GREY),
        (encoded(RED, "AVIF", quality=100, subsampling="4:4:4"), (250, 0, 0), RED_GREY),
    ],
)
def test_every_kind_becomes_what_the_network_wants(data, rgb, grey):
    for channels, expected in [("rgb", rgb), ("bgr", rgb[::-1]), ("grey", (grey,))]:
        decoded = decode(data, channels)
        assert decoded.pixels.dtype == np.uint8
        assert decoded.pixels.shape == (4, 6, len(expected))
        assert np.abs(decoded.pixels.astype(int) - expected).max() <= 3
        assert read_header(data).height == 4


def test_luma_of_jpeg_and_png_agree():
    jpeg, png = encoded(RED, "JPEG", quality=95, subsampling=0), encoded(RED, "PNG")
    assert abs(int(decode(jpeg, "luma").pixels[0, 0, 0]) - int(decode(png, "luma").pixels[0, 0, 0])) <= 2


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert sum(1 for _ in ImageSequence.Iterator(Image.open(io.BytesIO(data)))) == 3
    assert decode(data, "rgb").pixels[0, 0].tolist() == [250, 0, 0]
    assert read_header(data).bands == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pages_of_one_band_are_the_bands_of_one_picture(dtype):
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (8, 10, 13), dtype)
    pages = [Image.fromarray(values[:, :, band]) for band in range(13)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert read_header(data).bands == 13
    expected = values if dtype == np.uint8 else np.rint(values / 257).astype(np.uint8)
    assert (decode(data, 13).pixels == expected).all()
    assert decode(data, 13, shorter_side=4).pixels.shape == (4, 5, 13)
    assert (decode(data, "grey").pixels[:, :, 0] == expected[:, :, 0]).all()  # else the first page
    with pytest.raises(DecodeError, match="13 bands where 12 bands were expected"):
        decode(data, 12)


def test_pages_of_several_sizes_are_no_bands():
    pages = [Image.new("L", (6, 4)), Image.new("L", (3, 2))]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert read_header(data).bands == 1
    assert decode(data, 1).pixels.shape == (4, 6, 1)


def test_bands_of_rgba_are_not_composited_when_bands_were_asked_for():
    data = encoded(with_alpha(51), "PNG")
    assert decode(data, 4).pixels[0, 0].tolist() == [250, 0, 0, 51]
    with pytest.raises(DecodeError, match="4 bands where 3"):
        decode(data, 3)


@pytest.mark.parametrize(
    ("image", "kind", "bands"),
    [
        (RED_IMAGE, "JPEG", 3),
        (RED_IMAGE.convert("L"), "JPEG", 1),
        (RED_IMAGE.convert("L"), "PNG", 1),
        (RED_IMAGE.convert("1"), "PNG", 1),
        (PALETTE, "PNG", 3),
        (with_alpha(9), "PNG", 4),
        (with_alpha(9).convert("LA"), "PNG", 2),
        (RED_IMAGE.convert("CMYK"), "TIFF", 4),
    ],
)
def test_the_header_promises_the_bands_that_decode_finds(image, kind, bands):
    data = encoded(image, kind)
    assert read_header(data).bands == bands
    assert decode(data, bands).pixels.shape == (4, 6, bands)
    for other in {1, 2, 3, 4} - {bands}:
        with pytest.raises(DecodeError, match=f"it has {bands} bands? where {other}"):
            decode(data, other)


def test_header_of_a_path(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(scene(), "JPEG"))
    assert read_header(tmp_path / "a.jpg") == Header(height=40, width=60, format="JPEG", bands=3, orientation=1)
    assert (decode(tmp_path / "a.jpg", "rgb").pixels == decode((tmp_path / "a.jpg").read_bytes(), "rgb").pixels).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_a_truncated_file_is_refused_wherever_it_is_cut(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(noise, kind)
    for share in (0.03, 0.1, 0.3, 0.6, 0.9, 0.97):
        with pytest.raises(DecodeError, match=r"truncated|damaged|not a picture"):
            decode(data[: int(len(data) * share)], "rgb")
    if kind == "PNG":
        with pytest.raises(DecodeError, match="its end is missing"):
            decode(data[: len(data) // 2], "rgb")
    if kind == "JPEG":
        for cut in (3, 4, 50):  # with less only the end marker is missing (test_jpeg.py)
            with pytest.raises(DecodeError, match="its end is missing"):
                decode(data[:-cut], "rgb")
        with pytest.raises(DecodeError, match="its end is missing"):
            decode(data[: len(data) // 2], "grey", shorter_side=8)


def test_a_jpeg_with_a_hole_is_refused_though_pillow_takes_it():
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "JPEG")
    middle = len(data) // 2
    refused = 0
    for hole in range(100, 1100, 100):
        with Image.open(io.BytesIO(data[:middle] + data[middle + hole :])) as image:
            image.load()
        try:
            decode(data[:middle] + data[middle + hole :], "rgb")
        except DecodeError:
            refused += 1
    assert refused >= 9  # a hole after which the codes happen to make sense again cannot be seen


def test_stray_bytes_in_a_jpeg_are_forgiven():
    data = encoded(scene(), "JPEG")
    assert (decode(data + b"\0" * 100, "rgb").pixels == decode(data, "rgb").pixels).all()
    assert decode(data[:-2] + b"\0" * 20 + data[-2:], "rgb").pixels.shape == (40, 60, 3)


def test_names_that_are_not_utf8(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    path.write_bytes(encoded(scene(), "PNG"))
    assert decode(path, "rgb").height == 40


def test_threads_get_the_same_pixels_as_one():
    files = [encoded(scene(40 + i, 60), kind) for i in range(10) for kind in ("JPEG", "PNG", "GIF")]
    alone = [decode(data, "rgb").pixels for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: decode(data, "rgb").pixels, files))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_real_photographs_are_those_of_pillow(shared_data):
    for path in sorted((shared_data / "flowers").glob("*/*.jpg"))[::50]:
        decoded = decode(path, "rgb")
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB"))
        assert np.abs(decoded.pixels.astype(int) - expected).max() <= 2
        assert Geometry(decoded.height, decoded.width).image(decoded.pixels) is decoded.pixels


def test_a_fault_of_the_system_is_said_and_no_look_of_the_file(tmp_path, monkeypatch):
    """Too many open files when it is looked at: not "it begins with 0 zero bytes"."""
    path = tmp_path / "text.jpg"
    path.write_text("name,label")
    fault = OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def unidentified(data):
        monkeypatch.setattr(Path, "open", failing)
        raise UnidentifiedImageError

    def failing(*words, **named):
        raise fault

    monkeypatch.setattr(decoding, "open_picture", unidentified)
    with pytest.raises(DecodeError, match="Too many open files") as caught:
        read_header(path)
    assert caught.value.__cause__ is fault


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_an_orientation_that_cannot_be_read_at_the_moment_is_not_upright(tmp_path, monkeypatch, fault):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 4)).save(path)

    def failing(image):
        raise fault

    monkeypatch.setattr(Image.Image, "getexif", failing)
    with pytest.raises(DecodeError, match=r"memory|Input/output error"):
        read_header(path)
