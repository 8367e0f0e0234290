"""What is wrong with annotations is refused, or mended where that is asked for, and always named with its place."""

import os
import re
from pathlib import Path

import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.settings import DataSettings
from tests.data.sources.annotated import coco, instance, picture, voc, voc_object

CAT = voc_object("cat", 1, 1, 5, 5)
DOCUMENT = '<?xml version="1.0"?>\n<!DOCTYPE annotation [{}]>\n<annotation><filename>{}</filename></annotation>'
BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 9 if n else "x" * 9}">' for n in range(10))


def raw(name, content):
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def xml(*objects, size=(20, 10)):
    return lambda folder: voc(folder, "a", *objects, size=size)


def instances(*annotations, images=None, categories=None):
    return lambda folder: coco(folder / "a.json", list(annotations), images, categories)


def text(content, classes="cat\ndog\n", **more):
    def write(folder):
        for name, words in {"classes.txt": classes, "a.txt": content, **more}.items():
            if words is not None:
                (folder / name).write_text(words)

    return write


def yaml(content):
    return text("0 0.5 0.5 1 1", classes=None, **{"data.yaml": content})


FORMATS = {"xml": "voc", "json": "coco", "txt": "yolo", "yaml": "yolo"}
IMAGE = {"id": 1, "file_name": "a.png", "width": 20, "height": 10}

MALFORMED = {
    # Pascal VOC
    "xml/no xml": (raw("a.xml", "<annotation>\n<object></annotation>"), "a.xml:2: is not XML: mismatched tag"),
    "xml/empty": (raw("a.xml", ""), "a.xml:1: is not XML: no element found"),
    "xml/latin": (raw("a.xml", b"<annotation>\xe9</annotation>"), "a.xml is not UTF-8 text"),
    "xml/utf-16": (raw("a.xml", "<annotation/>".encode("utf-16")), "a.xml is not UTF-8 text"),
    "xml/cut": (
        raw("a.xml", "<annotation>\n<object>\n<name>cat"),
        "a.xml:3: is not XML: no element found (column 10); it ends too soon",
    ),
    "xml/cut in a tag": (
        raw("a.xml", "<annotation>\n<obj"),
        "a.xml:2: is not XML: unclosed token (column 1); it ends too",
    ),
    "xml/other": (raw("a.xml", "\n<dataset/>"), "a.xml:2: holds <dataset>; expected <annotation>"),
    "xml/entities": (raw("a.xml", DOCUMENT.format(BOMB, "&e9;")), "a.xml:2: declares a document type"),
    "xml/external entity": (
        raw("a.xml", DOCUMENT.format('<!ENTITY e SYSTEM "file:///etc/passwd">', "&e;")),
        "a.xml:2: declares a document type",
    ),
    "xml/external subset": (
        raw("a.xml", '<!DOCTYPE annotation SYSTEM "http://example.com/a.dtd"><annotation/>'),
        "a.xml:1: declares a document type",
    ),
    "xml/undefined entity": (raw("a.xml", "<annotation>&cat;</annotation>"), "a.xml:1: is not XML: undefined entity"),
    "xml/deep": (raw("a.xml", "<annotation>\n" + "<a>" * 100_000), "a.xml:2: is nested too deeply"),
    "xml/no name": (xml(CAT.replace("<name>cat</name>", "")), "Annotations/a.xml:4: <object> has no <name>"),
    "xml/empty name": (xml(CAT.replace("cat", " ")), "Annotations/a.xml:4: an object without a name"),
    "xml/two boxes": (xml(CAT.replace("</bndbox>", "</bndbox><bndbox/>")), "a.xml:4: <object> has 2 <bndbox>"),
    "xml/no xmax": (xml(CAT.replace("<xmax>5</xmax>", "")), "a.xml:7: <bndbox> has no <xmax>"),
    "xml/a word": (xml(voc_object("cat", "left", 1, 5, 5)), "a.xml:8: xmin is 'left'; expected a number"),
    "xml/nan": (xml(voc_object("cat", 1, "nan", 5, 5)), "a.xml:9: ymin is 'nan'; expected a number"),
    "xml/underscore": (xml(voc_object("cat", 1, 1, "1_0", 5)), "a.xml:10: xmax is '1_0'; expected a number"),
    "xml/huge": (xml(voc_object("cat", 1, 1, 5, "1e999")), "a.xml:11: ymax is '1e999'; expected a number"),
    "xml/zero": (xml(voc_object("cat", 0, 1, 5, 5)), "reaches out of its picture: Annotations/a.xml:4 (-1, 0 to 5, 5"),
    "xml/outside": (xml(CAT, voc_object("cat", 1, 1, 21, 5)), "Annotations/a.xml:14 (0, 0 to 21, 5 in 20 x 10)"),
    "xml/swapped": (xml(voc_object("cat", 9, 1, 5, 5)), "1 box has no area: Annotations/a.xml:4"),
    "xml/twice": (xml(CAT, CAT), "1 box repeats another of its class: Annotations/a.xml:14"),
    "xml/difficult": (xml(voc_object("cat", 1, 1, 5, 5, "<difficult>yes</difficult>")), "a.xml:4: difficult is 'yes'"),
    "xml/turned": (xml(CAT, size=(10, 20)), "Annotations/a.xml (20 x 10, and it says 10 x 20)"),
    "xml/half a pixel": (xml(CAT, size=(20, 10.5)), "Annotations/a.xml: height is '10.5'; expected a whole number"),
    "xml/spelling": (
        xml(CAT, voc_object("Cat", 1, 1, 6, 6)),
        "'cat' (Annotations/a.xml:4) and 'Cat' (Annotations/a.xml:14)",
    ),
    "xml/no picture": (lambda folder: [voc(folder, "a", CAT), voc(folder, "ab", CAT)], "Annotations/ab.xml ('ab.png'."),
    "xml/two of a picture": (
        lambda folder: [voc(folder, "a", CAT), voc(folder, "b", CAT).write_text(voc(folder, "a", CAT).read_text())],
        "a.png in Annotations/a.xml and Annotations/b.xml",
    ),
    "xml/no object": (xml(), "has no object in any of 1 picture"),
    # COCO
    "json/no json": (raw("a.json", '{"images": [\n,'), "a.json:2: is not JSON: Expecting value (column 1)"),
    "json/empty": (raw("a.json", ""), "a.json:1: is not JSON: Expecting value (column 1)"),
    "json/cut": (
        raw("a.json", '{"images": [{"id": 1,\n"file_name": "a.p'),
        "a.json:2: is not JSON: Unterminated",
    ),
    "json/deep": (raw("a.json", '{"images": [' + "[" * 100_000), "a.json: is nested too deeply"),
    "json/nan": (raw("a.json", '{"images": [NaN]}'), "a.json: is not JSON that can be read: NaN"),
    "json/digits": (raw("a.json", '{"images": [' + "9" * 5000 + "]}"), "a.json: is not JSON that can be read"),
    "json/lists": (raw("a.json", '{"images": [], "annotations": {}}'), "a.json: is not COCO's JSON; expected"),
    "json/a number": (instances(3), "a.json: annotations[0] is 3; expected an object"),
    "json/no id": (instances(instance(id=None)), "a.json: annotations[0]: id is None; expected a whole number"),
    "json/id twice": (instances(instance(), instance()), "a.json: annotation 7: there are two annotations of this id"),
    "json/image twice": (instances(images=[IMAGE, IMAGE]), "a.json: image 1: there are two images of this id"),
    "json/file twice": (instances(images=[IMAGE, IMAGE | {"id": 2}]), "a.png in a.json: image 1 and a.json: image 2"),
    "json/no file": (instances(images=[{"id": 1}]), "a.json: image 1: file_name is None; expected a name"),
    "json/no picture": (
        instances(images=[IMAGE | {"file_name": "b.png"}]),
        "a.json: image 1 ('b.png'. Did you mean 'a.png'?)",
    ),
    "json/height": (
        instances(instance(), images=[{**IMAGE, "height": 1e299}]),
        "height is 1e+299; expected a whole number of pixels",
    ),
    "json/size": (
        instances(instance(), images=[IMAGE | {"width": 21}]),
        "a.json: image 1 (20 x 10, and it says 21 x 10)",
    ),
    "json/no image": (instances(instance(image_id=3)), "a.json: annotation 7: image_id is 3, and there is no image"),
    "json/no category": (
        instances(instance(category_id=0)),
        "annotation 7: category_id is 0, and there is no category",
    ),
    "json/true": (
        instances(instance(category_id=True)),
        "annotation 7: category_id is True; expected a whole number",
    ),
    "json/two names": (
        instances(categories=[{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]),
        "a.json: category 1 has two names, 'cat' and 'dog'",
    ),
    "json/one name": (
        instances(
            *(instance(), instance(id=8, category_id=2)),
            categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}],
        ),
        "a.json: categories 1 and 2 are both called 'cat'",
    ),
    "json/no box": (instances(instance(bbox=None)), "a.json: annotation 7: bbox is None; expected left, top, width"),
    "json/short box": (instances(instance(bbox=[1, 2, 3])), "a.json: annotation 7: bbox is [1, 2, 3]"),
    "json/a word": (instances(instance(bbox=[1, 2, 3, "x"])), "annotation 7: bbox is 'x'; expected a number"),
    "json/flat": (instances(instance(bbox=[1, 2, 3, 0])), "1 box has no area: a.json: annotation 7"),
    "json/beyond": (instances(instance(bbox=[1, 2, 19.02, 3])), "a.json: annotation 7 (1, 2 to 20.02, 5 in 20 x 10)"),
    "json/crowd": (instances(instance(iscrowd=2)), "annotation 7: iscrowd is 2; expected 0 or 1"),
    "json/area": (instances(instance(area=-5)), "a.json: annotation 7: area is -5; expected pixels, 0 or more"),
    "json/half a pixel": (
        instances(images=[IMAGE | {"height": 10.9}]),
        "a.json: image 1: height is 10.9; expected a whole number of pixels",
    ),
    "json/a huge side": (
        instances(images=[IMAGE | {"width": 1e299}]),
        "a.json: image 1: width is 1e+299; expected a w",
    ),
    "json/key twice": (
        raw("a.json", '{"images": [], "annotations": [], "annotations": [], "categories": []}'),
        "a.json: is not JSON that can be read: an object has the key 'annotations' twice",
    ),
    "json/half a character": (
        instances(categories=[{"id": 1, "name": "\ud800cat"}]),
        r"a.json: is not JSON that can be read: '\ud800' is half of a character",
    ),
    **{
        f"json/mask of {size}": (
            instances(instance(segmentation={"counts": [4], "size": size})),
            "annotation 7: segmentation is neither a list of polygons",
        )
        for size in ([], [2], [2, 0], [2, 2.5], [True, 4])
    },
    "json/outline": (instances(instance(segmentation=[[1, 2, 3]])), "annotation 7: segmentation is neither"),
    "json/outline of words": (instances(instance(segmentation=[["a"] * 6])), "annotation 7: segmentation is neither"),
    "json/other categories": (
        lambda folder: [
            coco(folder / "train.json", [instance()]),
            coco(folder / "val.json", [instance(category_id=3)], categories=[{"id": 3, "name": "cow"}]),
        ],
        "val.json: has other categories than train.json; expected the same in each",
    ),
    "json/two": (
        lambda folder: [coco(folder / f"{name}.json", [instance()]) for name in "ab"],
        "holds several JSON files (a.json, b.json)",
    ),
    # YOLO
    "txt/short": (text("0 0.5 0.5 1 1\n0 0.5 0.5 1"), "a.txt:2: has 4 words; expected a class and four numbers"),
    "txt/score": (text("0 0.5 0.5 1 1 0.9"), "a.txt:1: has 6 words (the sixth may be a score"),
    "txt/class": (text("0 .5 .5 1 1\ncat 0.5 0.5 1 1"), "a.txt:2: class 'cat' is no whole number; expected 0 to 1"),
    "txt/base": (
        text("0 .5 .5 1 1\n2 0.5 0.5 1 1"),
        "a.txt:2: class 2, but there are 2 classes, 0 to 1; classes count",
    ),
    "txt/pixels": (text("0 10 5 4 4"), "a.txt:1: 10 is no part of a picture's side; expected numbers from 0 to 1"),
    "txt/comma": (text("0 0.5 0.5 1 1\n0 0,5 0,5 1 1"), "a.txt:2: a coordinate is '0,5'; expected a number"),
    "txt/negative": (text("0 0.5 0.5 -0.2 0.5"), "1 box has no area: a.txt:1"),
    "txt/outside": (text("0 0.5 0.5 1.1 1"), "1 box reaches out of its picture: a.txt:1 (-1, 0 to 21, 10 in 20 x 10)"),
    "txt/twice": (text("0 0.5 0.5 1 1\n" * 2), "1 box repeats another of its class: a.txt:2"),
    "txt/no names": (text("0 0.5 0.5 1 1", classes=None), "what its classes are called is not said"),
    "txt/empty name": (text("0 0.5 0.5 1 1", classes="cat\n\ndog"), "classes.txt:2: an empty name"),
    "txt/same name": (text("0 0.5 0.5 1 1", classes="cat\ndog\ncat"), "classes.txt:3: 'cat' once more"),
    "txt/two pictures": (
        lambda folder: [picture(folder / "a.jpg", seed=1), text("0 0.5 0.5 1 1")(folder)],
        "a.txt is the text of two pictures, a.jpg and a.png, which differ in their suffix alone",
    ),
    "txt/no picture": (text("0 0.5 0.5 1 1", **{"b.txt": "0 0.5 0.5 1 1"}), "of a picture that is not there: b.txt"),
    "yaml/no yaml": (yaml("names: [cat\nnc: 1"), "data.yaml:2: is not YAML"),
    "yaml/deep": (yaml("names: " + "[" * 20_000), "data.yaml: is not YAML that can be read"),
    "yaml/count": (yaml("names: [cat]\nnc: 2"), "data.yaml:2: nc is '2', but there are 1 names"),
    "yaml/other names": (
        text("0 0.5 0.5 1 1", **{"data.yaml": "names: [dog, cat]"}),
        "data.yaml and classes.txt name the classes differently",
    ),
    "yaml/a bomb": (
        yaml("a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(30)) + "names: *b29"),
        "data.yaml:1: expected one word or path here",
    ),
    "yaml/no picture": (
        text("0 0.5 0.5 1 1", None, **{"data.yaml": "names: [cat]\ntrain: train.txt", "train.txt": "a.png\nb.png\n"}),
        "train.txt:2: there is no such picture ('b.png'. Did you mean 'a.png'?)",
    ),
    "yaml/two splits": (
        text(
            "0 0.5 0.5 1 1",
            None,
            **{"data.yaml": "names: [cat]\ntrain: one.txt\nval: two.txt", "one.txt": "a.png\n", "two.txt": "a.png\n"},
        ),
        "data.yaml:3: a.png is in train, too; expected one split",
    ),
    "yaml/points": (yaml("names: [cat, dog]\nkpt_shape: 17"), "data.yaml:2: kpt_shape is no list of how many points"),
    "yaml/other points": (
        text("0 .5 .5 1 1 .5 .5\n", None, **{"data.yaml": "names: [cat]\nkpt_shape: [2, 2]"}),
        "a.txt:1: has 7 words; expected a class, four numbers and 4 of points, as kpt_shape says",
    ),
    "yaml/half a character": (yaml('names: [cat, "\\ud83d"]'), r"data.yaml:1: '\ud83d' has half of a character"),
    "yaml/gap": (yaml("names:\n  0: cat\n  2: dog"), "data.yaml:2: names are not a list, or not numbered from 0"),
    "yaml/same name": (yaml("names:\n- cat\n- cat"), "data.yaml:3: classes 0 and 1 are both called 'cat'"),
    "yaml/same number": (yaml("names:\n  0: cat\n  0: dog"), "data.yaml:3: '0' is there twice"),
    "yaml/long": (yaml(f"names: [cat]\nval: {'x' * 5000}"), "data.yaml:2: there is no 'xxx"),
    "txt/long": (
        text("0 .5 .5 1 1", **{"obj.data": "train = " + "x" * 5000}),
        "obj.data:1: there is no 'xxx",
    ),
    "yaml/no folder": (yaml("names: [cat]\nval: photos"), "data.yaml:2: there is no 'photos', neither from"),
}


@pytest.mark.parametrize(("write", "said"), MALFORMED.values(), ids=MALFORMED)
def test_it_is_refused_with_its_place(tmp_path, write, said, request):
    picture(tmp_path / "a.png")
    write(tmp_path)
    kind = request.node.callspec.id.partition("/")[0]
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        open_data(tmp_path, format=FORMATS[kind])
    assert "\n" not in str(caught.value)


def test_all_kinds_are_said_at_once_with_the_flags_that_mend_them(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", seed=1)
    voc(
        tmp_path,
        "a",
        CAT,
        CAT,
        voc_object("cat", 0, 1, 30, 5),
        voc_object("cat", 5, 1, 4, 5),
        voc_object("cat", 30, 1, 31, 5),
    )
    flags = ("--clip", "--drop-degenerate", "--drop-duplicates", "--unlabelled background")
    with pytest.raises(DataError) as caught:
        open_data(tmp_path)
    assert all(flag in str(caught.value) for flag in flags)
    with pytest.raises(DataError, match=r": 2 boxes have no area: [^.]*\.xml:34, [^.]*\.xml:44; .* --drop-degenerate$"):
        open_data(tmp_path, settings=DataSettings(clip=True, drop_duplicates=True, unlabelled="skip"))
    settings = DataSettings(clip=True, drop_degenerate=True, drop_duplicates=True, unlabelled="background")
    dataset = open_data(tmp_path, settings=settings)
    assert [record.target.xyxy.tolist() for record in dataset.records] == [[[0, 0, 5, 5], [0, 0, 20, 5]], []]
    places = [f"Annotations/a.xml:{line}" for line in (14, 24, 34, 44)]
    outside = f"{places[1]} (-1, 0 to 30, 5 in 20 x 10), {places[3]} (29, 0 to 31, 5 in 20 x 10)"
    assert dataset.notices == (
        "1 picture has no annotations, taken for backgrounds: b.png",
        f"2 boxes reach out of their pictures, cut at the border: {outside}",
        f"1 box repeats another of its class, left out: {places[0]}",
        f"2 boxes have no area, left out: {places[2]}, {places[3]}",
    )


BRACKETS = {"json": b"[[],[],[]]", "xml": b"<a/><b></b>", "yaml": b"a,[],\n", "txt": b"0 1 1 1 1\n"}


@pytest.mark.parametrize(("kind", "content"), BRACKETS.items(), ids=BRACKETS)
def test_a_file_that_would_not_fit_into_memory_is_not_read(tmp_path, monkeypatch, kind, content):
    """Whatever brackets it is made of; what is long but holds little is read."""
    picture(tmp_path / "a.png")
    (tmp_path / "classes.txt").write_text("cat")
    (tmp_path / "a.txt").write_text("0 .5 .5 .5 .5\n")
    monkeypatch.setattr("striate.data.sources.text_files.available_memory", lambda: 20 << 20)
    file = tmp_path / f"a.{kind}"
    file.write_bytes(content * ((3 << 20) // len(content)))
    said = rf"a\.{kind} has 3 MiB, which would take [\d,]+ MiB of memory, and 20 MiB are free"
    for chunk in (1 << 24, 1000):
        monkeypatch.setattr("striate.data.sources.text_files._CHUNK", chunk)
        with monkeypatch.context() as patch, pytest.raises(DataError, match=said):
            patch.setattr(Path, "read_text", lambda path, **_: "cat" if path.name != file.name else pytest.fail("read"))
            open_data(tmp_path, format=FORMATS[kind], workers=1)
    file.unlink()
    coco(tmp_path / "b.json", [instance()])
    with (tmp_path / "b.json").open("ab") as opened:
        opened.write(b" " * (3 << 20))
    assert len(open_data(tmp_path, format="coco").records) == 1


@pytest.mark.parametrize("name", ["a.xml", "a.json", "a.txt", "a.yaml", "a.csv"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    picture(tmp_path / "a.png")
    coco(tmp_path / "b.json", [instance()])
    (tmp_path / "classes.txt").write_text("cat")
    os.mkfifo(tmp_path / name)
    assert len(open_data(tmp_path).records) == 1
    kind = {"csv": "boxes-csv"}.get(name[2:]) or FORMATS[name[2:]]
    if kind != "coco":
        with pytest.raises(DataError):
            open_data(tmp_path, format=kind)


def test_copies_that_are_annotated_differently_are_told_and_kept_together(tmp_path):
    for name in "abc":
        picture(tmp_path / f"{name}.png", seed=name == "c")
        voc(tmp_path, name, voc_object("cat", 1, 1, 5, 5 + (name == "b")))
    dataset = open_data(tmp_path)
    said = (
        "1 copy differs from the first picture in what is said of it: a.png = b.png; of equal bytes, they stay on one "
        "side of a split (striate train --group near also keeps copies in other sizes or qualities together)"
    )
    assert dataset.notices == (said,)
    assert dataset.records[0].content == dataset.records[1].content != dataset.records[2].content


def test_a_picture_that_cannot_be_read_stays_for_the_scan_to_report(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    text("0 0.5 0.5 1 1", **{"b.txt": "0 0.5 0.5 1 1"})(tmp_path)
    assert [record.name for record in open_data(tmp_path).records] == ["a.png", "b.png"]


def test_pictures_in_and_beside_splits(tmp_path):
    for name in ("train/a", "val/b", "c"):
        picture(tmp_path / f"{name}.png", seed=len(name))
        (tmp_path / f"{name}.txt").write_text("0 0.5 0.5 1 1")
    (tmp_path / "classes.txt").write_text("cat")
    with pytest.raises(DataError, match=r"1 picture in no split \(c\.png\), and 2 in splits"):
        open_data(tmp_path)
