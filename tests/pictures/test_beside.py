"""What a file holds beside its colours, kept for a picture that is made of it."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from striate.pictures.beside import beside

ORIENTATION = ExifTags.Base.Orientation


def saved(path: Path, image: Image.Image, exif: Image.Exif | None = None, profile: bytes | None = None) -> Path:
    image.save(path, **({"exif": exif} if exif else {}), **({"icc_profile": profile} if profile else {}))
    return path


def taken(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[ExifTags.Base.Make] = "Somebody"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = 4
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
def test_alpha_is_turned_as_the_colours_are(orientation: int, tmp_path: Path) -> None:
    from striate.pictures.decode import decode

    alpha = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    pixels = np.dstack([alpha, alpha, alpha, alpha])
    path = saved(tmp_path / "a.png", Image.fromarray(pixels), taken(orientation))
    found = beside(path, size=(8, 6)).alpha
    assert found is not None
    np.testing.assert_array_equal(found, decode(path, 4).pixels[:, :, 3])


def test_exif_stays_without_orientation_thumbnail_and_the_old_size(tmp_path: Path) -> None:
    # An IFD behind the first: ours ends in the four bytes that say where the next is.
    block = bytearray(taken(6).tobytes())
    order = {b"II": "<", b"MM": ">"}[bytes(block[6:8])]
    count = struct.unpack_from(f"{order}H", block, 14)[0]
    struct.pack_into(f"{order}I", block, 16 + 12 * count, len(block) - 6)
    block += struct.pack(f"{order}HHHIHHI", 1, 0x0103, 3, 1, 6, 0, 0)
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4, 3)).save(path, exif=bytes(block))
    with Image.open(path) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1) == {0x0103: 6}
    exif = Image.Exif()
    exif.load(beside(path, size=(60, 80)).exif)
    assert ORIENTATION not in exif and exif[ExifTags.Base.Make] == "Somebody"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] == 80
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
    assert not exif.get_ifd(ExifTags.IFD.IFD1)


def test_a_tiffs_own_layout_is_no_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.load(beside(saved(tmp_path / "a.tif", Image.new("RGB", (4, 3)), taken()), size=(6, 8)).exif)
    assert exif[ExifTags.Base.Make] == "Somebody"
    assert not {ExifTags.Base.StripOffsets, ExifTags.Base.BitsPerSample, ExifTags.Base.Compression} & {*exif}


def test_a_profile_stays_where_it_is_one_of_the_colours(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert beside(saved(tmp_path / "a.png", Image.new("RGB", (4, 3)), profile=profile), size=(6, 8)).profile == profile
    assert beside(saved(tmp_path / "b.png", Image.new("L", (4, 3)), profile=profile), size=(6, 8)).profile is None


@pytest.mark.parametrize(("mode", "grey"), [("L", True), ("1", True), ("LA", True), ("I;16", True), ("RGB", False)])
def test_grey_is_what_has_no_colours(mode: str, grey: bool, tmp_path: Path) -> None:
    found = beside(saved(tmp_path / "a.png", Image.new(mode, (4, 3))), size=(6, 8))
    assert found.grey is grey and found.exif == b""
    assert (found.alpha is not None) == (mode == "LA")
    assert beside(saved(tmp_path / "b.png", Image.new("RGBA", (4, 3), (1, 2, 3, 255))), size=(6, 8)).alpha is None
