"""Which picture a name in an annotation file means, and what is said where it is another than it names."""

import unicodedata

import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.sources.picture_index import PictureIndex
from tests.data.sources.annotated import coco, instance, picture, voc, voc_object

FOUND = {
    "alone": (["val/x.png"], "a.json", "x.png", "val/x.png", False),
    "there": (["val/x.png"], "a.json", "val/x.png", "val/x.png", False),
    "deeper": (["data/val/x.png"], "a.json", "val/x.png", "data/val/x.png", False),
    "higher": (["x.png"], "a.json", "val/x.png", "x.png", False),
    "higher, of a part": (["val/x.png"], "a.json", "data/val/x.png", "val/x.png", False),
    "of a list's folder": (["images/x.png"], "lists/a.txt", "../images/x.png", "images/x.png", False),
    "another computer's": (["images/x.png"], "a.json", r"C:\data\x.png", "images/x.png", False),
    "a server's": (["images/x.png"], "a.json", "http://example.com/train/x.png", "images/x.png", False),
    "another split": (["val/x.png"], "a.json", "train/x.png", "val/x.png", True),
    "another split, above": (["val/images/x.png"], "a.json", "train/images/x.png", "val/images/x.png", True),
    "another split, of another computer": (["val/x.png", "train/y.png"], "a.json", "/d/train/x.png", "val/x.png", True),
    "another camera": (["cam1/1.png", "cam1/2.png", "cam2/1.png"], "a.json", "cam2/2.png", "cam1/2.png", True),
    "none of two cameras": (["cam1/1.png", "cam2/1.png"], "a_cam1.json", "cam3/1.png", "cam1/1.png", True),
    "at the top": (["x.png", "sub/x.png"], "a.json", "x.png", "x.png", False),
    "at the top, but of a split": (["x.png", "sub/x.png"], "a_sub.json", "x.png", "sub/x.png", False),
    "in the file's folder": (["x.png", "sub/x.png"], "sub/a.json", "x.png", "sub/x.png", False),
    "from the top": (["sub/x.png", "a/sub/x.png"], "a_a.json", "sub/x.png", "sub/x.png", False),
    "accents": (["é.png"], "a.json", "e\u0301.png", "é.png", False),
    "accents of a folder": (["é/x.png", "e/x.png"], "a.json", "/d/e\u0301/x.png", "é/x.png", False),
    "accents of two": (["é.png", "e\u0301.png"], "a.json", "e\u0301.png", "e\u0301.png", False),
}


@pytest.mark.parametrize(("pictures", "near", "name", "expected", "told"), FOUND.values(), ids=FOUND)
def test_what_a_name_means(tmp_path, pictures, near, name, expected, told):
    for each in pictures:
        picture(tmp_path / each)
    index = PictureIndex(tmp_path)
    assert index.find(name, tmp_path / near) == tmp_path / expected
    assert len(index.notices()) == told


def test_pictures_of_other_folders_are_counted(tmp_path):
    for seed, name in enumerate("ab"):
        picture(tmp_path / "val" / f"{name}.png", seed=seed)
    images = [{"id": number, "file_name": f"train/{name}.png"} for number, name in enumerate("ab", start=1)]
    coco(tmp_path / "a.json", [instance()], images)
    (notice,) = open_data(tmp_path).notices
    assert notice == (
        "2 paths name a folder where no such picture is, and one of that name elsewhere is taken: "
        "a.json ('train/a.png', taken: val/a.png), a.json ('train/b.png', taken: val/b.png)"
    )
    picture(tmp_path / "test" / "a.png", seed=3)
    with pytest.raises(DataError, match=r"^a\.json: its picture may be test/a\.png, val/a\.png; give them different"):
        open_data(tmp_path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_are_letters_in_texts_and_lists_too(tmp_path, form):
    name, other = (unicodedata.normalize(each, "é") for each in (form, {"NFC": "NFD", "NFD": "NFC"}[form]))
    for folder in ("voc", "yolo"):
        picture(tmp_path / folder / f"{name}.png")
    voc(tmp_path / "voc", other, voc_object("cat", 1, 1, 5, 5))
    lists = tmp_path / "voc" / "ImageSets" / "Main" / "test.txt"
    lists.parent.mkdir(parents=True)
    lists.write_text(name, encoding="utf-8")
    (tmp_path / "yolo" / "classes.txt").write_text("cat")
    (tmp_path / "yolo" / f"{other}.txt").write_text("0 0.5 0.5 0.5 0.5")
    assert [record.split for record in open_data(tmp_path / "voc").records] == ["test"]
    assert [len(record.target) for record in open_data(tmp_path / "yolo").records] == [1]
