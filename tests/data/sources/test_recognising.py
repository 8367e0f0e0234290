"""What format data are in is told at once and of anything, also of what is made to be slow or deep."""

import itertools
import os
import time

import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.sources.text_files import number
from tests.data.sources.annotated import picture


@pytest.fixture
def at_once():
    """Fails if the test takes two seconds of the processor."""
    began = time.process_time()
    yield
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "text", ["0 " + "1024 " * 13 + "shapes", "0 " + "1" * 390 + " x", "0 1 1 1 1" + " " * 300 + "x", "0 " + "\n" * 390]
)
def test_a_text_of_numbers_beside_pictures_is_soon_told_from_yolos(tmp_path, at_once, text):
    for name in ("cat/a.png", "dog/b.png"):
        picture(tmp_path / name, seed=len(name))
    (tmp_path / "readme.txt").write_text(text)
    assert open_data(tmp_path).format == "folders"


TEXTS = {
    "a.json": '{"images": [], "annotations": [], "categories": []}',
    "a.xml": "<annotation/>",
    "b.xml": "<dataset><images/></dataset>",
    "one/a.txt": "0 0.5 0.5 1 1\n",
    "via.json": '{"_via_img_metadata": {}}',
    "a.csv": "image,label,x1,y1,x2,y2\n",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_annotations_in_utf_16_are_said_to_be_and_no_classes_are_seen_beside_them(tmp_path, name, encoding):
    for folder in ("one", "two"):
        picture(tmp_path / folder / "a.png", seed=len(folder))
    (tmp_path / "classes.txt").write_text("cat")
    (tmp_path / name).write_text(TEXTS[name], encoding=encoding)
    with pytest.raises(DataError, match=rf"^{name} is not UTF-8 text.* UTF-16.*; save it as UTF-8$"):
        open_data(tmp_path)


def test_links_that_lead_in_circles_are_not_followed_without_end(tmp_path, monkeypatch):
    real, count = os.scandir, itertools.count()

    def counted(path):
        assert next(count) < 2000
        return real(path)

    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for link in "ab":  # from link to link there are 2^40 paths
            (tmp_path / name / link).symlink_to(tmp_path / name)
    monkeypatch.setattr(os, "scandir", counted)
    for task in (None, "segment", "upscale"):
        with pytest.raises(DataError, match="an endless loop; remove it"):
            open_data(tmp_path, task=task)


@pytest.mark.parametrize("deep", [90, 300])
def test_folders_in_folders_in_folders(tmp_path, monkeypatch, deep):
    picture(tmp_path / "cat" / "a.png")
    picture(tmp_path / "a.png", seed=1)
    (tmp_path / "dog").mkdir()
    monkeypatch.chdir(tmp_path / "dog")
    for _ in range(deep):
        os.mkdir("a")  # noqa: PTH102 (the whole path would be too long)
        os.chdir("a")
    os.rename(tmp_path / "a.png", "a.png")  # noqa: PTH104
    os.chdir(tmp_path)
    if deep < 100:
        assert len(open_data(tmp_path).records) == 2
        return
    with pytest.raises(DataError, match=r"dog/a/a/a.* lies more than 100 folders deep; move it up, or remove it$"):
        open_data(tmp_path)


def test_a_long_word_is_soon_told_from_a_number(at_once):
    with pytest.raises(DataError, match=r"^here: x is '1111.*; expected a number$"):
        number("1" * 40_000 + "x", "here", "x")
