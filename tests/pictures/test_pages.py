"""Of pages and frames the first is decoded, and that is said."""

import io

import numpy as np
import pytest
from PIL import Image

from striate.pictures.decode import decode
from striate.pictures.remarks import Remarks

PAGES = [Image.fromarray(np.full((6, 8, 3), value, np.uint8)) for value in (40, 200)]


def encoded(format: str, pages: list[Image.Image]) -> bytes:
    file = io.BytesIO()
    pages[0].save(file, format, save_all=True, append_images=pages[1:])
    return file.getvalue()


@pytest.mark.parametrize("format", ["TIFF", "GIF", "PNG", "WEBP"])
def test_the_first_of_several_is_remarked(format: str) -> None:
    several, one = decode(encoded(format, PAGES), "rgb"), decode(encoded(format, PAGES[:1]), "rgb")
    assert (several.remark, one.remark) == ("first page", "")
    assert abs(several.pixels.astype(int) - 40).max() <= 4  # WebP's are not exact


def test_what_a_camera_puts_behind_its_picture_is_not_missed() -> None:
    assert decode(encoded("MPO", PAGES), "rgb").remark == ""


def test_pages_that_are_bands_are_all_read() -> None:
    bands = encoded("TIFF", [page.convert("L") for page in PAGES])
    assert decode(bands, 2).remark == ""
    assert decode(bands, "rgb").remark == "first page"


def test_the_first_of_them_are_named() -> None:
    remarks = Remarks()
    for number in range(7):
        remarks.add(f"{number}.tif", "first page")
    (said,) = remarks.sentences()
    assert said.endswith("the first alone is looked at (7): 0.tif, 1.tif, 2.tif, 3.tif, 4.tif, ...")
