"""YOLO's outlines become masks: by hand-drawn pictures of 8 x 6, to the pixel; boxes among them are refused."""

import re

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.settings import DataSettings
from tests.data.sources.annotated import picture


def drawn(text):
    """A mask as it is written: a digit a pixel, . for 255."""
    return np.array([[255 if c == "." else int(c) for c in line] for line in text.split()], np.uint8)


def outline(label, *points):
    """A line of a text, of points in pixels, with the six decimals that programs write."""
    return " ".join([str(label), *(f"{x / 8:.6f} {y / 6:.6f}" for x, y in points)])


def box(label, left, top, right, bottom):
    return outline(label, (left, top), (right, top), (right, bottom), (left, bottom))


LARGE = box(0, 1, 1, 7, 5)
SMALL = box(1, 2, 2, 4, 4)
BOX = "1 0.5 0.5 0.25 0.25"


def yolo(folder, *lines, names="cat\ndog\n", name="a", seed=0):
    picture(folder / "images" / f"{name}.png", 8, 6, seed=seed)
    text = folder / "labels" / f"{name}.txt"
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text("\n".join(lines))
    if names:
        (folder / "classes.txt").write_text(names)
    return folder


def segment(folder, **settings):
    return open_data(folder, task="segment", settings=DataSettings(**settings))


def test_outlines_are_drawn_the_smaller_over_the_larger(tmp_path):
    expected = drawn("00000000 01111110 01221110 01221110 01111110 00000000")
    for order in ((LARGE, SMALL), (SMALL, LARGE)):
        data = segment(yolo(tmp_path, *order))
        assert (data.format, data.task) == ("yolo", "segment")
        assert data.classes.names == ("background", "cat", "dog")
        assert np.array_equal(data.records[0].target.indices(), expected)
        assert data.notices == ("what no shape covers is class 0, background",)


def test_a_side_has_its_own_parts_and_an_outline_any_number_of_points(tmp_path):
    steps = outline(1, (0, 0), (2, 0), (2, 2), (5, 2), (5, 4), (8, 4), (8, 6), (0, 6))
    triangle = outline(0, (4, 0), (8, 0), (8, 4))
    got = segment(yolo(tmp_path, steps, triangle)).records[0].target.indices()
    whole = drawn("22000000 22000000 22222000 22222000 22222222 22222222")
    assert np.array_equal(got == 2, whole == 2)
    assert got[0, 6] == got[1, 7] == got[2, 7] == 1 and (got[:, :4] != 1).all() and (got[4:] != 1).all()


def test_a_text_without_objects_is_ground_and_ground_may_be_nobodys(tmp_path):
    yolo(tmp_path, LARGE, SMALL)
    yolo(tmp_path, name="b", seed=1)
    assert segment(tmp_path).records[1].target.indices().max() == 0
    data = segment(tmp_path, unlabelled="ignore")
    assert data.classes.names == ("cat", "dog")
    expected = drawn("........ .000000. .011000. .011000. .000000. ........")
    assert np.array_equal(data.records[0].target.indices(), expected)


def test_a_yaml_file_says_classes_and_splits(tmp_path):
    """As Roboflow exports them, and given as the file or as its folder."""
    for seed, part in enumerate(("train", "valid", "test")):
        yolo(tmp_path / part, LARGE, names=None, seed=seed)
    places = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    (tmp_path / "data.yaml").write_text(f"{places}\nnc: 2\nnames: ['void', 'no']\n")
    for given in (tmp_path, tmp_path / "data.yaml"):
        data = segment(given)
        assert data.classes.names == ("background", "no")
        assert [record.split for record in data.records] == ["test", "train", "val"]
        assert (data.records[0].target.indices() == 255).sum() == 24
        assert "1 class is not counted: void" in data.notices[-1]


def test_without_the_task_they_are_boxes_and_segmentation_is_named(tmp_path):
    yolo(tmp_path, LARGE, SMALL)
    for task in (None, "detect"):
        data = open_data(tmp_path, task=task)
        assert (data.task, data.classes.names) == ("detect", ("cat", "dog"))
        assert np.allclose(data.records[0].target.xyxy, [[1, 1, 7, 5], [2, 2, 4, 4]], atol=1e-4)
        assert data.records[0].target.outlines is None
        (notice,) = data.notices
        assert notice == (
            "2 outlines taken for the boxes around: labels/a.txt:1, labels/a.txt:2; --task segment learns the outlines "
            "themselves"
        )
    yolo(tmp_path, LARGE, BOX)
    assert open_data(tmp_path).notices == ("1 outline taken for the boxes around: labels/a.txt:1",)


FAULTS = {
    "boxes alone": (
        (BOX, "0 0.5 0.5 1 1"),
        " has boxes alone (2 objects, the first in labels/a.txt:1), and segmentation learns from outlines, a line",
    ),
    "a box": ((LARGE, BOX), "1 object has no outline: labels/a.txt:2; draw what is missing, or remove the object"),
    "two points and a half": ((LARGE, "0 .1 .1 .2 .2 .3"), "labels/a.txt:2: has 6 words (the sixth may be a score"),
    "half a point": (
        (f"{LARGE} 0.5",),
        "labels/a.txt:1: has 10 words; expected a class and four numbers, or x and y by turns",
    ),
    "no number": ((f"{LARGE} 0.5 x",), "labels/a.txt:1: a coordinate is 'x'; expected a number"),
    "no class": (("", LARGE.replace("0 ", "2 ", 1)), "labels/a.txt:2: class 2, but there are 2 classes, 0 to 1"),
    "pixels": (("0 1 1 7 1 7 5",), "labels/a.txt:1: 7 is no part of a picture's side; expected numbers from 0 to 1"),
    "outside": (
        (box(1, 1, 1, 10, 5),),
        "1 shape reaches out of its picture: labels/a.txt:1 (1, 1 to 10, 5 in 8 x 6); correct the annotation, or cut",
    ),
    "no object": ((), " has no shape in any of 1 picture"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_cannot_be_drawn_is_refused(tmp_path, kind):
    lines, said = FAULTS[kind]
    yolo(tmp_path, *lines)
    with pytest.raises(DataError, match=re.escape(said)):
        open_data(tmp_path, task="segment", format="yolo")


def test_faults_of_the_folder_are_those_of_boxes(tmp_path):
    yolo(tmp_path, LARGE)
    picture(tmp_path / "images" / "b.png", 8, 6, seed=1)
    (tmp_path / "labels" / "c.txt").write_text(LARGE)
    (tmp_path / "labels" / "d.txt").write_text(LARGE)
    (tmp_path / "images" / "d.png").write_bytes(picture(tmp_path / "d.png", 8, 6, seed=2).read_bytes())
    (tmp_path / "d.png").unlink()
    said = (
        r"1 picture has no annotations: images/b\.png; .*"
        r"1 annotation is of a picture that is not there: labels/c\.txt; add what is missing"
    )
    for task in ("detect", "segment"):
        with pytest.raises(DataError, match=said):
            open_data(tmp_path, task=task)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match="what its classes are called is not said"):
        segment(tmp_path)


def test_settings_of_shapes_have_their_meaning(tmp_path):
    yolo(tmp_path, box(1, 4, -3, 10, 5))
    data = segment(tmp_path, clip=True)
    assert np.array_equal(data.records[0].target.indices(), drawn(" ".join(["00002222"] * 5 + ["00000000"])))
    assert any("1 shape reaches out of its picture, cut at the border" in notice for notice in data.notices)
    with pytest.raises(DataError, match="--drop-duplicates is about boxes, and yolo data have none"):
        segment(tmp_path, drop_duplicates=True)


def test_points_of_keypoints_are_no_outline(tmp_path):
    yolo(tmp_path, "0 0.5 0.5 0.5 0.5 0.1 0.9 2 0 0 0", names=None)
    (tmp_path / "data.yaml").write_text("names: [cat]\nkpt_shape: [2, 3]\n")
    with pytest.raises(DataError, match=r"has boxes alone \(1 object, the first in labels/a\.txt:1\)"):
        segment(tmp_path)
