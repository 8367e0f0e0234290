"""Masks as others publish them: Roboflow's exports, CamVid's names, Cityscapes' folders."""

import re

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.settings import DataSettings
from tests.data.sources.annotated import picture
from tests.data.sources.masked import mask, rows

TABLE = "Pixel Value, Class\n0, background\n1, left lung\n2, void\n3, right lung\n"


def roboflow(folder, table=TABLE):
    for seed, part in enumerate(("train", "valid", "test")):
        picture(folder / part / "a_jpg.rf.0a1b.jpg", seed=seed)
        mask(folder / part / "a_jpg.rf.0a1b_mask.png", rows(0, 1, 3, 2 + seed // 2))
        (folder / part / "_classes.csv").write_text(table)
    return folder


@pytest.mark.parametrize("table", [TABLE, TABLE.replace(", ", ",").replace("\n", "\r\n")])
@pytest.mark.parametrize("task", [None, "segment"])
def test_roboflows_masks_are_read_as_they_are_exported(tmp_path, table, task):
    data = open_data(roboflow(tmp_path, table), task=task)
    assert (data.format, data.task) == ("masks", "segment")
    assert data.classes.names == ("background", "left lung", "right lung")
    assert {record.name: record.split for record in data.records} == {
        "test/a_jpg.rf.0a1b.jpg": "test",
        "train/a_jpg.rf.0a1b.jpg": "train",
        "valid/a_jpg.rf.0a1b.jpg": "val",
    }
    found = [record.target.indices() for record in data.records]
    for got, last in zip(found, (2, 255, 255), strict=True):
        assert np.array_equal(got, rows(0, 1, 2, last))


def test_a_part_of_roboflows_alone_has_its_own_table(tmp_path):
    assert open_data(roboflow(tmp_path) / "train").classes.names == ("background", "left lung", "right lung")


ROBOFLOWS_FAULTS = {
    "columns": (TABLE.replace("Pixel Value", "filename"), ":1: has the columns filename,  Class; expected Pixel Value"),
    "nothing": ("", ": has the columns ; expected Pixel Value, Class"),
    "no number": (TABLE.replace("1,", "one,"), ":3: is 'one, left lung'; expected a pixel's value and a class"),
    "negative": (TABLE.replace("1,", "-1,"), ":3: is '-1, left lung'; expected a pixel's value and a class"),
    "no name": (TABLE.replace("left lung", ""), ":3: is '1, '; expected a pixel's value and a class, as '3, sky'"),
    "a colour": (TABLE.replace("1,", "1,2,3,"), ":3: is '1,2,3, left lung'; expected a pixel's value and a class"),
    "a value twice": (TABLE.replace("3,", "1,"), ":5: the index 1 belongs to 'right lung'"),
    "a name twice": (TABLE.replace("right", "left"), ":5: 'left lung' is in test/_classes.csv:3, too"),
    "no such class": (TABLE.replace("3, right lung\n", ""), "test/a_jpg.rf.0a1b_mask.png"),
}


@pytest.mark.parametrize("kind", ROBOFLOWS_FAULTS)
def test_what_is_wrong_with_roboflows_table_is_refused_with_its_line(tmp_path, kind):
    table, said = ROBOFLOWS_FAULTS[kind]
    roboflow(tmp_path, table)
    if said.startswith(":"):
        said = f"test/_classes.csv{said}"
    with pytest.raises(DataError, match=re.escape(said)):
        open_data(tmp_path)


def test_roboflows_tables_must_agree(tmp_path):
    (roboflow(tmp_path) / "valid" / "_classes.csv").write_text(TABLE.replace("void", "heart"))
    with pytest.raises(DataError, match=r"valid/_classes\.csv: names other classes than test/_classes\.csv; expected"):
        open_data(tmp_path)


def camvid(folder, layout):
    for number, name in enumerate("abc"):
        picture(folder / layout[0].format(name), seed=number)
        mask(folder / layout[1].format(name), rows(0, 1, 1, number % 2))
    (folder / "classes.txt").write_text("sky\nroad\n")
    return folder


CAMVIDS = {
    "its own folders": ("701_StillsRaw_full/{}.png", "LabeledApproved_full/{}_L.png"),
    "splits": ("train/{}.png", "train_labels/{}_L.png"),
    "beside": ("{}.png", "{}_L.png"),
    "another suffix": ("images/{}.png", "masks/{}-seg2.png"),
}


@pytest.mark.parametrize("layout", CAMVIDS)
@pytest.mark.parametrize("task", [None, "segment"])
def test_the_suffix_that_finds_the_masks_is_named_and_then_finds_them(tmp_path, layout, task):
    camvid(tmp_path, CAMVIDS[layout])
    suffix = "-seg2" if layout == "another suffix" else "_L"
    with pytest.raises(DataError, match=rf"pictures have no masks: .*; --mask-suffix {suffix} finds 3 masks(\. |$)"):
        open_data(tmp_path, task=task)
    data = open_data(tmp_path, task=task, settings=DataSettings(mask_suffix=suffix))
    assert data.classes.names == ("sky", "road")
    for number, record in enumerate(data.records):
        assert np.array_equal(record.target.indices(), rows(0, 1, 1, number % 2))


@pytest.mark.parametrize(
    "more",
    [
        ("masks/c.png",),  # some are found, so masks are called like their pictures
        ("masks/a_x.png", "masks/b_y.png"),
        ("masks/a1.png", "masks/b1.png"),
        ("masks/other_L.png", "masks/others_L.png"),
    ],
)
def test_no_suffix_is_named_that_is_not_that_of_all(tmp_path, more):
    for number, name in enumerate("ab"):
        picture(tmp_path / "images" / f"{name}.png", seed=number)
    for name in more:
        mask(tmp_path / name, rows(0, 1))
    if len(more) == 1:
        picture(tmp_path / "images" / "c.png", seed=9)
        mask(tmp_path / "masks" / "a_L.png", rows(0, 1))
        mask(tmp_path / "masks" / "b_L.png", rows(0, 1))
    with pytest.raises(DataError, match="2 pictures have no masks") as raised:
        open_data(tmp_path)
    assert "finds" not in str(raised.value)


def test_classes_of_pictures_called_like_camvids_masks_stay_classes(tmp_path):
    for seed, name in enumerate(("a.png", "a_L.png", "a_R.png", "b_L.png")):
        for folder in ("cat", "dog"):
            picture(tmp_path / folder / name, seed=seed + 10 * len(folder + name))
    assert open_data(tmp_path).format == "folders"


def cityscapes(folder, *kinds):
    for seed, (part, city) in enumerate((("train", "aachen"), ("train", "bochum"), ("val", "ulm"))):
        name = f"{part}/{city}/{city}_000000_000019"
        picture(folder / "leftImg8bit" / f"{name}_leftImg8bit.png", seed=seed)
        for kind, values in {"color": rows(9, 9), "instanceIds": rows(7, 7007, dtype=np.uint16), **dict(kinds)}.items():
            mask(folder / "gtFine" / f"{name}_gtFine_{kind}.png", values)
    return folder


IDS, TRAIN_IDS = ("labelIds", rows(7, 8, 3, 3)), ("labelTrainIds", rows(0, 1, 18, 255))


def test_cityscapes_is_named_with_the_masks_that_may_be_taken(tmp_path):
    known = "these are Cityscapes' folders: --mask-suffix _gtFine_label"
    with pytest.raises(DataError, match=rf"{known}Ids finds 3 masks of all labels, by number; of the 19 .*TrainIds"):
        open_data(cityscapes(tmp_path, IDS))
    with pytest.raises(DataError, match=rf"{known}TrainIds finds 3 masks of the 19 classes that are counted\. "):
        open_data(cityscapes(tmp_path, IDS, TRAIN_IDS))


@pytest.mark.parametrize("task", [None, "segment"])
def test_cityscapes_masks_for_training_have_its_19_classes(tmp_path, task):
    cityscapes(tmp_path, IDS, TRAIN_IDS)
    data = open_data(tmp_path, task=task, settings=DataSettings(mask_suffix="_gtFine_labelTrainIds"))
    assert len(data.classes.names) == 19
    assert [data.classes.names[each] for each in (0, 1, 18)] == ["road", "sidewalk", "bicycle"]
    assert [record.split for record in data.records] == ["train", "train", "val"]
    assert all(np.array_equal(record.target.indices(), TRAIN_IDS[1]) for record in data.records)
    assert data.notices[0].startswith("passed over 9 files without the masks' suffix: gtFine/train/aachen/")
