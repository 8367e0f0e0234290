"""Enlarged pictures as files: what they keep of the photograph, and in which format."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from striate.base.errors import OutputError
from striate.cli.app import main
from striate.pictures.decode import decode
from striate.predictor import Predictor, load
from striate.tasks.upscale import Upscale
from striate.tasks.upscale_writing import FORMATS, write_as
from striate.tasks.written import written
from tests.tasks.upscale_scenes import waves


def test_a_file_keeps_alpha_exif_grey_and_the_way_up(vdsr: Predictor, tmp_path: Path) -> None:
    def enlarged(name: str) -> Image.Image:
        files = written(vdsr.task, tmp_path / name, vdsr(tmp_path / name), tmp_path / "out", name)
        with Image.open(tmp_path / "out" / files["enlarged"]) as image:
            image.load()
            return image

    colours = waves(20, 30, 6)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = 6, "Somebody"
    Image.fromarray(colours).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = enlarged("a.jpg")
    assert (found.mode, found.size) == ("RGB", (40, 60)) and found.getexif()[ExifTags.Base.Make] == "Somebody"
    assert found.getexif().get(ExifTags.Base.Orientation) is None
    grey = Image.fromarray(colours[:, :, 0])
    grey.save(tmp_path / "g.png")
    assert (enlarged("g.png").mode, enlarged("g.png").size) == ("L", (60, 40))
    wide = colours[:, :, 0].astype(np.uint16) * 257
    Image.fromarray(wide).save(tmp_path / "w.png")
    np.testing.assert_array_equal(np.asarray(enlarged("w.png")), np.asarray(enlarged("g.png")))
    alpha = np.repeat(np.linspace(0, 255, 30).astype(np.uint8)[None], 20, 0)
    Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / "t.png")
    clear = enlarged("t.png")
    assert clear.mode == "RGBA"
    wanted = np.asarray(Image.fromarray(alpha).resize((60, 40), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(np.asarray(clear)[:, :, 3], wanted)
    white = Image.new("RGBA", clear.size, "white")
    laid = np.asarray(Image.alpha_composite(white, clear).convert("RGB")).astype(int)
    assert np.abs(laid - vdsr(tmp_path / "t.png")).max() <= 2


@pytest.mark.parametrize("ending", FORMATS)
def test_one_picture_is_written_in_the_format_of_the_files_ending(
    vdsr_file: Path, tmp_path: Path, capsys, ending: str
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Somebody"
    Image.fromarray(waves(20, 30, 6)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    wanted = load(vdsr_file)(tmp_path / "a.jpg")
    words = ["predict", vdsr_file, tmp_path / "a.jpg", "--out", tmp_path / "new" / f"b{ending}", "--json", "--quiet"]
    assert main([*map(str, words)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "predictions": [{"image": str(tmp_path / "a.jpg"), "width": 60, "height": 40, "enlarged": f"b{ending}"}],
        "unreadable": [],
    }
    with Image.open(tmp_path / "new" / f"b{ending}") as image:
        assert image.format.lower() == FORMATS[ending].name and image.getexif()[ExifTags.Base.Make] == "Somebody"
        found = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(found - wanted).mean() < (3 if FORMATS[ending].name in ("jpeg", "webp") else 1e-9)


def test_a_folder_gets_what_loses_nothing_and_that_is_said(vdsr_file: Path, tmp_path: Path, capsys) -> None:
    for name, said in (("a.jpg", True), ("b.png", False)):
        Image.fromarray(waves(20, 30, 6)).save(tmp_path / name)
        assert main(["predict", str(vdsr_file), str(tmp_path / name), "--out", str(tmp_path / "out")]) == 0
        assert ("written without loss; of one picture --out FILE has the format" in capsys.readouterr().err) == said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.enlarged.png", "b.enlarged.png"]


def test_a_file_that_cannot_be_the_one_is_refused(vdsr_file: Path, tmp_path: Path, capsys) -> None:
    folder, picture = tmp_path / "photos", tmp_path / "photos" / "a.png"
    folder.mkdir()
    Image.fromarray(waves(20, 30, 6)).save(picture)
    before = picture.read_bytes()
    for pictures, out, said in (
        ([folder], "b.jpg", "one file for answers to several pictures"),
        ([picture, picture], "b.jpg", "one file for answers to several pictures"),
        ([picture], "b.bmp", "expected an ending of .png, .jpg"),
        ([picture], picture, "is the photograph itself"),
    ):
        assert main(["predict", str(vdsr_file), *map(str, pictures), "--out", str(tmp_path / out)]) == 2
        assert said in capsys.readouterr().err and not (tmp_path / "b.jpg").exists()
    assert picture.read_bytes() == before


def test_what_a_format_cannot_hold_is_refused_and_alpha_stays_on_white(vdsr: Predictor, tmp_path: Path) -> None:
    colours = np.dstack([waves(20, 30, 6), np.repeat(np.linspace(0, 255, 30).astype(np.uint8)[None], 20, 0)])
    Image.fromarray(colours).save(tmp_path / "t.png")
    write_as(wanted := vdsr(tmp_path / "t.png"), tmp_path / "t.jpg", tmp_path / "t.png")
    assert np.abs(decode(tmp_path / "t.jpg", "rgb").pixels.astype(int) - wanted).mean() < 3
    with pytest.raises(OutputError, match=r"20000 x 1 pixels are more than webp holds, 16,383 a side; give a \.png"):
        write_as(np.zeros((1, 20_000, 3), np.uint8), tmp_path / "w.webp", tmp_path / "t.png")
    with pytest.raises(OutputError, match=r"there are 5 bands, which are no colours; give a \.tif"):
        write_as(np.zeros((4, 4, 5), np.uint8), tmp_path / "w.png", tmp_path / "t.png")


def test_bands_that_are_no_colours_are_written_as_pages(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 5)).astype(np.uint8)
    file = Upscale().write(pixels, tmp_path, "bands", tmp_path / "none.tif")["enlarged"]
    np.testing.assert_array_equal(decode(tmp_path / file, 5).pixels, pixels)
