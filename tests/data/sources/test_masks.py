"""Folders of pictures and masks: who belongs to whom, what values mean, and what all of it is in the end."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.data import open_data
from striate.data.settings import DataSettings
from striate.data.splits import fingerprint
from tests.data.sources.annotated import picture
from tests.data.sources.masked import mask, pairs, rows

LAYOUTS = {
    "one folder": ("images/a.jpg masks/a.png", {"images/a.jpg": None}),
    "splits": ("{s}/images/a.jpg {s}/masks/a.png", {"{s}/images/a.jpg": "{s}"}),
    "splits within": ("images/{s}/a.jpg masks/{s}/a.png", {"images/{s}/a.jpg": "{s}"}),
    "words glued": ("{s}/a.png {s}annot/a.png", {"{s}/a.png": "{s}"}),
    "words behind": ("{s}_images/a.png {s}_labels/a_mask.png", {"{s}_images/a.png": "{s}"}),
    "train alone": ("train/images/a.jpg train/masks/a.png", {"train/images/a.jpg": None}),
    "suffixes": ("images/a.jpg masks/a_gt.png", {"images/a.jpg": None}),
    "beside": ("a.jpg a_mask.png b.jpg b_label.png", {"a.jpg": None, "b.jpg": None}),
    "deeper": ("images/{s}/rome/a.jpg gt/{s}/rome/a.png", {"images/{s}/rome/a.jpg": "{s}"}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pictures_find_their_masks(tmp_path, layout):
    files, expected = LAYOUTS[layout]
    sides = ("train", "val") if "{s}" in files else ("",)
    for number, side in enumerate(sides):
        for name in files.format(s=side).split():
            if "mask" in name or "_" in name.rpartition("/")[2] or "annot" in name or name.startswith("gt"):
                mask(tmp_path / name, rows(0, 1, number))
            else:
                picture(tmp_path / name, seed=number)
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    data = open_data(tmp_path)
    wanted = {name.format(s=side): split and split.format(s=side) for side in sides for name, split in expected.items()}
    assert {record.name: record.split for record in data.records} == wanted
    assert (data.format, data.task, data.classes.names) == ("masks", "segment", ("sky", "road"))


def test_camvid_is_read_as_it_lies_there(shared_data):
    data = open_data(shared_data / "camvid")
    names = "Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist"
    assert data.classes.names == tuple(names.split())
    assert [len(data.of_split(side)) for side in ("train", "val", "test")] == [367, 101, 0]
    record = data.records[0]
    stored = np.array(Image.open(record.target.source))
    indices = record.target.indices()
    assert indices.shape == (360, 480) and np.array_equal(indices == 255, stored == 11)
    assert np.array_equal(indices[stored != 11], stored[stored != 11])


def test_masks_take_part_in_the_fingerprint_and_names_of_files_do_not(tmp_path):
    one = open_data(pairs(tmp_path / "one", rows(0, 1), rows(1, 0)))
    (tmp_path / "two" / "images").mkdir(parents=True)
    (tmp_path / "two" / "masks").mkdir()
    for old, new in (("0", "y"), ("1", "x")):
        for part in ("images", "masks"):
            content = (tmp_path / "one" / part / f"{old}.png").read_bytes()
            (tmp_path / "two" / part / f"{new}.png").write_bytes(content)
    (tmp_path / "two" / "classes.txt").write_text("sky\nroad\n")
    assert fingerprint(open_data(tmp_path / "two")) == fingerprint(one)
    mask(tmp_path / "two" / "masks" / "x.png", rows(1, 0, 0, 0))
    assert fingerprint(open_data(tmp_path / "two")) != fingerprint(one)
    (tmp_path / "one" / "classes.txt").write_text("road\nsky\n")
    assert fingerprint(open_data(tmp_path / "one")) != fingerprint(one)


def test_a_suffix_that_is_told_chooses_among_several_masks(tmp_path):
    pairs(tmp_path, rows(0, 1))
    mask(tmp_path / "masks" / "0_fine.png", rows(1, 0))
    mask(tmp_path / "masks" / "0_colour.png", rows(1, 1))
    data = open_data(tmp_path, settings=DataSettings(mask_suffix="_fine"))
    assert [Path(record.target.source).name for record in data.records] == ["0_fine.png"]
    assert data.notices == ("passed over 2 files without the masks' suffix: masks/0.png, masks/0_colour.png",)
