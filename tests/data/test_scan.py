"""The scan: hashes and verdicts, remembered as long as a file's stamp stays."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from striate.base.errors import DataError, DecodeError
from striate.data import PictureCache, check_readable, hash_files, open_data, scan, skip_unreadable
from striate.data.records import Dataset
from striate.pictures.preprocess import Preprocess

PREPROCESS = Preprocess(size=(16, 16))


@pytest.fixture(autouse=True)
def _own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scan, "_SETTLED_NS", 0)  # the tests' files are seconds old


@pytest.fixture
def photos(tmp_path: Path, photo_folder: Callable[..., Path]) -> Path:
    return photo_folder(tmp_path / "photos", per_class=4, size=32)


def damage(photos: Path) -> dict[str, str]:
    """Put unreadable pictures into the folder: name -> part of the reason."""
    one, two = photos / "disc", photos / "square"
    (one / "text.jpg").write_text("this is no picture")
    (one / "nothing.png").touch()
    whole = (one / "0000.jpg").read_bytes()
    (two / "cut.jpg").write_bytes(whole[:-150])
    (two / "circle.jpg").symlink_to("circle.jpg")
    (two / "gone.jpg").symlink_to("nowhere.jpg")
    return {
        "disc/nothing.png": "0 bytes",
        "disc/text.jpg": "text",
        "square/circle.jpg": "circle",
        "square/cut.jpg": "",
        "square/gone.jpg": "no such file",
    }


def check(dataset: Dataset, budget: int = 1 << 30) -> tuple[list[DecodeError], PictureCache]:
    cache = PictureCache(budget)
    return check_readable(dataset, PREPROCESS, cache=cache, workers=2), cache


def test_hashes(tmp_path: Path) -> None:
    paths = []
    for number in range(20):
        paths.append(tmp_path / f"{number}.bin")
        paths[-1].write_bytes(bytes([number]) * number * 1000)
    paths.insert(3, tmp_path / "missing")
    hashes = hash_files(paths, root=tmp_path, workers=3)
    assert hashes == [hashlib.sha256(p.read_bytes()).digest() if p.exists() else b"" for p in paths]
    assert hash_files(paths, root=tmp_path, workers=1) == hashes


def test_hashes_are_remembered_by_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(b"one")
    (before,) = hash_files([path], root=path.parent, workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
        assert hash_files([path], root=path.parent, workers=1) == [before]
    path.write_bytes(b"two")  # the same size
    assert hash_files([path], root=path.parent, workers=1) == [hashlib.sha256(b"two").digest()]


def test_a_young_file_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tick of the clock it may change again and keep its stamp."""
    monkeypatch.setattr(scan, "_SETTLED_NS", 10**12)
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    stamp = path.stat()
    hash_files([path], root=tmp_path, workers=1)
    (memory,) = (tmp_path / "cache" / "scans").glob("*.json")
    assert json.loads(memory.read_text())["files"] == {}
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert hash_files([path], root=tmp_path, workers=1) == [hashlib.sha256(b"two").digest()]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1, "files": {"a.bin": [1]}}', '{"format": 99}', "\0"])
def test_damaged_memory_costs_only_time(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    hash_files([path], root=tmp_path, workers=1)
    (memory,) = (tmp_path / "cache" / "scans").glob("*.json")
    memory.write_text(content)
    assert hash_files([path], root=tmp_path, workers=1) == [hashlib.sha256(b"one").digest()]


def test_no_place_for_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file" / "below"))
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    assert hash_files([path], root=tmp_path, workers=1) == [hashlib.sha256(b"one").digest()]


def test_all_unreadable_pictures_are_found_and_the_cache_is_full(photos: Path) -> None:
    expected = damage(photos)
    dataset = open_data(photos)
    errors, cache = check(dataset)
    assert [str(error.path) for error in errors] == sorted(expected)
    assert all(reason in error.reason for error, reason in zip(errors, expected.values(), strict=True))
    assert len(cache) == 8
    progress: list[tuple[int, int]] = []
    check_readable(dataset, PREPROCESS, cache=cache, workers=2, progress=lambda *step: progress.append(step))
    assert progress[-1] == (13, 13)


def test_verdicts_are_remembered(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(photos)
    (photos / "square" / "circle.jpg").unlink()
    (photos / "square" / "gone.jpg").unlink()
    dataset = open_data(photos)
    first, _ = check(dataset)
    with monkeypatch.context() as patch:
        patch.setattr(PictureCache, "picture", lambda *_: pytest.fail("decoded again"))
        again, cache = check(dataset)
    assert [str(error) for error in again] == [str(error) for error in first] and len(cache) == 0
    shutil.copy(photos / "disc" / "0001.jpg", photos / "disc" / "text.jpg")
    mended, _ = check(dataset)
    assert [str(error.path) for error in mended] == ["disc/nothing.png", "square/cut.jpg"]


def test_a_verdict_holds_for_its_channels_only(photos: Path) -> None:
    dataset = open_data(photos)
    assert check(dataset)[0] == []
    bands = Preprocess(channels=5, mean=(0.0,), scale=(1.0,), size=(16, 16))
    errors = check_readable(dataset, bands, cache=PictureCache(1 << 30), workers=1)
    assert len(errors) == 8 and "3 bands where 5 bands were expected" in errors[0].reason


def test_of_more_than_the_budget_only_headers_are_read(photos: Path) -> None:
    damage(photos)
    errors, cache = check(open_data(photos), budget=0)
    assert len(cache) == 0
    found = [str(error.path) for error in errors]
    assert found == ["disc/nothing.png", "disc/text.jpg", "square/circle.jpg", "square/gone.jpg"]  # not the cut one
    errors, _ = check(open_data(photos))
    assert len(errors) == 5  # a header that was fine is no verdict on the pixels


def test_skipping(photos: Path) -> None:
    expected = damage(photos)
    dataset = open_data(photos)
    errors, _ = check(dataset)
    kept = skip_unreadable(dataset, errors)
    assert len(kept.records) == 8 and all(record.content for record in kept.records)
    assert kept.notices[-1] == f"skipped 5 unreadable pictures: {', '.join(sorted(expected))}"
    assert skip_unreadable(dataset, []) is dataset


def test_skipping_may_not_empty_a_class(photos: Path) -> None:
    for path in (photos / "square").iterdir():
        path.write_bytes(b"")
    dataset = open_data(photos)
    errors, _ = check(dataset)
    with pytest.raises(DataError, match="has none left of 'square'"):
        skip_unreadable(dataset, errors)


def test_arrays_need_no_check(tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "d.npz", x=np.arange(8, dtype=np.uint8).reshape(2, 2, 2), y=[0, 1])
    assert check(open_data(tmp_path / "d.npz"))[0] == []
