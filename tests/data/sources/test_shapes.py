"""Shapes of COCO, CVAT and Labelme become masks: by hand-drawn pictures, and by the rule of what lies over what."""

import json
import re

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.drawn_mask import DrawnMask, Shape
from striate.data.settings import DataSettings
from striate.data.sources.shapes import runs_in, runs_of, unpacked
from striate.data.splits import fingerprint
from tests.data.sources.annotated import coco, instance, picture
from tests.data.sources.masked import drawn, png

IMAGE = {"id": 1, "file_name": "a.png", "width": 8, "height": 6}
CATEGORIES = [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}]


def box(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def read(folder, *annotations, images=(IMAGE,), categories=CATEGORIES, **settings):
    picture(folder / "a.png", 8, 6)
    coco(folder / "a.json", list(annotations), list(images), categories)
    return open_data(folder, task="segment", settings=DataSettings(**settings))


BIG = instance(id=1, category_id=1, bbox=[1, 1, 6, 4], segmentation=[box(1, 1, 7, 5)])
SMALL = instance(id=2, category_id=3, bbox=[2, 2, 6, 4], segmentation=[box(2, 2, 4, 4), box(5, 4, 8, 6)])
CROWD = instance(id=3, category_id=1, iscrowd=1, segmentation={"size": [6, 8], "counts": [0, 12, 36]})


def test_the_smaller_lies_over_the_larger_and_crowds_beneath(tmp_path):
    expected = drawn("..000000 .1111110 .1221110 .1221110 .1111222 ..000222")
    for order in ((BIG, SMALL, CROWD), (CROWD, SMALL, BIG), (SMALL, CROWD, BIG)):
        folder = tmp_path / str([each["id"] for each in order])
        data = read(folder, *order)
        assert (data.task, data.classes.names, data.classes.ids) == ("segment", ("background", "cat", "dog"), None)
        (record,) = data.records
        assert np.array_equal(record.target.indices(), expected)
        assert set(record.target.occurring()) == {0, 1, 2}
    assert data.notices == ("what no shape covers is class 0, background",)


def test_what_nobody_drew_is_nobodys_where_that_is_said(tmp_path):
    data = read(tmp_path, BIG, SMALL, CROWD, unlabelled="ignore")
    assert data.classes.names == ("cat", "dog")
    expected = drawn("........ .000000. .011000. .011000. .0000111 .....111")
    assert np.array_equal(data.records[0].target.indices(), expected)
    assert data.notices == ("what no shape covers is not counted",)


def test_a_class_called_background_is_the_ground_and_void_is_nobodys(tmp_path):
    names = [{"id": 1, "name": "cat"}, {"id": 2, "name": "background"}, {"id": 3, "name": "Void"}]
    ground = instance(id=9, category_id=2, segmentation=[box(3, 2, 5, 3)])
    data = read(tmp_path, BIG, instance(id=2, category_id=3, segmentation=[box(1, 1, 2, 2)]), ground, categories=names)
    assert data.classes.names == ("background", "cat")
    expected = drawn("00000000 0.111110 01100110 01111110 01111110 00000000")
    assert np.array_equal(data.records[0].target.indices(), expected)
    assert "1 class is not counted: Void" in data.notices[0]


def test_one_folder_is_boxes_for_one_task_and_masks_for_another(tmp_path):
    assert read(tmp_path, BIG, SMALL).task == "segment"
    for task in (None, "detect", "localize"):
        data = open_data(tmp_path, task=task)
        assert (data.task, data.classes.names) == ("detect", ("cat", "dog"))


def test_a_name_that_is_taken_for_a_picture_of_another_folder_is_told_as_with_boxes(tmp_path):
    picture(tmp_path / "val" / "a.png", 8, 6)
    coco(tmp_path / "a.json", [BIG], [IMAGE | {"file_name": "train/a.png"}], CATEGORIES)
    told = [open_data(tmp_path, task=task).notices[-1] for task in ("detect", "segment")]
    assert told[0] == told[1] and "a.json ('train/a.png', taken: val/a.png)" in told[0]


def test_a_picture_without_objects_is_ground(tmp_path):
    picture(tmp_path / "b.png", 8, 6, seed=1)
    data = read(tmp_path, BIG, images=(IMAGE, IMAGE | {"id": 2, "file_name": "b.png"}))
    assert data.records[1].target.indices().max() == 0


def test_the_drawing_takes_part_in_the_fingerprint(tmp_path):
    one = fingerprint(read(tmp_path / "1", BIG, SMALL))
    assert fingerprint(read(tmp_path / "2", BIG, SMALL)) == one
    moved = SMALL | {"segmentation": [box(2, 2, 4, 5)]}
    others = {fingerprint(read(tmp_path / "3", BIG, moved)), fingerprint(read(tmp_path / "4", BIG, SMALL, CROWD))}
    assert len({one, *others}) == 3


def test_layers_come_before_areas():
    runs = np.array([0, 4], np.int64), np.array([0, 2, 2], np.int64)
    below, above = (
        Shape(index, runs=each, layer=layer) for index, each, layer in zip((1, 2), runs, (0, -1), strict=True)
    )
    assert DrawnMask("a", 2, 2, (below, above), 0).read().tolist() == [[1, 1], [1, 1]]
    above = Shape(2, runs=runs[1], layer=3)
    assert DrawnMask("a", 2, 2, (below, above), 0).read().tolist() == [[2, 1], [2, 1]]
    equal = Shape(3, runs=runs[0])
    assert DrawnMask("a", 2, 2, (below, equal), 0).read().tolist() == [[3, 3], [3, 3]]


def test_runs_are_what_the_library_packs(tmp_path):
    from faster_coco_eval.core.mask import encode

    rng = np.random.default_rng(0)
    for _ in range(200):
        height, width = rng.integers(1, 40, 2)
        covered = rng.random((height, width)) < rng.choice([0.0, 0.02, 0.5, 1.0])
        packed = encode(np.asfortranarray(covered.astype(np.uint8)))["counts"]
        counts = runs_in(covered)["counts"]
        assert unpacked(packed.decode() if isinstance(packed, bytes) else packed) == counts
        runs = runs_of({"size": [height, width], "counts": counts}, (int(height), int(width)))
        assert np.array_equal(DrawnMask("a", int(height), int(width), (Shape(1, runs=runs),), 0).read(), covered)


FAULTS = {
    "no outline": (instance(bbox=[1, 1, 2, 2]), "1 object has no outline: a.json: annotation 7; draw what is missing"),
    "outside": (
        instance(segmentation=[box(1, 1, 10, 5)]),
        "1 shape reaches out of its picture: a.json: annotation 7 (1, 1 to 10, 5 in 8 x 6); correct the annotation",
    ),
    "far": (instance(segmentation=[box(1, 1, 1e12, 5)]), "1 shape lies far out of its picture: a.json: annotation 7"),
    "runs of another size": (
        instance(segmentation={"size": [8, 6], "counts": [0, 48]}),
        "1 run-length mask does not fit its picture: a.json: annotation 7",
    ),
    "too few runs": (instance(segmentation={"size": [6, 8], "counts": [0, 47]}), "does not fit its picture"),
    "negative runs": (instance(segmentation={"size": [6, 8], "counts": [-4, 52]}), "does not fit its picture"),
    "runs of words": (instance(segmentation={"size": [6, 8], "counts": ["a"]}), "does not fit its picture"),
    "packed nonsense": (instance(segmentation={"size": [6, 8], "counts": "\n~~~"}), "does not fit its picture"),
    "a long number": (instance(segmentation={"size": [6, 8], "counts": "o" * 99}), "does not fit its picture"),
    "two points": (instance(segmentation=[[1, 1, 2, 2]]), "segmentation is neither a list of polygons"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_cannot_be_drawn_is_refused(tmp_path, kind):
    annotation, said = FAULTS[kind]
    with pytest.raises(DataError, match=re.escape(said)):
        read(tmp_path, annotation)


def test_other_faults_of_shapes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.json: image 1 \(8 x 6, and it says 9 x 6\)"):
        read(tmp_path, BIG, images=(IMAGE | {"width": 9},))
    with pytest.raises(DataError, match="has one class alone, cat, where it is told from nothing"):
        read(tmp_path, BIG, categories=[{"id": 1, "name": "cat"}], unlabelled="ignore")
    with pytest.raises(DataError, match="--mask-suffix is about masks, and coco data have none"):
        read(tmp_path, BIG, mask_suffix="_a")
    many = [{"id": n, "name": f"c{n}"} for n in range(1, 256)]
    with pytest.raises(DataError, match="has 256 classes; masks have 255 at most"):
        read(tmp_path, BIG, categories=many)


def test_what_reaches_out_is_cut_where_that_is_asked_for(tmp_path):
    data = read(tmp_path, instance(segmentation=[box(4, -3, 30, 5)]), clip=True)
    assert np.array_equal(data.records[0].target.indices(), drawn(" ".join(["00001111"] * 5 + ["00000000"])))
    assert any("1 shape reaches out of its picture, cut at the border" in notice for notice in data.notices)


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><labels><label><name>road</name></label><label><name>car</name></label></labels></task></meta>
<image id="0" name="a.png" width="8" height="6">
{}
</image>
</annotations>
"""
SHAPES = {
    "polygon": '<polygon label="{}" points="1,1;7,1;7,5;1,5" z_order="{}"/>',
    "box": '<box label="{}" xtl="1" ytl="1" xbr="7" ybr="5" z_order="{}"/>',
    "mask": '<mask label="{}" rle="0, 24" left="1" top="1" width="6" height="4" z_order="{}"/>',
    "turned": '<box label="{}" xtl="2" ytl="0" xbr="6" ybr="6" rotation="90" z_order="{}"/>',
}
WHOLE = "00000000 0{0}0 0{0}0 0{0}0 0{0}0 00000000"


def cvat(folder, *lines, text=CVAT):
    picture(folder / "images" / "a.png", 8, 6)
    (folder / "annotations.xml").write_text(text.format("\n".join(lines)))
    return folder


@pytest.mark.parametrize("shape", SHAPES)
def test_cvats_shapes_are_drawn(tmp_path, shape):
    data = open_data(cvat(tmp_path, SHAPES[shape].format("car", 0), '<tag label="x"/>', '<points label="car"/>'))
    assert (data.format, data.task, data.classes.names) == ("cvat", "segment", ("background", "road", "car"))
    assert np.array_equal(data.records[0].target.indices(), drawn(WHOLE.format("222222")))
    assert data.notices[0] == "passed over 1 line or point: annotations.xml:7"


def test_cvats_mask_is_by_rows_and_a_higher_z_order_lies_above(tmp_path):
    small = '<mask label="road" rle="1, 2, 1, 1, 1" left="2" top="2" width="3" height="2" z_order="-1"/>'
    large = SHAPES["box"].format("car", 0)
    ellipse = '<ellipse label="road" cx="4" cy="3" rx="1" ry="1"/>'
    data = open_data(cvat(tmp_path / "a", small, ellipse))
    expected = drawn("00000000 00000000 00011000 00010000 00000000 00000000")
    got = data.records[0].target.indices()
    assert (got[expected == 1] == 1).all() and got[:2].max() == got[:, :2].max() == 0
    assert open_data(cvat(tmp_path / "b", small, large)).records[0].target.indices().tolist() == (
        drawn(WHOLE.format("222222")).tolist()
    )
    above = drawn("00000000 02222220 02211220 02122220 02222220 00000000")
    above[2:4, 2:5] = np.where([[0, 1, 1], [0, 1, 0]], 1, 2)
    data = open_data(cvat(tmp_path / "c", small.replace("-1", "1"), large))
    assert data.records[0].target.indices().tolist() == above.tolist()


CVATS_FAULTS = {
    "track": (CVAT.replace("<image", "<track/><image"), "annotations.xml:4: is of a video, by tracks"),
    "other label": (CVAT.format(SHAPES["box"].format("bus", 0)), "annotations.xml:5: the label is 'bus'; the task has"),
    "no label": (CVAT.format("<box/>"), "annotations.xml:5: <box> has no label"),
    "two points": (CVAT.format('<polygon label="car" points="1,1;2,2"/>'), "annotations.xml:5: points are '1,1;2,2'"),
    "no number": (CVAT.format('<box label="car" xtl="a"/>'), "annotations.xml:5: xtl is 'a'; expected a number"),
    "runs": (
        CVAT.format('<mask label="car" rle="3" left="0" top="0" width="2" height="1"/>'),
        "annotations.xml:5: a mask of 2 x 1 at 0, 0 with runs of 3 pixels in a picture of 8 x 6",
    ),
    "mask outside": (
        CVAT.format('<mask label="car" rle="0, 9" left="0" top="0" width="9" height="1"/>'),
        "annotations.xml:5: a mask of 9 x 1 at 0, 0",
    ),
    "mask of no size": (
        CVAT.format('<mask label="car" rle="0, 4" left="2" top="2" width="-2" height="-2"/>'),
        "annotations.xml:5: a mask of -2 x -2 at 2, 2",
    ),
    "half a run": (
        CVAT.format('<mask label="car" rle="0,1.5" left="0" top="0" width="1" height="1"/>'),
        "annotations.xml:5: rle is '1.5'; expected a whole number of pixels",
    ),
    "half a pixel": (
        CVAT.replace('width="8"', 'width="8.5"'),
        "annotations.xml:4: width is '8.5'; expected a whole number of pixels",
    ),
    "claim": (CVAT.replace('width="8"', 'width="99999999"'), "annotations.xml:4: claims a picture of 99999999 x 6"),
    "other": (CVAT.format('<circle label="car"/>'), "holds <circle>; expected polygon, mask, box or ellipse"),
    "no picture": (CVAT.replace('name="a.png"', 'name="b.png"'), "annotations.xml:4 ('b.png'"),
    "no xml": ("<annotations>", "annotations.xml:1: is not XML"),
}


@pytest.mark.parametrize("kind", CVATS_FAULTS)
def test_what_is_wrong_with_cvats_xml_is_refused_with_its_line(tmp_path, kind):
    text, said = CVATS_FAULTS[kind]
    cvat(tmp_path, text="{}")
    (tmp_path / "annotations.xml").write_text(text.replace("{}", ""))
    with pytest.raises(DataError, match=re.escape(said)):
        open_data(tmp_path)


def labelme(folder, *shapes, name="a", **more):
    picture(folder / f"{name}.png", 8, 6, seed=len(name))
    content = {"version": "5.0", "flags": {}, "shapes": list(shapes), "imagePath": f"{name}.png", "imageData": None}
    content |= {"imageHeight": 6, "imageWidth": 8} | more
    (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def shape(label, points, kind="polygon", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}} | more


LARGE = shape("cat", [[1, 1], [7, 1], [7, 5], [1, 5]])


def test_labelmes_shapes_are_drawn(tmp_path):
    corners = shape("dog", [[2, 2], [4, 3]], "rectangle")
    patch = shape("dog", [[5, 3], [7, 5]], "mask", mask=png([[1, 0], [0, 1]]))
    ignored = shape("__ignore__", [[0, 0], [1, 0], [1, 1], [0, 1]])
    ground = shape("_background_", [[6, 1], [7, 1], [7, 2], [6, 2]])
    line = shape("dog", [[1, 1], [2, 2]], "line")
    data = open_data(labelme(tmp_path, corners, patch, LARGE, ignored, ground, line))
    assert (data.format, data.task, data.classes.names) == ("labelme", "segment", ("background", "cat", "dog"))
    expected = drawn(".0000000 01111100 01221110 01111210 01111120 00000000")
    assert np.array_equal(data.records[0].target.indices(), expected)
    assert data.notices[0] == "passed over 1 line or point: a.json: shapes[5]"


def test_shapes_of_one_group_are_one_object(tmp_path):
    """Two halves of a cat are 12 pixels, more than the dog's 8 that lies over the one of 6."""
    halves = [shape("cat", [[x, 1], [x + 2, 1], [x + 2, 4], [x, 4]]) for x in (0, 5)]
    dog = shape("dog", [[0, 1], [4, 1], [4, 3], [0, 3]])
    apart = open_data(labelme(tmp_path / "a", *halves, dog)).records[0].target.indices()
    assert np.array_equal(apart, drawn("00000000 11220110 11220110 11000110 00000000 00000000"))
    grouped = [each | {"group_id": 4} for each in halves]
    together = open_data(labelme(tmp_path / "b", *grouped, dog)).records[0].target.indices()
    assert np.array_equal(together, drawn("00000000 22220110 22220110 11000110 00000000 00000000"))


LABELMES_FAULTS = {
    "no json": (shape("", []), "a.json: shapes[0]: label is ''; expected a class"),
    "two points": (shape("cat", [[1, 1], [2, 2]]), "a 'polygon' of 2 points; expected a polygon of three or more"),
    "no pairs": (shape("cat", [[1], [2]]), "a.json: shapes[0]: points are [[1], [2]]; expected a list of pairs"),
    "a word": (shape("cat", [["a", 1]] * 3), "a.json: shapes[0]: a point is 'a'; expected a number"),
    "other": (shape("cat", [[1, 1]] * 3, "blob"), "a 'blob' of 3 points"),
    "outside": (shape("cat", [[1, 1], [20, 1], [20, 5]]), "1 shape reaches out of its picture: a.json: shapes[0]"),
    "mask": (shape("cat", [[1, 1]], "mask", mask="no"), "a.json: shapes[0]: its mask is no PNG in base64"),
    "large mask": (shape("cat", [[7, 5]], "mask", mask=png(np.ones((3, 3)))), "its mask reaches out of its picture"),
    "number": (3, "a.json: shapes[0] is 3; expected an object"),
}


@pytest.mark.parametrize("kind", LABELMES_FAULTS)
def test_what_is_wrong_with_labelmes_json_is_refused_with_its_place(tmp_path, kind):
    given, said = LABELMES_FAULTS[kind]
    with pytest.raises(DataError, match=re.escape(said)):
        open_data(labelme(tmp_path, given))


def test_pictures_that_labelme_has_no_file_for_are_asked_about(tmp_path):
    labelme(tmp_path, LARGE)
    picture(tmp_path / "b.png", 8, 6, seed=5)
    with pytest.raises(DataError, match=r"1 picture has no annotations: b\.png"):
        open_data(tmp_path)
    for choice, count in (("skip", 1), ("background", 2), ("ignore", None)):
        settings = DataSettings(unlabelled=choice)
        if count is None:
            with pytest.raises(DataError, match="one class alone"):
                open_data(tmp_path, settings=settings)
        else:
            assert len(open_data(tmp_path, settings=settings).records) == count


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("task", [None, "segment"])
def test_labelmes_files_without_their_pictures_are_said_to_be(tmp_path, embedded, task):
    """Never that there is one class alone, also where the only other class is in what is missing."""
    more = {"imageData": png([[1, 0]])} if embedded else {}
    for name in ("a", "bb"):
        labelme(tmp_path, LARGE, name=name, **more)
        (tmp_path / f"{name}.png").unlink()
    nameless = json.loads((tmp_path / "a.json").read_text()) | {"imagePath": None}
    (tmp_path / "ccc.json").write_text(json.dumps(nameless))
    said = "3 annotations have no pictures beside them: a.json ('a.png'), bb.json ('bb.png'), ccc.json ('ccc'); "
    said += "put the pictures there" + ", as files; those within the JSON (imageData) are not read" * embedded
    for settings in (DataSettings(), DataSettings(unlabelled="ignore")):
        with pytest.raises(DataError, match=f": {re.escape(said)}$"):
            open_data(tmp_path, task=task, settings=settings)
    labelme(tmp_path, LARGE)
    with pytest.raises(DataError, match=r": 2 annotations have no pictures beside them: bb\.json \('bb\.png'"):
        open_data(tmp_path, task=task, settings=DataSettings(unlabelled="ignore"))
