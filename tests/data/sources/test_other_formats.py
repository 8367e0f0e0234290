"""The VGG Image Annotator, dlib and CSV: the same two objects in the same picture, however they are written."""

import json
import re

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import open_data
from tests.data.sources.annotated import coco, instance, picture

RECT = {"name": "rect", "x": 2, "y": 3, "width": 4, "height": 5}
OVAL = {"name": "ellipse", "cx": 10, "cy": 5, "rx": 3, "ry": 2.5}
SHAPE = {"name": "polygon", "all_points_x": [9, 13, 11, 7], "all_points_y": [2.5, 3, 7.5, 4]}


def via(*regions, name="a.png"):
    return {f"{name}123": {"filename": name, "size": 123, "file_attributes": {}, "regions": regions}}


def region(shape, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes or {"class": "cat"}}


def via_csv(*rows):
    lines = ["filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"]
    quoted = [[json.dumps(each).replace('"', '""') for each in row] for row in rows]
    return "\n".join(lines + [f'a.png,123,"{{}}",{len(rows)},{n},"{s}","{a}"' for n, (s, a) in enumerate(quoted)])


def dlib(*boxes, name="a.png", more=""):
    return (
        f"<?xml version='1.0'?>\n<dataset>\n<images>\n<image file='{name}'{more}>\n"
        + "\n".join(boxes)
        + "</image></images></dataset>"
    )


BOX = "<box top='3' left='2' width='4' height='5'><label>cat</label><part name='1' x='3' y='4'/></box>"
DOG = "<box top='2.5' left='7' width='6' height='5'><label>dog</label></box>"
BOTH = [region(RECT, name="cat", pose="x"), region(SHAPE, name={"dog": True, "cat": False})]

WRITTEN = {
    "via project": ("a.json", json.dumps({"_via_settings": {}, "_via_img_metadata": via(*BOTH)})),
    "via annotations": ("a.json", json.dumps(via(*BOTH))),
    "via 1": ("a.json", json.dumps({"a": via(*BOTH)["a.png123"] | {"regions": dict(enumerate(BOTH))}})),
    "via ellipse": ("a.json", json.dumps(via(BOTH[0], region(OVAL, type="dog")))),
    "via csv": ("a.csv", via_csv((RECT, {"class": "cat"}), (SHAPE, {"class": "dog"}))),
    "dlib": ("a.xml", dlib(BOX, DOG)),
    "dlib with sizes": ("a.xml", dlib(BOX, DOG, more=" width='20' height='10'")),
    "csv": ("a.csv", "filename,class,xmin,ymin,xmax,ymax\na.png,cat,2,3,6,8\na.png,dog,7,2.5,13,7.5\n"),
    "csv of tensorflow": (
        "a.csv",
        "filename,width,height,class,xmin,ymin,xmax,ymax\r\na.png,20,10,cat,2,3,6,8\r\na.png,20,10,dog,7,2.5,13,7.5\r\n",
    ),
    "csv with sides": ("a.csv", "x;y;w;h;label;image\n2;3;4;5;cat;a.png\n7;2.5;6;5;dog;a.png\n"),
}


@pytest.mark.parametrize(("name", "content"), WRITTEN.values(), ids=WRITTEN)
def test_two_objects(tmp_path, name, content):
    picture(tmp_path / "images" / "a.png")
    (tmp_path / name).write_text(content)
    dataset = open_data(tmp_path)
    assert (dataset.task, dataset.classes.names) == ("detect", ("cat", "dog"))
    (record,) = dataset.records
    assert record.target.xyxy.tolist() == [[2, 3, 6, 8], [7, 2.5, 13, 7.5]]
    assert record.target.classes.tolist() == [0, 1]
    outlines = [notice for notice in dataset.notices if notice.startswith("1 outline taken for the boxes around: a.")]
    assert len(outlines) == len(dataset.notices) == (dataset.format == "via")
    assert open_data(tmp_path / name).records[0].target.xyxy.tolist() == record.target.xyxy.tolist()


@pytest.mark.parametrize(
    ("theta", "box"),
    [(0, [8, 13, 32, 17]), (np.pi / 2, [18, 3, 22, 27]), (np.pi / 6, [9.56, 8.75, 30.44, 21.25])],
)
def test_an_ellipse_that_is_turned(tmp_path, theta, box):
    """Against the points of its outline, and by hand."""
    picture(tmp_path / "a.png", 40, 30)
    oval = {"name": "ellipse", "cx": 20, "cy": 15, "rx": 12, "ry": 2, "theta": theta}
    (tmp_path / "a.json").write_text(json.dumps(via(region(oval))))
    (found,) = open_data(tmp_path).records[0].target.xyxy.tolist()
    turns = np.linspace(0, 2 * np.pi, 100_001)
    x, y = 12 * np.cos(turns), 2 * np.sin(turns)
    across, down = 20 + x * np.cos(theta) - y * np.sin(theta), 15 + x * np.sin(theta) + y * np.cos(theta)
    assert np.allclose(found, [across.min(), down.min(), across.max(), down.max()], atol=1e-6)
    assert np.allclose(found, box, atol=0.01)


def test_what_is_listed_without_objects_has_none(tmp_path):
    """And what is not listed is passed over, but in a CSV, which cannot say that there are none."""
    for seed, name in enumerate("abc"):
        picture(tmp_path / f"{name}.png", seed=seed)
    for name, content in (
        ("a.json", json.dumps(via(region(RECT)) | via(name="b.png"))),
        ("a.xml", dlib(BOX).replace("</images>", "<image file='b.png'/></images>")),
    ):
        (tmp_path / name).write_text(content)
        dataset = open_data(tmp_path)
        assert [len(record.target) for record in dataset.records] == [1, 0]
        assert dataset.notices == ("passed over 1 picture that the annotations do not list: c.png",)
        (tmp_path / name).unlink()
    (tmp_path / "a.csv").write_text("a.png,2,3,6,8,cat\nb.png,,,,,\nb.png\n")
    with pytest.raises(DataError, match=r"1 picture has no annotations: c\.png"):
        open_data(tmp_path, format="boxes-csv")
    (tmp_path / "c.png").unlink()
    assert [len(record.target) for record in open_data(tmp_path / "a.csv", format="boxes-csv").records] == [1, 0]


def test_flags_and_missing_labels_of_dlib(tmp_path):
    picture(tmp_path / "a.png")
    plain, hard = (BOX.replace("<label>cat</label>", ""), DOG.replace("<label>dog</label>", ""))
    (tmp_path / "a.xml").write_text(
        dlib(plain.replace("<box", "<box ignore='1'"), hard.replace("<box", "<box difficult='1'"))
    )
    (record,) = (dataset := open_data(tmp_path)).records
    assert dataset.classes.names == ("object",)
    assert (record.target.crowd.tolist(), record.target.difficult.tolist()) == ([True, False], [False, True])
    (tmp_path / "a.xml").write_text(dlib(BOX, DOG.replace("dog", "object")))
    assert open_data(tmp_path).classes.names == ("cat", "object")


def test_dlibs_files_may_be_called_as_splits(tmp_path):
    for seed, name in enumerate("abc"):
        picture(tmp_path / f"{name}.png", seed=seed)
    for name, file in {"a": "labels_train", "b": "labels_test"}.items():
        (tmp_path / f"{file}.xml").write_text(dlib(BOX, name=f"{name}.png"))
    assert [record.split for record in open_data(tmp_path).records] == ["test", "train"]
    assert open_data(tmp_path / "labels_test.xml").records[0].split is None
    (tmp_path / "more.xml").write_text(dlib(BOX, name="c.png"))
    with pytest.raises(DataError, match=r"several XML files \(labels_test\.xml, .*, whose names do not say one split"):
        open_data(tmp_path)
    for name in ("labels_train", "labels_test"):
        (tmp_path / f"{name}.xml").rename(tmp_path / f"{len(name)}.xml")
    assert [record.split for record in open_data(tmp_path).records] == [None] * 3


MALFORMED = {
    "via/shape": (
        "a.json",
        json.dumps(via(region({"name": "point"}))),
        "a.json: a.png123, region 0: its shape is 'point'",
    ),
    "via/no class": ("a.json", json.dumps(via(region(RECT, a="1", b="2"))), "region 0: which attribute is its class"),
    "via/no name": ("a.json", json.dumps(via(region(RECT, name=""))), "region 0: name is ''; expected one class"),
    "via/two classes": (
        "a.json",
        json.dumps(via(region(RECT, name={"cat": True, "dog": True}))),
        "region 0: name is",
    ),
    "via/null": ("a.json", json.dumps(via(region(None))), "a.json: a.png123, region 0: its shape is None"),
    "via/half a character": (
        "a.json",
        json.dumps(via(region(RECT, name="\ud83d"))),
        r"a.json: is not JSON that can be read: '\ud83d' is half of a character",
    ),
    "via/csv half": (
        "a.csv",
        via_csv((RECT, {"class": r"\ud83d"})).replace("\\\\", "\\"),
        "a.csv:2: region_attributes is not JSON that can be read",
    ),
    "via/key twice": (
        "a.json",
        json.dumps(via(region(RECT)) | {"b": 3}).replace('"b"', '"a.png123"'),
        "a.json: is not JSON that can be read: an object has the key 'a.png123' twice",
    ),
    "via/no shape": (
        "a.json",
        json.dumps(via({"region_attributes": {"class": "cat"}})),
        "a.png123, region 0: its shape is None",
    ),
    "via/twice": (
        "a.json",
        json.dumps(via(region(RECT)) | {"a.png9": via(region(OVAL))["a.png123"]}),
        "1 picture is annotated in two places: a.png in a.json: a.png123 and a.json: a.png9",
    ),
    "via/turn": ("a.json", json.dumps(via(region(OVAL | {"theta": "x"}))), "region 0: theta is 'x'; expected a number"),
    "via/csv null": ("a.csv", via_csv((None, {"class": "cat"})), "a.csv:2: its shape is None"),
    "via/csv none": (
        "a.csv",
        via_csv((RECT, {"class": "cat"})).replace(",1,0,", ",0,0,"),
        "a.csv:2: region_count of 'a.png' is '0', and there is 1 row with a shape",
    ),
    "via/csv five": (
        "a.csv",
        via_csv((RECT, {"class": "cat"})).replace(",1,0,", ",5,0,"),
        "a.csv:2: region_count of 'a.png' is '5', and there is 1 row with a shape",
    ),
    "via/csv counts": (
        "a.csv",
        via_csv(*[(shape, {"class": "cat"}) for shape in (RECT, OVAL)]).replace(",2,1,", ",1,1,"),
        "a.csv:3: region_count is '1', and '2' in a.csv:2",
    ),
    "via/csv twice": (
        "a.csv",
        via_csv(*[(shape, {"class": "cat"}) for shape in (RECT, OVAL)]).replace(",2,", ",1,").replace("123", "9", 1),
        "1 picture is annotated in two places: a.png in a.csv:2 and a.csv:3",
    ),
    "via/no width": ("a.json", json.dumps(via(region({"name": "rect", "x": 1, "y": 1}))), "region 0: width is None"),
    "via/points": ("a.json", json.dumps(via(region(SHAPE | {"all_points_x": [1]}))), "two lists of equal length"),
    "via/no picture": ("a.json", json.dumps(via(region(RECT), name="b.png")), "('b.png'. Did you mean 'a.png'?)"),
    "via/regions": (
        "a.json",
        '{"a": {"filename": "a.png", "regions": 3}}',
        "a.json: a: expected a filename and regions",
    ),
    "via/csv": (
        "a.csv",
        via_csv((RECT, {"class": "cat"})).replace('"{""name', '"{name'),
        "a.csv:2: region_shape_attributes",
    ),
    "via/no json": ("a.json", '{"_via_img_metadata": {\n"a": }', "a.json:2: is not JSON: Expecting value"),
    "via/deep": ("a.json", '{"_via_img_metadata": ' + "[" * 100_000, "a.json: is nested too deeply"),
    "via/a list": ("a.json", '[{"filename": "a.png", "regions": []}]', "a.json: is not of the VGG Image Annotator;"),
    "via/a number": (
        "a.json",
        json.dumps(via(region(RECT), 3)),
        "a.json: a.png123: region 1 is no object with shape_attributes and region_attributes",
    ),
    "via/outside": (
        "a.json",
        json.dumps(via(region(RECT | {"x": 17}))),
        "a.json: a.png123, region 0 (17, 3 to 21, 8 in 20 x 10)",
    ),
    "via/csv columns": (
        "a.csv",
        "filename,region_shape_attributes\na.png,{}\n",
        "a.csv:1: has no columns region",
    ),
    "dlib/root": ("a.xml", "<data><dataset/><images/></data>", "a.xml:1: holds <data>; expected <dataset>"),
    "dlib/no width": ("a.xml", dlib(BOX, "<box top='1' left='1' height='2'/>"), "a.xml:6: <box> has no width"),
    "dlib/a word": ("a.xml", dlib(BOX.replace("'5'", "'x'")), "a.xml:5: height is 'x'; expected a number"),
    "dlib/no file": ("a.xml", dlib(BOX, name=""), "a.xml:4: <image> has no file"),
    "dlib/no picture": ("a.xml", dlib(BOX, name="b.png"), "a.xml:4 ('b.png'. Did you mean 'a.png'?)"),
    "dlib/some labels": ("a.xml", dlib(BOX, BOX.replace("<label>cat</label>", "")), "a.xml:6: a box without <label>"),
    "dlib/flag": ("a.xml", dlib(BOX.replace("<box", "<box ignore='yes'")), "a.xml:5: ignore is 'yes'; expected 0 or 1"),
    "dlib/size": ("a.xml", dlib(BOX, more=" width='10' height='20'"), "a.xml:4 (20 x 10, and it says 10 x 20)"),
    "dlib/half a pixel": (
        "a.xml",
        dlib(BOX, more=" width='20' height='10.5'"),
        "a.xml:4: height is '10.5'; expected a",
    ),
    "dlib/entities": (
        "a.xml",
        dlib(BOX).replace("<dataset>", "<!DOCTYPE d [<!ENTITY e 'x'>]><dataset>"),
        "a.xml:2: declares a document type",
    ),
    "dlib/external entity": (
        "a.xml",
        dlib(BOX).replace("<dataset>", "<!DOCTYPE d SYSTEM 'file:///etc/passwd'><dataset>"),
        "a.xml:2: declares a document type",
    ),
    "dlib/deep": ("a.xml", "<dataset><images>\n" + "<a>" * 100_000, "a.xml:2: is nested too deeply"),
    "dlib/cut": ("a.xml", dlib(BOX)[:-30], "a.xml:5: is not XML: "),
    "dlib/no images": ("a.xml", "<dataset>\n</dataset>", "a.xml:1: <dataset> has no <images>; expected one"),
    "dlib/empty label": ("a.xml", dlib(BOX.replace("cat", "")), "a.xml:5: an empty <label>; expected the name"),
    "dlib/flat": ("a.xml", dlib(BOX, BOX.replace("'5'", "'0'")), "1 box has no area: a.xml:6"),
    "boxes-csv/empty": ("a.csv", "", "a.csv is empty; expected a line a box: picture, left"),
    "boxes-csv/a size": (
        "a.csv",
        "image,label,x1,y1,x2,y2,width,height\na.png,cat,1,2,3,4,10,20\n",
        "a.csv:2 (20 x 10, and it says 10 x 20)",
    ),
    "boxes-csv/two sizes": (
        "a.csv",
        "image,label,x1,y1,x2,y2,width,height\na.png,cat,1,2,3,4,20,10\na.png,cat,1,2,3,5,10,20\n",
        "a.csv:3: 'a.png' is 10 x 20, and 20 x 10 by a.csv:2",
    ),
    "boxes-csv/half a pixel": (
        "a.csv",
        "image,label,x1,y1,x2,y2,width,height\na.png,cat,1,2,3,4,20,10.5\n",
        "a.csv:2: height is '10.5'; expected a whole number of pixels",
    ),
    "boxes-csv/outside": (
        "a.csv",
        "image,label,x1,y1,x2,y2\na.png,cat,1,2,3,4\na.png,cat,1,2,3,10.5\n",
        "a.csv:3 (1, 2 to 3, 10.5 in 20 x 10)",
    ),
    "boxes-csv/latin": ("a.csv", "image,label,x1,y1,x2,y2\na.png,caf\udce9,1,2,3,4\n", "a.csv is not UTF-8 text"),
    "boxes-csv/short": ("a.csv", "image,label,x1,y1,x2,y2\na.png,cat,1,2\n", "a.csv:2: has 4 columns; expected 6"),
    "boxes-csv/word": ("a.csv", "image,label,x1,y1,x2,y2\n\na.png,cat,1,2,x,4\n", "a.csv:3: right is 'x'"),
    "boxes-csv/no class": ("a.csv", "image,label,x1,y1,x2,y2\na.png,,1,2,3,4\n", "a.csv:2: a box without a class"),
    "boxes-csv/no picture": ("a.csv", "image,label,x1,y1,x2,y2\n,cat,1,2,3,4\n", "a.csv:2: names no picture"),
    "boxes-csv/quote": ("a.csv", 'image,label,x1,y1,x2,y2\na.png,"cat"x,1,2,3,4\n', "a.csv:2: is not CSV"),
}


@pytest.mark.parametrize(("name", "content", "said"), MALFORMED.values(), ids=MALFORMED)
def test_it_is_refused_with_its_place(tmp_path, name, content, said, request):
    picture(tmp_path / "a.png")
    (tmp_path / name).write_text(content, errors="surrogateescape")
    with pytest.raises(DataError, match=re.escape(said)):
        open_data(tmp_path, format=request.node.callspec.id.partition("/")[0])


def test_parts_of_the_sides_are_not_taken_for_pixels(tmp_path):
    picture(tmp_path / "csv" / "a.png")
    (tmp_path / "csv" / "boxes.csv").write_text("filename,class,xmin,ymin,xmax,ymax\na.png,cat,0.1,.1,.5,1\n")
    picture(tmp_path / "coco" / "a.png")
    coco(tmp_path / "coco" / "x.json", [instance(id=1, bbox=[0.1, 0.1, 0.5, 0.5])])
    for name, where in (("csv", "boxes.csv:2"), ("coco", "annotation 1")):
        with pytest.raises(DataError, match="parts of the pictures' sides") as raised:
            open_data(tmp_path / name)
        assert where in str(raised.value) and "in 20 x 10" in str(raised.value)
    coco(
        tmp_path / "coco" / "x.json",
        [instance(id=1, bbox=[0.1, 0.1, 0.5, 0.5]), instance(id=2, bbox=[0.1, 0.1, 1.5, 0.5])],
    )
    assert len(open_data(tmp_path / "coco").records[0].target) == 2
