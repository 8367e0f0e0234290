"""``striate convert``."""

from pathlib import Path

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
