"""``striate convert``."""

from pathlib import Path

import pytest
from PIL import Image

from striate.data import open_data
from tests.data.sources.annotated import picture, voc, voc_object


def test_what_it_says_and_writes(striate, tmp_path):
    picture(tmp_path / "data" / "a.png")
    picture(tmp_path / "data" / "b.png", seed=1)
    voc(tmp_path / "data", "a", voc_object("cat", 1, 1, 21, 5))
    flags = ("data", "--to", "coco", "--out", "out")
    striate("convert", *flags).refuses("data: 1 picture has no annotations: b.png", "--clip", "--unlabelled background")
    assert not Path("out").exists()
    answer = striate("convert", *flags, "--clip", "--unlabelled", "background", "--json")
    assert answer.code == 0 and answer.json == {
        "data": "data",
        "out": "out",
        "format": "coco",
        "images": 2,
        "classes": ["cat"],
        "notices": answer.err.splitlines(),
    }
    assert answer.json["notices"] == [
        "1 picture has no annotations, taken for backgrounds: b.png",
        "1 box reaches out of its picture, cut at the border: Annotations/a.xml:4 (0, 0 to 21, 5 in 20 x 10)",
    ]
    assert [len(record.target) for record in open_data("out").records] == [1, 0]
    striate("convert", "out", "--to", "yolo", "--out", "out").refuses("cannot write out: it exists")
    assert striate("convert", "out", "--to", "yolo", "--out", "yolo").out == "wrote yolo as yolo: 2 pictures\n"
    striate("convert", "out", "--to", "xml", "--out", "x").refuses("--to")
    striate("convert", *flags, "--group", "near").refuses("Unknown option", "--group")  # nothing is split


@pytest.mark.parametrize(
    ("out", "said"),
    [(".", "the folder that you are in"), ("", "the folder that you are in"), ("x" * 300, "its name is too long")],
)
def test_a_place_that_cannot_be_written_is_refused(striate, tmp_path, monkeypatch, out, said):
    picture(tmp_path / "data" / "a.png")
    voc(tmp_path / "data", "a", voc_object("cat", 1, 1, 20, 5))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for place in (out, tmp_path / "empty" / out):
        striate("convert", tmp_path / "data", "--to", "coco", "--out", place).refuses(
            "cannot write", said, "there yet" if len(out) < 2 else "choose a shorter one"
        )
    assert striate("convert", tmp_path / "data", "--to", "coco", "--out", "new").code == 0


def test_pictures_that_cannot_be_read_are_named_with_the_reason(striate, tmp_path):
    """Also such as are cut behind their header, which sizes are read from."""
    for name in ("a", "b", "c"):
        Image.open(picture(tmp_path / "data" / f"{name}.png", 90, 60)).save(tmp_path / "data" / f"{name}.png", "jpeg")
        voc(tmp_path / "data", name, voc_object("cat", 1, 1, 20, 10), size=(90, 60))
    cut, text = (tmp_path / "data" / f"{name}.png" for name in "bc")
    cut.write_bytes(cut.read_bytes()[:-200])
    text.write_text("no picture")
    flags = ("convert", "data", "--to", "coco", "--out", "out")
    reasons = ("b.png: it is truncated, its end is missing", "c.png: not a picture: it is a text file named .png")
    striate(*flags).refuses("2 of 3 pictures in data cannot be read", "--skip-unreadable", *reasons)
    assert not Path("out").exists()
    answer = striate(*flags, "--skip-unreadable", "--json")
    assert answer.json["images"] == 1 and answer.json["notices"] == ["skipped 2 unreadable pictures: b.png, c.png"]
    assert [each.name for each in Path("out/images").iterdir()] == ["a.png"]
