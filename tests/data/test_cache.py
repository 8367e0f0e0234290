"""The picture cache: what is decoded again, what is not, and that nobody can tell from the pixels."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.data import Dataset, PictureCache, Record, cache, open_data
from striate.data.targets import Mask
from striate.pictures.decode import decode
from striate.pictures.preprocess import Preprocess

SCALES = (40, 48, 56, 64, 72, 80, 96, 24)
"""Sizes of a training at several scales; pictures of 200 x 161 are reduced by 4, 2 or not at all for them."""


def wanting(side: int) -> Preprocess:
    return Preprocess(size=(side, side), resize="letterbox")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("cache") / "data"
    exif = Image.Exif()
    for number in range(6):
        exif[0x0112] = number + 1
        pixels = np.random.default_rng(number).integers(0, 256, (200, 161, 3), np.uint8)
        path = folder / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, exif=exif)
    return open_data(folder)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was decoded, in order."""
    names: list[str] = []

    def noted(*arguments: object, name: str) -> object:
        names.append(name)
        return decode(*arguments, name=name)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "decode", noted)
    return names


def test_another_size_decodes_only_where_it_needs_another_factor(dataset: Dataset, decoded: list[str]) -> None:
    pictures = PictureCache(1 << 30)
    factors = set()
    for _ in range(2):
        for side in SCALES:
            for record in dataset.records:
                factors.add(pictures.picture(record, wanting(side)).shrunk.factor)
    assert factors == {1, 2, 4}
    assert len(decoded) == len(pictures) == 3 * 6


def test_hit_and_miss_give_the_same(dataset: Dataset) -> None:
    pictures = PictureCache(1 << 30)
    for _ in range(2):
        for side in SCALES:
            for record in dataset.records:
                assert isinstance(record.handle, Path)
                kept = pictures.picture(record, wanting(side))
                fresh = decode(record.handle, "rgb", wanting(side).shorter_side)
                assert (kept.pixels == fresh.pixels).all() and kept.pixels.shape == fresh.pixels.shape
                assert kept.geometry == fresh.geometry


def test_copies_share_and_channels_do_not(dataset: Dataset, decoded: list[str]) -> None:
    pictures = PictureCache(1 << 30)
    record = dataset.records[0]
    first = pictures.picture(record, wanting(64))
    assert pictures.picture(replace(record, name="a copy", handle=Path("nowhere")), wanting(72)) is first
    assert pictures.picture(record, replace(wanting(64), channels="bgr")) is not first
    assert len(decoded) == 2


def test_a_hit_takes_no_lock_and_calls_no_decoder(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = PictureCache(1 << 30)
    kept = [pictures.picture(record, wanting(64)) for record in dataset.records]
    monkeypatch.setattr(pictures, "_lock", None)
    monkeypatch.setattr(cache, "decode", None)
    again = [pictures.picture(record, wanting(72)) for record in dataset.records]
    assert all(one is other for one, other in zip(kept, again, strict=True))


def test_nothing_is_remembered_of_what_is_not_kept(dataset: Dataset, decoded: list[str]) -> None:
    size = decode(dataset.records[0].handle, "rgb", 64).pixels.nbytes  # type: ignore[arg-type]
    pictures = PictureCache(2 * size)
    for _ in range(3):
        for record in dataset.records:
            pictures.picture(record, wanting(64))
    assert len(pictures) == 2 and pictures.used == 2 * size and len(pictures._sizes) == 2
    assert len(decoded) == 2 + 3 * 4


def test_threads_keep_each_picture_once(dataset: Dataset) -> None:
    pictures = PictureCache(1 << 30)
    work = [(record, wanting(side)) for side in SCALES for record in dataset.records] * 3
    with ThreadPoolExecutor(4) as pool:
        shapes = list(pool.map(lambda one: pictures.picture(*one).pixels.shape, work))
    assert shapes == shapes[: len(work) // 3] * 3
    assert len(pictures) == 18 and pictures.used == sum(kept.pixels.nbytes for kept in pictures._kept.values())


def test_masks_are_read_once_as_far_as_the_budget_goes(tmp_path: Path) -> None:
    masks = []
    for number in range(3):
        indices = np.full((4, 5), number, np.uint8)
        Image.fromarray(indices).save(tmp_path / f"{number}.png")
        masks.append(Mask(tmp_path / f"{number}.png"))
    records = [Record(Path("nowhere"), mask, b"", str(number)) for number, mask in enumerate(masks)]
    pictures = PictureCache(2 * 20)
    assert [pictures.target(record).indices().max() for record in records] == [0, 1, 2]  # type: ignore[attr-defined]
    assert pictures.used == 2 * 20
    (tmp_path / "0.png").unlink()
    (tmp_path / "2.png").unlink()
    kept = pictures.target(records[0])
    assert kept is pictures.target(replace(records[0], name="a copy")) and kept.occurring() is None
    with pytest.raises(DataError, match=r"2\.png"):
        pictures.target(records[2])
    other = replace(records[0], target=masks[0].renumbered({0: 1}))  # says something else of the same file
    with pytest.raises(DataError, match=r"0\.png"):
        pictures.target(other)
