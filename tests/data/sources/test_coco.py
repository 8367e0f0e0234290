"""COCO's JSON: its ids, boxes, crowds, outlines and files."""

import json

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import open_data
from tests.data.sources.annotated import coco, instance, picture


def test_ids_of_any_base_and_kind(tmp_path):
    picture(tmp_path / "images" / "a.png")
    picture(tmp_path / "images" / "b.png", seed=1)
    images = [{"id": 2**40, "file_name": "b.png"}, {"id": "x", "file_name": "images/a.png", "height": 10, "width": 20}]
    categories = [{"id": 90, "name": "dog"}, {"id": 0, "name": "cat"}, {"id": 17, "name": "eel"}]
    annotations = [
        instance(
            id=908400000643, image_id="x", category_id=90, iscrowd=1, segmentation={"counts": [1, 2], "size": [1, 3]}
        ),
        instance(id="y", image_id="x", category_id=0, segmentation=[[0, 0, 4, 0, 4, 4]], area=8.5),
    ]
    dataset = open_data(coco(tmp_path / "boxes.json", annotations, images, categories))
    assert dataset.classes.names == ("cat", "eel", "dog") and dataset.classes.ids == ("0", "17", "90")
    empty, target = (record.target for record in dataset.records)
    assert len(empty) == 0 and dataset.notices == ()  # an image without annotations has no objects
    assert target.xyxy.tolist() == [[2, 3, 6, 8]] * 2 and target.classes.tolist() == [2, 0]
    assert target.ids == ("908400000643", "y") and target.crowd.tolist() == [True, False]
    assert target.areas.tolist() == [20, 8.5]
    assert target.outlines == ({"counts": [1, 2], "size": [1, 3]}, [[0, 0, 4, 0, 4, 4]])


def test_the_official_folders(tmp_path):
    for number, part in enumerate(("train", "val")):
        picture(tmp_path / f"{part}2017" / "a.png", seed=number)
        images = [{"id": 1, "file_name": "a.png", "height": 10, "width": 20}]
        coco(tmp_path / "annotations" / f"instances_{part}2017.json", [instance(bbox=[0, 0, 5, 5 + number])], images)
    coco(tmp_path / "annotations" / "captions_train2017.json", [])
    picture(tmp_path / "test2017" / "c.png", seed=9)
    dataset = open_data(tmp_path)
    assert [(r.name, r.split, r.target.xyxy[0, 3]) for r in dataset.records] == [
        ("train2017/a.png", "train", 5),
        ("val2017/a.png", "val", 6),
    ]
    assert dataset.notices == (
        "passed over 1 JSON file beside instances: annotations/captions_train2017.json",
        "passed over 1 picture that the annotations do not list: test2017/c.png",
    )
    (tmp_path / "annotations" / "instances_val2017.json").rename(tmp_path / "annotations" / "instances_b.json")
    with pytest.raises(DataError, match="do not say one split each; give one of them"):
        open_data(tmp_path)


def test_a_box_may_end_a_hundredth_beyond_the_border_and_ends_at_it_then(tmp_path):
    picture(tmp_path / "a.png")
    (record,) = open_data(coco(tmp_path / "a.json", [instance(bbox=[10.35, 0, 9.66, 10])])).records
    assert record.target.xyxy.tolist() == [[10.35, 0, 20, 10]]


@pytest.mark.parametrize("unused", [0, 9])
def test_a_category_without_annotations_gives_way_to_one_of_its_name_and_is_told(tmp_path, unused):
    picture(tmp_path / "a.png")
    categories = [{"id": unused, "name": "cat"}, {"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    dataset = open_data(coco(tmp_path / "a.json", [instance()], None, categories))
    assert (dataset.classes.names, dataset.classes.ids) == (("cat", "dog"), ("1", "2"))
    assert dataset.records[0].target.classes.tolist() == [0]
    assert dataset.notices == (
        f"a.json: category {unused} left out: it has no annotations, and another one is called 'cat', too",
    )


def test_coco128_has_crowds_and_pictures_without_objects(shared_data):
    """Against the JSON itself; the counts are those of its README."""
    folder = shared_data / "coco128"
    with pytest.raises(DataError, match="more than one format: coco and yolo"):
        open_data(folder)
    dataset = open_data(folder, format="coco")
    content = json.loads((folder / "instances.json").read_text())
    assert len(dataset.records) == 128 and dataset.notices == ()
    assert list(dataset.classes.names) == (folder / "classes.txt").read_text().split("\n")[:80]
    assert sum(record.target.crowd.sum() for record in dataset.records) == 10
    assert sorted(r.handle.stem for r in dataset.records if not len(r.target)) == ["000000000250", "000000000508"]
    found = {
        id_: (box, area)
        for r in dataset.records
        for id_, box, area in zip(
            r.target.ids or (), r.target.xyxy, r.target.areas if len(r.target) else (), strict=True
        )
    }
    assert len(found) == len(content["annotations"]) == 939
    for each in content["annotations"]:
        box, area = found[str(each["id"])]
        left, top, width, height = each["bbox"]
        assert np.allclose(box, [left, top, left + width, top + height], atol=1e-9) and area == each["area"]
