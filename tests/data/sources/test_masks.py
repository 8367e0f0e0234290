"""Folders of pictures and masks: who belongs to whom, what values mean, and what all of it is in the end."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.data import open_data
from striate.data.settings import DataSettings
from striate.data.sources import format_of
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
    "accents": ("images/\xe9.jpg masks/e\u0301_gt.png", {"images/\xe9.jpg": None}),
    "accents, beside": ("\xe9.jpg e\u0301_gt.png", {"\xe9.jpg": None}),
    "deeper": ("images/{s}/rome/a.jpg gt/{s}/rome/a.png", {"images/{s}/rome/a.jpg": "{s}"}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pictures_find_their_masks(tmp_path, layout):
    files, expected = LAYOUTS[layout]
    sides = ("train", "val") if "{s}" in files else ("",)
    for number, side in enumerate(sides):
        for name in files.format(s=side).split():
            if "mask" in name or "_" in name.rpartition("/")[2] or "annot" in name or name.startswith("gt"):
                mask(tmp_path / name, rows(0, 1, 1, number))
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


def grey_png(bits, values):
    """A PNG of grey values of so few bits, one row, made by hand: Pillow writes none."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packed = np.packbits([(value >> bit) & 1 for value in values for bit in reversed(range(bits))]).tobytes()
    head = struct.pack(">IIBBBBB", len(values), 1, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" + packed))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("bits", "values"), [(1, [0, 1] * 4), (2, [0, 1, 2, 3]), (4, [0, 3, 1, 2]), (8, [0, 3, 1, 2])])
def test_values_of_few_bits_are_not_spread(tmp_path, bits, values):
    picture(tmp_path / "images" / "a.png", len(values), 1)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(grey_png(bits, values))
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\n")
    (record,) = open_data(tmp_path).records
    assert record.target.indices().tolist() == [values]


VALUES = {
    "index": ("sky\nroad\ncar\n", lambda i: i),
    "index name": ("2 car\n0 sky\n1 road\n", lambda i: i),
    "grey levels": ("75 car\n0 sky\n38 road\n", lambda i: np.array([0, 38, 75], np.uint8)[i]),
    "16 bits": ("sky\nroad\ncar\n", lambda i: i.astype(np.uint16)),
    "16 bits and large values": ("0 sky\n1000 road\n65535 car\n", lambda i: np.array([0, 1000, 65535], np.uint16)[i]),
    "colours": ("0 0 0 sky\n9 8 7 road\n#ff0001 car\n", lambda i: COLOURS[i]),
    "colours with alpha": ("0 0 0 sky\n9 8 7 road\n255 0 1 car\n", lambda i: np.dstack([COLOURS[i], 0 * i + 255])),
}
COLOURS = np.array([[0, 0, 0], [9, 8, 7], [255, 0, 1]], np.uint8)


@pytest.mark.parametrize("kind", VALUES)
def test_all_ways_to_write_a_class_mean_the_same(tmp_path, kind):
    indices = np.random.default_rng(0).integers(0, 3, (10, 20), np.uint8)
    table, write = VALUES[kind]
    data = open_data(pairs(tmp_path, write(indices), classes=table))
    assert data.classes.names == ("sky", "road", "car")
    (record,) = data.records
    assert np.array_equal(record.target.indices(), indices)
    assert record.target.areas == dict(enumerate(np.bincount(indices.ravel()).tolist()))
    other = record.target.renumbered({0: 1, 1: 0})
    assert np.array_equal(other.indices(), np.array([1, 0, 255], np.uint8)[indices])
    assert other.areas == {1: record.target.areas[0], 0: record.target.areas[1]}


TABLES = {
    "class_dict.csv": "name,r,g,b\nsky,0,0,0\nroad,9,8,7\ncar,255,0,1\n",
    "label_colors.txt": "0 0 0\tsky\n9 8 7\troad\n255 0 1\tcar\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:9,8,7::\ncar:255,0,1::\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_colours_that_others_write_are_read_and_palettes_go_by_their_colours(tmp_path, name):
    pairs(tmp_path, rows(0, 1, 2, 2), rows(2, 1, 0, 0), classes=None)
    mask(tmp_path / "masks" / "0.png", rows(0, 1, 2, 2), palette=[*COLOURS.ravel()])
    mask(tmp_path / "masks" / "1.png", rows(0, 1, 2, 2), palette=[*COLOURS[::-1].ravel()])
    (tmp_path / name).write_text(TABLES[name])
    data = open_data(tmp_path)
    assert data.classes.names == ("sky", "road", "car")
    assert [record.target.indices()[0, ::5].tolist() for record in data.records] == [[0, 1, 2, 2], [2, 1, 0, 0]]


def test_one_table_that_changes_is_another_fingerprint_of_coloured_masks(tmp_path):
    pairs(tmp_path, COLOURS[rows(0, 1)], COLOURS[rows(1, 0)], classes="0 0 0 sky\n9 8 7 road\n")
    before = fingerprint(open_data(tmp_path))
    (tmp_path / "classes.txt").write_text("9 8 7 sky\n0 0 0 road\n")
    assert fingerprint(open_data(tmp_path)) != before


def test_grey_colours_of_a_table_of_colours_are_not_said_to_be_taken_for_values(tmp_path):
    pairs(tmp_path, COLOURS[rows(0)], COLOURS[rows(0, 1)], classes="0 0 0 sky\n9 8 7 road\n")
    assert open_data(tmp_path).notices == ()


def test_a_split_alone_finds_the_classes_beside_it(tmp_path):
    pairs(tmp_path / "val", rows(0, 1), classes=None)
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    assert open_data(tmp_path / "val").classes.names == ("sky", "road")


def test_what_is_known_of_a_mask_is_remembered(tmp_path, monkeypatch):
    pairs(tmp_path, *(rows(0, 1, 1, n % 2) for n in range(6)))
    monkeypatch.setattr("striate.data.scan._SETTLED_NS", 0)  # as if the files were old
    before = open_data(tmp_path)
    monkeypatch.setattr("striate.data.mask_facts.read_mask", lambda path: pytest.fail("read again"))
    assert [r.target.areas for r in open_data(tmp_path).records] == [r.target.areas for r in before.records]


@pytest.mark.parametrize(
    ("layout", "format"),
    [
        ("with_mask/1.png with_mask/2.png without_mask/1.png without_mask/2.png", "folders"),
        ("car/mustang.png car/mustang_gt.png car/beetle.png car/fiat.png bus/1.png bus/2.png", "folders"),
        ("train/cat/1.png train/dog/1.png val/cat/2.png val/dog/2.png", "folders"),
        ("images/1.png masks/1.png hats/1.png", "folders"),
        ("pictures/1.png gt/1.png", "masks"),
        ("train/1.png train_labels/1.png test/2.png", "masks"),
    ],
)
def test_classes_that_are_called_like_masks_are_told_from_masks(tmp_path, layout, format):
    for number, name in enumerate(layout.split()):
        picture(tmp_path / name, seed=number)
    assert format_of(tmp_path, format=None, settings=DataSettings(), task=None) == format
