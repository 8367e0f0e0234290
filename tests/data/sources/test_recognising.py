"""What format data are in is told at once and of anything, also of what is made to be slow or deep."""

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


def test_a_long_word_is_soon_told_from_a_number(at_once):
    with pytest.raises(DataError, match=r"^here: x is '1111.*; expected a number$"):
        number("1" * 40_000 + "x", "here", "x")
