"""Mutated annotation files end in data or in one sentence, never in a traceback, whoever reads them."""

import json
import random

import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.settings import DataSettings
from tests.data.sources.annotated import coco, instance, picture, voc, voc_object
from tests.data.sources.test_other_formats import WRITTEN

MENDING = DataSettings(clip=True, drop_degenerate=True, drop_duplicates=True, unlabelled="background")
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


def files(folder):
    """A sound file of each format, and its format."""
    picture(folder / "a.png")
    outline = {"segmentation": [[0, 0, 4, 0, 4, 4]]}
    yield coco(folder / "a.json", [instance(), instance(id=8, bbox=[1, 1, 2, 2], iscrowd=1, **outline)]), "coco"
    yield voc(folder, "a", voc_object("cat", 1, 1, 5, 5), voc_object("dog", 2, 2, 6, 6)), "voc"
    for name, content in (
        ("a.txt", "0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.2 0.3 0.4 0.5\n"),
        ("data.yaml", "path: .\ntrain: .\nnames:\n  0: cat\n  1: dog\nnc: 2\n"),
    ):
        (folder / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
        (folder / "data.yaml").write_text("names: [cat, dog]")
        (folder / name).write_text(content)
        yield folder / name, "yolo"
    for kind, format_ in (("via project", "via"), ("via csv", "via"), ("dlib", "dlib"), ("csv", "boxes-csv")):
        name, content = WRITTEN[kind]
        (folder / name).write_text(content)
        yield folder / name, format_


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


def check(folder, count, seed):
    draw = random.Random(seed)
    for path, kind in files(folder):
        sound = path.read_bytes()
        for _ in range(count):
            change = json_mutant if path.suffix == ".json" and draw.random() < 0.5 else mutant
            path.write_bytes(change(sound, draw))
            for settings in (DataSettings(), MENDING):
                said = ""
                try:
                    open_data(folder, format=kind, settings=settings, workers=1)
                except DataError as error:
                    said = str(error)
                assert "\n" not in said and len(said) < 3000
        path.unlink()


def test_some_mutants(tmp_path):
    check(tmp_path, 12, 0)


@pytest.mark.slow
def test_many_mutants(tmp_path):
    check(tmp_path, 500, 1)
