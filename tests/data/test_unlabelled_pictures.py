"""Pictures of which nothing need be known: how they are found, and that nobody else takes them for his."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.data import open_data, split
from striate.data.records import Classes
from striate.data.sources import SOURCES
from striate.data.targets import LARGER
from striate.pictures.geometry import Geometry
from tests.data.sources.annotated import picture
from tests.data.sources.masked import mask, pairs, rows


def photographs(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 9, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def test_a_flat_folder_and_class_folders_are_pictures_where_the_task_wants_no_more(tmp_path: Path) -> None:
    flat = photographs(tmp_path / "flat", *(f"{n}.png" for n in range(10)))
    (flat / "notes.txt").write_text("x")
    found = open_data(flat, task="upscale")
    assert (found.format, found.classes, len(found.records)) == ("pictures", Classes(()), 10)
    assert found.notices == ("passed over 1 file that is not a picture: notes.txt",)
    assert {record.target for record in found.records} == {LARGER}
    sides = [record.split for record in split(found, (0.6, 0.2, 0.2), every_class=False).records]
    assert {side: sides.count(side) for side in sides} == {"train": 6, "val": 2, "test": 2}
    classes = photographs(tmp_path / "classes", "a/1.png", "b/c/2.png", "3.png")
    assert {record.name for record in open_data(classes, task="upscale").records} == {"a/1.png", "b/c/2.png", "3.png"}
    assert open_data(classes).classes.names == ("a", "b")


def test_folders_named_as_splits_decide_where_there_is_nothing_else(tmp_path: Path) -> None:
    names = ("train_HR/1.png", "train_HR/2.png", "valid_HR/3.png")
    found = open_data(photographs(tmp_path / "a", *names), task="upscale")
    assert [record.split for record in found.records] == ["train", "train", "val"]
    found = open_data(photographs(tmp_path / "b", *names, "others/4.png"), task="upscale")
    assert {record.split for record in found.records} == {None}


def test_without_the_task_a_flat_folder_is_what_it_was(tmp_path: Path) -> None:
    flat = photographs(tmp_path, "1.png", "2.png")
    for task in (None, "classify"):
        with pytest.raises(DataError, match="holds 2 pictures but no class folders; expected a folder for each class"):
            open_data(flat, task=task)


def test_annotated_pictures_are_read_by_their_format(tmp_path: Path) -> None:
    photographs(tmp_path, "images/1.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("cat\n")
    assert open_data(tmp_path, task="upscale").format == open_data(tmp_path).format == "yolo"


def test_masks_are_no_pictures_to_learn_from(tmp_path: Path) -> None:
    pairs(tmp_path / "a", rows(0, 1), rows(1, 0))
    picture(tmp_path / "b" / "JPEGImages" / "0.png", 20, 10)
    mask(tmp_path / "b" / "SegmentationClass" / "0.png", rows(0, 1))
    for folder, kind, names in (
        ("a", "masks", ["images/0.png", "images/1.png"]),
        ("b", "voc", ["JPEGImages/0.png"]),
    ):
        found = open_data(tmp_path / folder, task="upscale")
        assert (found.format, [record.name for record in found.records]) == (kind, names)


def test_a_source_of_one_task_is_met_by_that_task_alone(tmp_path: Path) -> None:
    source = SOURCES["pictures"]
    flat = photographs(tmp_path, "1.png")
    assert [source.recognises(flat, task) for task in ("upscale", "classify", None)] == [True, False, False]
    assert {source.reader(flat, task) for task in ("upscale", "classify", None)} == {source.readers["upscale"]}


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        open_data(tmp_path / "empty", format="pictures")
    photographs(tmp_path, "1.png")
    with pytest.raises(DataError, match="is a file; expected a folder of pictures"):
        open_data(tmp_path / "1.png", format="pictures")


def test_what_is_its_own_target_has_no_class_and_no_place() -> None:
    assert LARGER.occurring() == () and LARGER.renumbered({}) is LARGER and LARGER.moved(Geometry(3, 4)) is LARGER
    assert LARGER.as_bytes([b"cat"]) == LARGER.as_bytes([]) and LARGER.place(0.5, 0.5) is None
    with pytest.raises(DataError, match="give mosaic 0"):
        LARGER.joined(LARGER)
