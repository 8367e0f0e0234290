"""Boxes written in a format and read again are the same, as far as the format can say it."""

import dataclasses
import json
import shutil
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.base.errors import DataError, OutputError
from striate.data import Classes, open_data
from striate.data.records import Dataset, Record
from striate.data.targets import Boxes
from striate.data.writers import WRITERS
from striate.data.writers.converting import convert
from striate.data.writers.numbers import plain, word
from tests.data.sources.annotated import coco, instance, picture, voc, voc_object

FORMATS = tuple(WRITERS)
SAME = (
    "data.yaml names the same pictures for training and for validation, since the data have no such split and other "
    "programs want both"
)


def written(dataset, format, out):
    module = import_module(WRITERS[format])
    notices = convert(dataset, out, module.place, module.write).notices
    return list(notices[len(dataset.notices) :])


def said(dataset):
    """What each picture says, by its stem: class names and edges, in order."""
    names = dataset.classes.names
    return {
        record.handle.stem: [
            (names[index], *box) for index, box in zip(record.target.classes, record.target.xyxy.tolist(), strict=True)
        ]
        for record in dataset.records
    }


def test_raccoons_come_back_through_all_formats_to_the_bit(shared_data, tmp_path):
    """VOC, COCO, YOLO and VOC again: whole pixels are whole pixels, and the XML files say what they said."""
    first = open_data(shared_data / "raccoon")
    dataset = first
    for kind in ("coco", "yolo", "voc"):
        assert written(dataset, kind, tmp_path / kind) == [SAME] * (kind == "yolo")
        dataset = open_data(tmp_path / kind)
        assert dataset.format == kind
    assert said(dataset) == said(first)
    assert {r.content for r in dataset.records} == {r.content for r in first.records}
    for file in (tmp_path / "voc" / "Annotations").iterdir():
        assert set(numbers_of(file)) == set(numbers_of(shared_data / "raccoon" / "annotations" / file.name))


def numbers_of(file):
    import xml.etree.ElementTree as ElementTree

    for box in ElementTree.parse(file).iter("bndbox"):
        yield tuple(box.find(edge).text for edge in ("xmin", "ymin", "xmax", "ymax"))


def test_coco128_as_coco_keeps_all_and_as_others_says_what_it_cannot(shared_data, tmp_path):
    dataset = open_data(shared_data / "coco128", format="coco")
    assert written(dataset, "coco", tmp_path / "coco") == []
    theirs, ours = (
        json.loads((folder / "instances.json").read_text()) for folder in (shared_data / "coco128", tmp_path / "coco")
    )
    names = [{each["id"]: each["file_name"] for each in content["images"]} for content in (theirs, ours)]
    rows = [
        {each["id"]: (each, name[each["image_id"]]) for each in content["annotations"]}
        for content, name in zip((theirs, ours), names, strict=True)
    ]
    assert rows[0].keys() == rows[1].keys()
    for key, (their, name) in rows[0].items():
        our, our_name = rows[1][key]
        assert our_name == name and np.allclose(our["bbox"], their["bbox"], atol=1e-6, rtol=0)
        for what in ("segmentation", "iscrowd", "category_id"):
            assert our[what] == their[what]
        assert abs(our["area"] - their["area"]) <= 1e-6
    assert written(dataset, "yolo", tmp_path / "yolo") == [
        SAME,
        "10 crowds left out, since YOLO's text knows no crowds",
        "outlines not written, only the boxes around them",
    ]
    back = said(open_data(tmp_path / "yolo"))
    assert sum(map(len, back.values())) == 929
    notices = written(dataset, "voc", tmp_path / "voc")
    assert [notice.split(",")[0] for notice in notices] == [
        "10 crowds written as difficult",
        "9 classes without an object not written",
        "outlines not written",
    ]


EDGES = st.integers(0, 1_999_999).map(lambda edge: edge / 100_000)
BOXES = st.lists(st.tuples(EDGES, EDGES, EDGES, EDGES, st.integers(0, 2)), min_size=1, max_size=5)


@settings(max_examples=25)  # each writes and reads a dozen files
@given(BOXES, st.sampled_from(FORMATS), st.sampled_from([None, "train", "val"]))
def test_any_boxes_come_back_to_a_millionth_of_a_pixel(tmp_path_factory, rows, format, split):
    folder = tmp_path_factory.mktemp("boxes")
    thin = (1.0, 1.0) if format == "voc" else (1e-5, 5e-6)  # it has no boxes of less than a pixel
    found = {(5.0, 4.0, 9.0, 8.0, 0)} | {  # of boxes that all lie in the first pixel others would be told
        (0.9 * min(one, two), 0.4 * min(top, low), 0.9 * max(one, two) + thin[0], 0.4 * max(top, low) + thin[1], index)
        for one, top, two, low, index in rows
    }
    target = Boxes.of([row[:4] for row in found], [row[4] for row in found])
    files = [picture(folder / f"{name}.png", 20, 10, seed) for seed, name in enumerate(("a", "b"))]
    records = tuple(
        Record(file, each, bytes(32), file.name, side)
        for file, each, side in zip(files, (target, Boxes.of([], [])), (split, split and "train"), strict=True)
    )
    dataset = Dataset(folder, "any", Classes(("cat", "dog & <cow>", "no")), records, 3, split is not None, "detect")
    written(dataset, format, folder / "out")
    back = open_data(folder / "out")
    assert back.format == format
    if format != "voc":
        assert back.classes.names == dataset.classes.names
    ours, theirs = (said(each)["a"] for each in (dataset, back))
    assert [row[0] for row in ours] == [row[0] for row in theirs] and said(back)["b"] == []
    assert np.allclose([row[1:] for row in ours], [row[1:] for row in theirs], atol=2.1e-6, rtol=0)
    expected = {None: {None}, "train": {None}, "val": {"train", "val"}}[split]
    assert {record.split for record in back.records} == expected
    shutil.rmtree(folder)


def test_marks_and_ids(tmp_path):
    picture(tmp_path / "a.png")
    hard = voc_object("cat", 1, 1, 5, 5, "<difficult>1</difficult>")
    voc(tmp_path, "a", hard, voc_object("dog", 1, 1, 6, 6))
    dataset = open_data(tmp_path)
    for kind in ("coco", "voc"):
        assert written(dataset, kind, tmp_path / kind) == []
        assert open_data(tmp_path / kind).records[0].target.difficult.tolist() == [True, False]
    assert open_data(tmp_path / "coco").records[0].target.ids == ("1", "2")
    assert written(dataset, "yolo", tmp_path / "yolo") == [
        SAME,
        "1 difficult object written like others, since YOLO's text has no mark for them",
    ]


def test_pictures_of_one_name_get_names_of_their_own(tmp_path):
    data = tmp_path / "data"
    places = ("x/a.png", "y/a.png", "y/a.jpg")
    for seed, place in enumerate(places):
        picture(data / place, seed=seed)
    images = [{"id": number, "file_name": place} for number, place in enumerate(places)]
    rows = [instance(id=n, image_id=n, bbox=[0, 0, n + 1, 5]) for n in range(3)]
    dataset = open_data(coco(data / "instances.json", rows, images))
    for kind in FORMATS:
        written(dataset, kind, tmp_path / kind)
        back = open_data(tmp_path / kind)
        contents = {record.content: record.target.xyxy.tolist() for record in dataset.records}
        assert {record.content: record.target.xyxy.tolist() for record in back.records} == contents


def test_names_that_a_format_takes_for_something_else(tmp_path):
    """YOLO's list of classes, a folder, spaces at the ends of a list's line; and names that others have already."""
    stems = ("classes", "a_b", "a\\b", "a\x85", "classes-2", " c ")
    files = [picture(tmp_path / "data" / f"{stem}.png", seed=seed) for seed, stem in enumerate(stems)]
    records = tuple(
        Record(file, Boxes.of([[0, 0, n + 1, 5]], [0]), bytes([n]) * 32, file.name, "train" if n else "val")
        for n, file in enumerate(files)
    )
    dataset = Dataset(tmp_path / "data", "any", Classes(("cat",)), records, 3, True, "detect")
    for kind in FORMATS:
        written(dataset, kind, tmp_path / kind)
        assert sorted(each.stem for each in (tmp_path / kind).rglob("*.png")) == sorted(
            ["classes-3", "a_b", "a_b-2", "a_x85", "classes-2", "c"]
        )
        back = open_data(tmp_path / kind, format=kind)
        assert sorted(record.target.xyxy.tolist()[0][2] for record in back.records) == [1, 2, 3, 4, 5, 6]


SIGNS = ("\x01", "\ufffe", "\x7f", "a\x85b", "a\rb", "a\nb", "a\u2028b", "\U0001f600", 'a"\\b', "<&>", "\u0301")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", SIGNS, ids=ascii)
def test_any_signs_of_a_class_come_back_or_are_refused(tmp_path, format, name):
    file = picture(tmp_path / "data" / "a.png")
    record = Record(file, Boxes.of([[0, 0, 5, 5]], [0]), bytes(32), "a.png", None)
    dataset = Dataset(file.parent, "any", Classes((name,)), (record,), 3, False, "detect")
    if format == "voc" and name in SIGNS[:2]:
        with pytest.raises(DataError, match="cannot be written as Pascal VOC: XML knows no"):
            written(dataset, format, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    written(dataset, format, tmp_path / "out")
    assert open_data(tmp_path / "out").classes.names == (name,)


def test_nothing_is_half_written(tmp_path, monkeypatch, photo_folder):
    data = tmp_path / "data"
    picture(data / "a.png")
    dataset = open_data(voc(data, "a", voc_object("cat", 1, 1, 5, 5)).parent.parent)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    with pytest.raises(OutputError, match="full: it exists"):
        written(dataset, "coco", tmp_path / "full")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", lambda source, target: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OutputError, match="out: the disk is full"):
            written(dataset, "coco", tmp_path / "out")
    (data / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 1 pictures in .* cannot be read; mend (?s:.)*a\.png: not a picture"):
        written(dataset, "coco", tmp_path / "out")
    with pytest.raises(DataError, match="holds no boxes"):
        written(open_data(photo_folder(tmp_path / "photos", per_class=1)), "coco", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "full", "photos"]
    with pytest.raises(DataError, match="the same name"):
        twice = dataclasses.replace(dataset.records[0])
        picture(data / "a.png")
        written(dataclasses.replace(dataset, records=(dataset.records[0], twice)), "coco", tmp_path / "out")


@pytest.mark.parametrize(
    ("value", "text"), [(3.0, "3"), (1e-05, "0.00001"), (80.9999999999, "81"), (0.25, "0.25"), (100.0, "100")]
)
def test_numbers(value, text):
    assert word(value) == text == f"{plain(value):.6f}".rstrip("0").rstrip(".")


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ((None, None, None), {"train": "images", "val": "images"}),
        (("train", "val", "test"), {part: f"images/{part}" for part in ("train", "val", "test")}),
        (("train", "train", "test"), {"train": "images/train", "val": "images/train", "test": "images/test"}),
    ],
)
def test_a_yaml_of_yolo_has_what_others_ask_for_and_comes_back(tmp_path, splits, expected):
    import yaml

    for name, split in zip("abc", splits, strict=True):
        picture(tmp_path / "data" / (split or "") / f"{name}.png", seed=ord(name))
        voc(tmp_path / "data" / (split or ""), name, voc_object("cat", 1, 1, 10, 5))
    dataset = open_data(tmp_path / "data")
    assert (SAME in written(dataset, "yolo", tmp_path / "out")) == (expected["train"] == expected["val"])
    content = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert content == {**expected, "names": {0: "cat"}}
    again = open_data(tmp_path / "out")
    assert {record.handle.stem: record.split for record in again.records} == {
        record.handle.stem: record.split for record in dataset.records
    }


def test_boxes_without_a_whole_pixel_are_written_as_one_in_pascal_voc_and_counted(tmp_path):
    picture(tmp_path / "data" / "a.png")
    boxes = [[5.2, 5, 0.6, 4], [19.5, 9.25, 0.5, 0.75], [1, 1, 1, 1]]
    coco(tmp_path / "data" / "x.json", [instance(id=number, bbox=bbox) for number, bbox in enumerate(boxes, start=1)])
    said = "2 boxes less than a pixel wide or high made that wide, since Pascal VOC counts whole ones"
    assert said in written(open_data(tmp_path / "data"), "voc", tmp_path / "out")
    found = list(numbers_of(tmp_path / "out" / "Annotations" / "a.xml"))
    assert found == [("6.2", "6", "6.2", "9"), ("20", "10", "20", "10"), ("2", "2", "2", "2")]
    assert all(len(record.target) == 3 for record in open_data(tmp_path / "out").records)
