"""Masks as they are stored: turned as pictures are, and never by more than their numbers."""

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError, DecodeError
from striate.pictures.decode import decode
from striate.pictures.mask_files import StoredMask, read_indices, read_mask
from tests.data.sources.masked import wide_png

NUMBERS = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_as_a_picture_of_the_same_numbers_is(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(NUMBERS).save(path, exif=exif)
    assert np.array_equal(read_indices(path), decode(path, "grey").pixels[..., 0])
    assert read_mask(path).turned == (orientation > 1)


def test_colours_and_values_of_each_kind():
    grey = StoredMask(NUMBERS, "grey")
    assert grey.colours()[1, 2] == 0x050505 and grey.values() is NUMBERS
    palette = StoredMask(NUMBERS, "palette", (7, 0xFF0000, 0x00FF00))
    assert palette.colours().tolist() == [[7, 0xFF0000, 0x00FF00], [0, 0, 0]]  # places that the palette lacks are black
    coloured = StoredMask(np.array([[0x030303, 0xFFFFFF]], np.uint32), "colour")
    assert coloured.values().tolist() == [[3, 255]]
    with pytest.raises(DataError, match="it is in colours"):
        palette_of_red = StoredMask(np.array([[0xFF0000]], np.uint32), "colour")
        palette_of_red.values()
    with pytest.raises(DataError, match="its grey has 16 bits"):
        StoredMask(NUMBERS.astype(np.uint16), "grey").colours()


def test_numbers_of_16_bits_are_indices_only_as_far_as_bytes_go(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(NUMBERS.astype(np.uint16)).save(path)
    assert np.array_equal(read_indices(path), NUMBERS)
    Image.fromarray(NUMBERS.astype(np.uint16) * 100).save(path)
    with pytest.raises(DecodeError, match=r"a\.png: it has the value 500, where a mask of one byte a pixel"):
        read_indices(path)


LOSSLESS = {
    "png": {},
    "webp": {"lossless": True, "exact": True},
    "jp2": {"irreversible": False},
    "tif": {"compression": "tiff_lzw"},
}
LOSSY = {"jpg": {}, "webp": {"quality": 90}, "jp2": {"irreversible": True}, "tif": {"compression": "jpeg"}}


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_compression_without_loss_is_told_from_that_with_loss(tmp_path, suffix):
    colours = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(colours).save(path, **LOSSLESS[suffix])
    stored = read_mask(path)
    assert not stored.lossy
    packed = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    assert np.array_equal(stored.numbers, packed)


@pytest.mark.parametrize("suffix", LOSSY)
def test_compression_with_loss_is_named(tmp_path, suffix):
    colours = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(colours).save(path, **LOSSY[suffix])
    assert read_mask(path).lossy


@pytest.mark.parametrize(("colour_type", "bands"), [(2, 3), (4, 2), (6, 4)])
def test_several_bands_of_16_bits_are_refused_since_pillow_keeps_8(tmp_path, colour_type, bands):
    path = tmp_path / "a.png"
    path.write_bytes(wide_png(colour_type, np.dstack([NUMBERS] * bands)))
    with pytest.raises(DecodeError, match="it has several bands of 16 bits"):
        read_mask(path)
