"""``striate show``."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tasks.segment_scenes import draw_scenes


def test_it_writes_a_sheet_and_says_of_how_many(striate, tmp_path, photo_folder):
    photo_folder(tmp_path / "shapes", per_class=10)
    flags = ("shapes", "--model", "lenet5", "--count", 6)
    answer = striate("show", *flags)
    assert answer.code == 0 and not answer.err
    said = "6 of 16 training pictures as epoch 1 sees them, for lenet5 (stretch 32x32)"
    assert answer.out == f"{said}; written to shapes.png\n"
    with Image.open("shapes.png") as sheet:
        assert sheet.format == "PNG" and sheet.size[0] == 3 * 248 + 8
        first = np.asarray(sheet.convert("RGB"))
    found = striate("show", *flags, "--epoch", 2, "--columns", 2, "--out", "again.jpg", "--json").json
    assert (found["sheet"], found["part"], found["epoch"], found["images"]) == ("again.jpg", "train", 2, 16)
    assert [each["known"] for each in found["shown"]] == [each["image"].split("/")[0] for each in found["shown"]]
    with Image.open("again.jpg") as sheet:
        assert sheet.format == "JPEG" and sheet.size[0] == 2 * 248 + 8
    assert striate("show", *flags).code == 0  # the same again
    with Image.open("shapes.png") as sheet:
        assert (np.asarray(sheet.convert("RGB")) == first).all()


def test_flags_of_a_recipe_are_those_of_train(striate, tmp_path):
    draw_scenes(tmp_path / "scenes", 8)
    flags = ("--weights", "none", "--crop-size", 16, 16, "--split", 0.5, 0.25, 0.25)
    answer = striate("show", "scenes", *flags, "--part", "val")
    assert answer.code == 0 and answer.out.startswith("2 of 2 validation pictures, for unet/efficientnet_lite0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "sheet.gif"], ["sheet.gif: cannot be written", ".png, .jpg, .jpeg, .webp"]),
        (["--out", "shapes"], ["shapes: cannot be written"]),
        (["--count", "0"], ["--count"]),
        (["--optimizer", "adam"], ["adam", "adamw"]),
        (["--out", "no/such/folder/sheet.png"], ["no/such/folder"]),
    ],
)
def test_what_cannot_be_is_refused(striate, tmp_path, photo_folder, words, said):
    photo_folder(tmp_path / "shapes", per_class=4)
    striate("show", "shapes", "--model", "lenet5", *words).refuses(*said)
    assert {path.name for path in Path().iterdir()} == {"shapes"}


def test_data_that_are_a_file_are_not_written_over(striate, tmp_path):
    Image.new("RGB", (8, 8)).save("data.png")
    before = Path("data.png").read_bytes()
    assert striate("show", "data.png", "--out", "data.png").code == 2
    assert Path("data.png").read_bytes() == before
