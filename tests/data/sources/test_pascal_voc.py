"""Pascal VOC: what its coordinates, names, folders and lists mean."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import folds, open_data, split
from striate.data.settings import DataSettings
from tests.data.sources.annotated import coco, instance, picture, voc, voc_object


def test_coordinates_begin_at_one_and_both_ends_belong_to_the_box(tmp_path):
    picture(tmp_path / "JPEGImages" / "a.png", 20, 10)
    voc(tmp_path, "a", voc_object("cat", 1, 1, 20, 10), voc_object("dog", 3, 4, 3, 4, "<difficult>1</difficult>"))
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.task, dataset.classes.names) == ("voc", "detect", ("cat", "dog"))
    target = dataset.records[0].target
    assert target.xyxy.tolist() == [[0, 0, 20, 10], [2, 3, 3, 4]]
    assert target.classes.tolist() == [0, 1] and target.difficult.tolist() == [False, True] and not target.crowd.any()
    assert (dataset.records[0].name, dataset.notices, dataset.fixed_splits) == ("JPEGImages/a.png", (), False)


def test_coordinates_that_begin_at_zero_are_edges_if_that_is_said(tmp_path):
    picture(tmp_path / "a.png", 20, 10)
    voc(tmp_path, "a", voc_object("cat", 0, 0, 20, 10), voc_object("cat", 2, 3, 6, 8))
    with pytest.raises(DataError, match=r"a\.xml:4 \(-1, -1 to 20, 10 .* where a coordinate is 0.*--first-pixel 0$"):
        open_data(tmp_path)
    (record,) = open_data(tmp_path, settings=DataSettings(first_pixel=0)).records
    assert record.target.xyxy.tolist() == [[0, 0, 20, 10], [2, 3, 6, 8]]
    voc(tmp_path, "a", voc_object("cat", 1, 1, 21, 10))
    with pytest.raises(DataError, match=r"with --clip$"):
        open_data(tmp_path)


def test_which_pixel_is_the_first_is_not_said_of_other_formats(tmp_path):
    picture(tmp_path / "a.png", 20, 10)
    coco(tmp_path / "instances.json", [instance()])
    with pytest.raises(DataError, match="--first-pixel is about the pixels of voc data, and these are coco; leave it"):
        open_data(tmp_path, settings=DataSettings(first_pixel=0))


def test_an_annotation_without_objects_is_a_background_and_names_may_be_of_another_computer(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / "images" / f"{name}.png", seed=ord(name))
    voc(tmp_path, "a", voc_object("cat", 1, 1, 5, 5))
    file = voc(tmp_path, "b", size=None)
    file.write_text(file.read_text().replace("b.png", "C:\\data\\b.png"))
    dataset = open_data(tmp_path)
    assert [len(record.target) for record in dataset.records] == [1, 0] and dataset.notices == ()


def test_a_filename_that_is_not_there_gives_way_to_the_files_own_name_and_is_told(tmp_path):
    picture(tmp_path / "a.png")
    file = voc(tmp_path, "a", voc_object("cat", 1, 1, 5, 5))
    file.write_text(file.read_text().replace("a.png", "IMG_7.jpg"))
    (notice,) = open_data(tmp_path).notices
    assert "Annotations/a.xml ('IMG_7.jpg')" in notice and "1 XML file names a picture that is not there" in notice
    picture(tmp_path / "IMG_7.jpg", seed=1)
    with pytest.raises(DataError, match=r"Annotations/a\.xml: its filename is 'IMG_7\.jpg', and .* a\.png; correct"):
        open_data(tmp_path)


def test_lists_say_which_pictures_belong_and_to_which_split(tmp_path):
    for name in "abcd":
        picture(tmp_path / "JPEGImages" / f"{name}.png", seed=ord(name))
        voc(tmp_path, name, voc_object("cat", 1, 1, 5, 5))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "trainval.txt").write_text("a\nb\n")
    (lists / "test.txt").write_text("c\n")
    (lists / "cat_train.txt").write_text("d 1\n")
    dataset = open_data(tmp_path)
    assert {record.name[-5]: record.split for record in dataset.records} == {"a": "train", "b": "train", "c": "test"}
    assert dataset.notices == ("passed over 1 picture that no list names: Annotations/d.xml",)
    (lists / "train.txt").write_text("a\n\n")
    (lists / "val.txt").write_text("b\n")
    assert [record.split for record in open_data(tmp_path).records] == ["test", "train", "val"]
    (lists / "val.txt").write_text("b\na\n")
    with pytest.raises(DataError, match=r"ImageSets/Main/val\.txt:2: 'a' is in ImageSets/Main/train\.txt:1, too"):
        open_data(tmp_path)
    (lists / "val.txt").write_text("e\n")
    with pytest.raises(DataError, match=r"val\.txt:1: there is no picture and no annotation called 'e'"):
        open_data(tmp_path)


def test_a_name_in_a_list_may_hold_spaces_and_have_a_mark_behind_it(tmp_path):
    for name in ("a b", "a", "c"):
        picture(tmp_path / "JPEGImages" / f"{name}.png", seed=len(name) + ord(name[0]))
        voc(tmp_path, name, voc_object("cat", 1, 1, 5, 5))
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a b\na  1\n")
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text(" c -1\n")
    found = {record.handle.stem: record.split for record in open_data(tmp_path).records}
    assert found == {"a b": "train", "a": "train", "c": "test"}
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text("d e\n")
    with pytest.raises(DataError, match=r"test\.txt:1: there is no picture and no annotation called 'd e'"):
        open_data(tmp_path)


def test_split_folders_each_with_pictures_of_the_same_names(tmp_path):
    for number, part in enumerate(("train", "valid", "test")):
        picture(tmp_path / part / "a.png", seed=number)
        voc(tmp_path / part, "a", voc_object("cat", 1, 1, 5 + number, 5))
    records = open_data(tmp_path).records
    assert {record.split: record.target.xyxy[0, 2] for record in records} == {"train": 5, "val": 6, "test": 7}


def test_raccoons(shared_data):
    """Against the standard library's own tree, box by box; the four pairs are those of its README."""
    folder = shared_data / "raccoon"
    dataset = open_data(folder)
    assert (dataset.format, dataset.classes.names, len(dataset.records)) == ("voc", ("raccoon",), 200)
    assert sum(len(record.target) for record in dataset.records) == 217
    for record in dataset.records:
        tree = ElementTree.parse(folder / "annotations" / f"{record.handle.stem}.xml")
        boxes = [
            [float(box.find(edge).text) for edge in ("xmin", "ymin", "xmax", "ymax")] for box in tree.iter("bndbox")
        ]
        assert np.array_equal(record.target.xyxy, np.array(boxes) - [1, 1, 0, 0])
    (notice,) = dataset.notices
    for one, other in ((11, 116), (52, 74), (65, 98), (83, 120)):
        names = sorted(f"images/raccoon-{number}.jpg" for number in (one, other))
        assert f"{names[0]} = {names[1]}" in notice
    assert notice.startswith("4 copies differ") and notice.count(" = ") == 4
    for parts in (split(dataset), *folds(dataset, 5)):
        sides = {record.handle.stem: record.split for record in parts.records}
        for one, other in ((11, 116), (52, 74), (65, 98), (83, 120)):
            assert sides[f"raccoon-{one}"] == sides[f"raccoon-{other}"]


def test_what_becomes_of_copies_is_said_where_it_is_not_decided(tmp_path):
    for name, right in (("a", 5), ("b", 6)):
        picture(tmp_path / f"{name}.png")
        voc(tmp_path, name, voc_object("cat", 1, 1, right, 5))
    said = "1 copy differs from the first picture in what is said of it: a.png = b.png"
    (notice,) = open_data(tmp_path).notices
    assert notice.startswith(f"{said}; of equal bytes, they stay on one side of a split (striate train --group near ")
    for name, side in (("a", "train"), ("b", "val")):
        lists = tmp_path / "ImageSets" / "Main" / f"{side}.txt"
        lists.parent.mkdir(parents=True, exist_ok=True)
        lists.write_text(name)
    flattering, notice = open_data(tmp_path).notices
    assert "so the figures will flatter" in flattering and notice == said


def test_pictures_without_a_file(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", seed=1)
    voc(tmp_path, "a", voc_object("cat", 1, 1, 5, 5))
    with pytest.raises(
        DataError, match=r"1 picture has no annotations: b\.png; .*--unlabelled background.*--unlabelled skip"
    ):
        open_data(tmp_path)
    for choice, lengths, said in (("background", [1, 0], "taken for backgrounds"), ("skip", [1], "left out")):
        dataset = open_data(tmp_path, settings=DataSettings(unlabelled=choice))
        assert [len(record.target) for record in dataset.records] == lengths
        assert dataset.notices == (f"1 picture has no annotations, {said}: b.png",)
