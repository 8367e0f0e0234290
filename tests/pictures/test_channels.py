import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from striate.base.errors import DataError
from striate.pictures.channels import channel_count, to_channels, with_pillow

RGB = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)


def one(*values, dtype=np.uint8):
    """A picture of one pixel."""
    return np.array(values, dtype)[None, None]


def test_counts():
    assert [channel_count(c) for c in ("grey", "luma", "rgb", "bgr", 1, 13)] == [1, 1, 3, 3, 1, 13]


def test_grey_is_pillows():
    expected = np.asarray(Image.fromarray(RGB).convert("L"))
    assert (to_channels(RGB, "grey")[:, :, 0] == expected).all()


def test_luma_is_the_studio_range_of_bt601():
    expected = 16 + (RGB / 255) @ [65.481, 128.553, 24.966]  # MATLAB, documentation of rgb2ycbcr
    assert np.abs(to_channels(RGB, "luma")[:, :, 0] - expected).max() <= 0.51
    assert to_channels(one(255), "luma").item() == 235
    assert to_channels(one(0), "luma").item() == 16
    assert to_channels(one(0, 0, 0), "luma").item() == 16


def test_colours_and_their_order():
    assert to_channels(one(1, 2, 3), "rgb").tolist() == [[[1, 2, 3]]]
    assert to_channels(one(1, 2, 3), "bgr").tolist() == [[[3, 2, 1]]]
    assert to_channels(np.array([[7]], np.uint8), "rgb").tolist() == [[[7, 7, 7]]]
    assert to_channels(RGB, "bgr").flags.c_contiguous


def test_alpha_is_laid_over_white():
    assert to_channels(one(10, 20, 30, 255), "rgb").tolist() == [[[10, 20, 30]]]
    assert to_channels(one(10, 20, 30, 0), "rgb").tolist() == [[[255, 255, 255]]]
    assert to_channels(one(100, 0, 255, 51), "rgb").tolist() == [[[224, 204, 255]]]  # a fifth of the colour
    assert to_channels(one(0, 128), "grey").tolist() == [[[127]]]
    assert to_channels(one(0, 0), "rgb").tolist() == [[[255, 255, 255]]]


@given(st.integers(0, 65535))
def test_16_bits_are_scaled_not_clipped(value):
    for dtype in ("<u2", ">u2"):
        assert to_channels(np.array([[value]], dtype), "grey").item() == round(value / 257)


def test_bool_and_floats_use_the_whole_range():
    assert to_channels(np.array([[True, False]]), "grey")[..., 0].tolist() == [[255, 0]]
    assert to_channels(np.array([[0.0, 0.5, 1.0]], np.float32), "grey")[..., 0].tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    ("pixels", "channels", "message"),
    [
        (np.zeros((2, 2, 5), np.uint8), "rgb", "it has 5 bands, which cannot become rgb; .* 3 \\(RGB\\)"),
        (np.zeros((2, 2, 3), np.uint8), 4, "it has 3 bands where 4 bands were expected"),
        (np.zeros((2, 2, 3), np.uint8), 1, "it has 3 bands where 1 band were expected"),
        (np.zeros((2,), np.uint8), "rgb", "shape"),
        (np.zeros((2, 2), np.int32), "grey", "int32"),
        (np.array([[0.0, 255.0]]), "grey", "floats from 0 to 255"),
        (np.array([[-0.5, 1.0]]), "grey", "floats from -0.5 to 1"),
        (np.array([[np.nan, 1.0]]), "grey", "^1 of its 2 numbers are NaN or infinite, where 0 to 1 was expected$"),
        (np.array([[0.5, np.inf, -np.inf]]), "grey", "^2 of its 3 numbers are NaN or infinite"),
        (np.array([[0.5, np.nan, 300]]), "grey", "^1 of its 3 numbers"),
        (np.ma.masked_less(np.eye(2, dtype=np.uint8), 1), "grey", r"mask is not used.*picture\.filled"),
        (np.ma.masked_invalid(np.array([[np.nan, 1.0]])), "rgb", "mask is not used"),
    ],
)
def test_what_does_not_fit_is_refused(pixels, channels, message):
    with pytest.raises(DataError, match=message):
        to_channels(pixels, channels)


def test_bands_are_taken_as_they_are():
    bands = np.random.default_rng(1).integers(0, 256, (3, 4, 4), np.uint8)
    assert (to_channels(bands, 4) == bands).all()  # no alpha is suspected
    assert to_channels(np.zeros((3, 4), np.uint8), 1).shape == (3, 4, 1)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 13])
def test_pillow_sees_every_band_alike(count):
    bands = np.random.default_rng(2).integers(0, 256, (12, 10, count), np.uint8)
    together = with_pillow(bands, lambda image: image.resize((5, 6), Image.Resampling.BICUBIC))
    for band in range(count):
        alone = Image.fromarray(bands[:, :, band]).resize((5, 6), Image.Resampling.BICUBIC)
        assert (together[:, :, band] == np.asarray(alone)).all()


def test_pillow_gets_views_right():
    view = RGB[1:6, ::-1]
    blurred = with_pillow(view, lambda image: image.filter(ImageFilter.BoxBlur(0)))
    assert (blurred == view).all()


@pytest.mark.parametrize("channels", ["grey", "luma", "rgb", "bgr", 1])
def test_kinds_of_arrays_that_numpy_has_besides_are_arrays(channels, tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    expected = to_channels(grey, channels)
    kept = np.memmap(tmp_path / "grey", np.uint8, "w+", shape=(3, 4))
    kept[:] = grey
    for each in (np.ma.masked_array(grey), grey.view(np.recarray), kept):
        found = to_channels(each, channels)
        assert type(found) is np.ndarray and (found == expected).all()


def test_a_matrix_is_a_picture():
    """In a process of its own: numpy.repeat frees a matrix twice, which ends it."""
    code = (
        "import numpy as np; from striate.pictures.channels import to_channels\n"
        "grey = np.arange(12, dtype=np.uint8).reshape(3, 4)\n"
        "for kind in ('grey', 'luma', 'rgb', 'bgr', 1):\n"
        "    assert (to_channels(np.asmatrix(grey), kind) == to_channels(grey, kind)).all()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
