"""Mutated annotation files end in data or in one sentence, never in a traceback, whoever reads them."""

import json
import random

import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.settings import DataSettings
from tests.data.sources.annotated import coco, instance, picture, voc, voc_object
from tests.data.sources.masked import pairs, png, rows
from tests.data.sources.test_other_formats import WRITTEN

MENDING = {"clip": True, "drop_degenerate": True, "drop_duplicates": True, "unlabelled": "background"}
WORDS = [
    b"",
    b"0",
    b"-1",
    b"1e999",
    b"nan",
    b"null",
    b"{}",
    b"[]",
    b'"',
    b"<",
    b">",
    b"\xff",
    b"\0",
    b"9" * 5000,
    b"cat",
    b"\n",
]


def sound(folder, name):
    """A folder of data, and of its files the one to spoil; returns that, the format, and how it is to be read."""
    picture(folder / "a.png")
    if name in WRITTEN:
        file, content = WRITTEN[name]
        (folder / file).write_text(content)
        return folder / file, name.partition(" ")[0].replace("csv", "boxes-csv"), {}
    if name in SHAPES:
        file, content = SHAPES[name]
        (folder / file).write_text(content)
        return folder / file, name.partition(" ")[0], {}
    if name == "table":
        pairs(folder, rows(0, 1), classes="sky\n1 road\n2 void\n")
        (folder / "a.png").unlink()
        return folder / "classes.txt", "masks", {}
    if name == "mask":
        pairs(folder, rows(0, 1))
        (folder / "a.png").unlink()
        return folder / "masks" / "0.png", "masks", {}
    if name == "coco":
        outline = {"segmentation": [[0, 0, 4, 0, 4, 4]]}
        annotations = [instance(), instance(id=8, bbox=[1, 1, 2, 2], iscrowd=1, **outline)]
        return coco(folder / "a.json", annotations), "coco", {}
    if name.startswith("voc"):
        file = voc(folder, "a", voc_object("cat", 1, 1, 5, 5), voc_object("dog", 2, 2, 6, 6))
        (folder / "ImageSets" / "Main").mkdir(parents=True)
        lists = folder / "ImageSets" / "Main" / "train.txt"
        lists.write_text("a\n")
        return lists if name == "voc list" else file, "voc", {}
    for file, content in {
        "classes.txt": "cat\ndog\n",
        "a.txt": "0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.2 0.3 0.4 0.5\n",
        "a.yaml": "path: .\ntrain: .\nnames:\n  0: cat\n  1: dog\nnc: 2\n",
        "groups.csv": "picture,group\na.png,one\n",
        "obj.data": "classes = 2\ntrain = data/train.txt\nnames = data/classes.txt\n",
        "train.txt": "data/a.png\n",
    }.items():
        if file != "a.yaml" or name not in ("classes.txt", "obj.data", "train.txt"):  # it would decide
            (folder / file).write_text(content)
    return folder / name, "yolo", {"group": str(folder / name)} if name == "groups.csv" else {}


CVAT = """<annotations><meta><task><labels><label><name>cat</name></label></labels></task></meta>
<image name="a.png" width="20" height="10"><polygon label="cat" points="1,1;5,1;5,5" z_order="1"/>
<mask label="cat" rle="1, 2, 3" left="1" top="2" width="3" height="2"/>
<ellipse label="cat" cx="5" cy="5" rx="2" ry="1"/>
<box label="cat" xtl="1" ytl="1" xbr="5" ybr="5" rotation="30"/></image></annotations>"""
SHAPES = {
    "cvat": ("annotations.xml", CVAT),
    "labelme": (
        "a.json",
        json.dumps(
            {
                "shapes": [
                    {"label": "cat", "points": [[1, 1], [5, 1], [5, 5]], "group_id": 1, "shape_type": "polygon"},
                    {"label": "dog", "points": [[4, 4], [6, 4]], "group_id": None, "shape_type": "circle"},
                    {"label": "dog", "points": [[4, 4], [6, 4]], "shape_type": "mask", "mask": png([[1, 0], [0, 1]])},
                ],
                "imagePath": "a.png",
                "imageHeight": 10,
                "imageWidth": 20,
            }
        ),
    ),
    "coco masks": (
        "a.json",
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
                "categories": [{"id": 1, "name": "cat"}],
                "annotations": [
                    instance(segmentation=[[0, 0, 4, 0, 4, 4]]),
                    instance(id=8, segmentation={"size": [10, 20], "counts": [3, 9, 188]}, iscrowd=1),
                    instance(id=9, segmentation={"size": [10, 20], "counts": "39l5"}),
                ],
            }
        ),
    ),
}
TASKS = {"coco masks": "segment"}
OTHER_MENDING = {
    **{key: {"clip": True, "unlabelled": "background"} for key in SHAPES},
    **{key: {"unlabelled": "skip"} for key in ("table", "mask")},
}

READERS = (
    *("coco", "voc", "voc list", "a.txt", "a.yaml", "classes.txt", "obj.data", "train.txt"),
    *("via project", "via csv", "dlib", "csv", "groups.csv"),
    *("coco masks", "cvat", "labelme", "table", "mask"),
)


def mutant(content, draw):
    """The content with one to three of its bytes or words changed, doubled or cut off."""
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(content) + 1)
        end = min(len(content), at + draw.choice([1, 1, 4, 40]))
        kind = draw.randrange(5)
        if kind == 0:
            content = content[:at] + draw.choice(WORDS) + content[end:]
        elif kind == 1:
            content = content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]
        elif kind == 2:
            content = content[:end] + content[at:]
        elif kind == 3:
            content = content[:at] + content[end:]
        else:
            content = content[: draw.randrange(len(content) + 1)]
    return content


def json_mutant(content, draw):
    """The JSON with one value somewhere in it replaced: sound JSON of the wrong kind."""
    places = []

    def walk(value):
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], dict | list):
                walk(value[key])

    value = json.loads(content)
    walk(value)
    owner, key = draw.choice(places)
    owner[key] = draw.choice([None, True, -1, 1e300, 2**70, "", "cat", [], {}, [[]], [None], {"a": 1}, 0.5])
    return json.dumps(value).encode()


def check(folder, name, count, seed):
    """Read so many mutants of a file, as they stand and with all that can be mended; yields what is said each time."""
    draw = random.Random(seed)
    path, kind, more = sound(folder, name)
    content = path.read_bytes()
    task = TASKS.get(name)
    open_data(folder, format=kind, settings=DataSettings(**more), task=task, workers=1)
    for _ in range(count):
        change = json_mutant if path.suffix == ".json" and draw.random() < 0.5 else mutant
        path.write_bytes(change(content, draw))
        for settings in ({}, OTHER_MENDING.get(name, MENDING)):
            said = ""
            try:
                data = open_data(folder, format=kind, settings=DataSettings(**settings, **more), task=task, workers=1)
                for record in data.records if data.task == "segment" else ():
                    record.target.indices()
            except DataError as error:
                said = str(error)
            assert "\n" not in said and len(said) < 3000
            yield said


@pytest.mark.parametrize("name", READERS)
def test_some_mutants(tmp_path, name):
    assert any([*check(tmp_path, name, 12, 0)])


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_mutants(tmp_path, name):
    assert any([*check(tmp_path, name, 500, 1)])
