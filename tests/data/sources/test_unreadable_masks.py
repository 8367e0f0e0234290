"""A mask that cannot be read is refused, or left out with its picture; never all of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.data.records import Record
from striate.data.sources import open_data
from tests.data.sources.annotated import picture
from tests.data.sources.masked import mask, rows


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def known(records: Sequence[Record]) -> list[tuple[object, ...]]:
    return [(each.name, each.split, each.content, each.target.as_bytes([b"a", b"b"] * 11)) for each in records]


def beside(folder: Path) -> Path:
    """Two pictures to train on and one to validate with."""
    for number, name in enumerate(("train/{}/0.png", "train/{}/1.png", "val/{}/2.png")):
        picture(folder / name.format("images"), seed=number)
        mask(folder / name.format("masks"), rows(0, 1))
    (folder / "classes.txt").write_text("sky\nroad\n")
    return folder / "train" / "masks"


def pascal(folder: Path) -> Path:
    for number in range(3):
        picture(folder / "JPEGImages" / f"{number}.jpg", seed=number)
        mask(folder / "SegmentationClass" / f"{number}.png", rows(0, 1), palette=[0, 0, 0, 128, 0, 0])
    return folder / "SegmentationClass"


@pytest.mark.parametrize("layout", [beside, pascal])
def test_what_cannot_be_read_is_named_and_left_out(layout, tmp_path: Path) -> None:
    masks = layout(tmp_path)
    whole = open_data(tmp_path, task="segment", skip_unreadable=True)
    spoil(masks / "1.png")
    with pytest.raises(DataError, match=r"1 mask cannot be read: \S*1\.png \(.* with --skip-unreadable"):
        open_data(tmp_path, task="segment")
    left = open_data(tmp_path, task="segment", skip_unreadable=True)
    assert known(left.records) == known((whole.records[0], whole.records[2]))
    (said,) = (each for each in left.notices if "cannot be read" in each)
    assert said.startswith("1 mask cannot be read, left out with its picture: ") and "1.png (" in said


def test_where_none_can_be_read_there_is_nothing_left(tmp_path: Path) -> None:
    masks = beside(tmp_path)
    for path in (*masks.iterdir(), tmp_path / "val" / "masks" / "2.png"):
        spoil(path)
    with pytest.raises(DataError, match="3 masks cannot be read"):
        open_data(tmp_path, skip_unreadable=True)


def test_a_mask_of_another_size_is_no_unreadable_one(tmp_path: Path) -> None:
    masks = beside(tmp_path)
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(masks / "1.png")
    with pytest.raises(DataError, match="1 mask is not of its picture's size"):
        open_data(tmp_path, skip_unreadable=True)
