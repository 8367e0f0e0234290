"""The scan: hashes and verdicts, remembered as long as a file's stamp stays."""

import errno
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL
import pytest
import simplejpeg
from PIL import Image, features

from striate.base.errors import DataError, DecodeError
from striate.data import PictureCache, check_readable, hash_files, open_data, scan, skip_unreadable
from striate.data.reading import readable
from striate.data.records import Dataset
from striate.pictures import decode
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


# Faults that pass

FAULTS = {
    "open files": (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "it cannot be read (Too many open files)"),
    "disk": (OSError(errno.EIO, os.strerror(errno.EIO)), "it cannot be read (Input/output error)"),
    "memory": (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "it cannot be read (Cannot allocate memory)"),
    "no memory": (MemoryError(), "its pixels do not fit into memory"),
    "a codec's": (OSError("out of memory error when reading image file"), "out of memory error"),
    "permission": (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "no permission to read it"),
}


def failing(monkeypatch: pytest.MonkeyPatch, fault: BaseException, times: int) -> None:
    """So often, and for each file, an attempt to open a picture comes to nothing."""
    left: Counter[object] = Counter()
    real = decode.open_picture

    def opened(data: Path | bytes) -> Image.Image:
        left[data] += 1
        if left[data] <= times:
            raise fault
        return real(data)

    monkeypatch.setattr(decode, "open_picture", opened)


@pytest.mark.parametrize("budget", [1 << 30, 0], ids=["pixels", "headers"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_may_pass_is_reported_and_not_remembered(
    photos: Path, monkeypatch: pytest.MonkeyPatch, name: str, budget: int
) -> None:
    fault, reason = FAULTS[name]
    dataset = open_data(photos)
    with monkeypatch.context() as patch:
        failing(patch, fault, times=100)
        errors, _ = check(dataset, budget)
    assert len(errors) == 8 and all(reason in error.reason for error in errors)
    assert check(dataset, budget)[0] == []


def test_a_fault_that_passes_at_once_is_none(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_data(photos).records
    shutil.rmtree(photos.parent / "cache")
    with monkeypatch.context() as patch:
        digest = hashlib.file_digest
        calls: list[object] = []

        def first_fails(file: object, name: str) -> object:
            calls.append(file)
            if len(calls) == 1:
                raise FAULTS["open files"][0]
            return digest(file, name)

        patch.setattr(hashlib, "file_digest", first_fails)
        assert open_data(photos).records == before
    failing(monkeypatch, FAULTS["disk"][0], times=1)
    assert check(open_data(photos))[0] == []


def test_a_picture_that_was_not_hashed_is_no_picture_of_the_run(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a hash it would be split, keyed and recorded as equal to any other one without."""
    with monkeypatch.context() as patch:
        digest = hashlib.file_digest

        def not_discs(file: io.BufferedReader, name: str) -> object:
            if "disc/0001" in file.name:
                raise FAULTS["open files"][0]
            return digest(file, name)

        patch.setattr(hashlib, "file_digest", not_discs)
        dataset = open_data(photos)
    errors, _ = check(dataset)
    assert [str(error) for error in errors] == [
        "disc/0001.jpg: it could not be read at first, and can be now; start again"
    ]
    assert all(record.content for record in open_data(photos).records)  # and the empty hash is not remembered either


def test_a_pipe_behind_a_link_is_not_waited_for(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(photos.parent / "pipe")
    (photos / "disc" / "pipe.jpg").symlink_to(photos.parent / "pipe")
    ready = os.open(photos.parent / "pipe", os.O_RDWR)  # so that whoever opens it does not hang, but fails below
    digest = hashlib.file_digest

    def of_files(file: io.BufferedReader, name: str) -> object:
        assert not file.name.endswith("pipe.jpg")
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", of_files)
    errors, _ = check(open_data(photos))
    os.close(ready)
    assert [str(error) for error in errors] == ["disc/pipe.jpg: it is a pipe or a device, not a file"]


# Who gave the verdicts


def scan_file(photos: Path) -> Path:
    (memory,) = (photos.parent / "cache" / "scans").glob("*.json")
    return memory


@pytest.mark.parametrize("library", [PIL, simplejpeg], ids=lambda library: library.__name__)
def test_another_decoder_is_asked_again(photos: Path, monkeypatch: pytest.MonkeyPatch, library: ModuleType) -> None:
    expected = damage(photos)
    check(open_data(photos))
    monkeypatch.setattr(library, "__version__", "99.0")
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
        patch.setattr(scan, "read_header", lambda *_, **__: pytest.fail("not decoded"))
        dataset = open_data(photos)
    errors, cache = check(dataset)
    assert len(cache) == 8 and [str(error.path) for error in errors] == sorted(expected)
    assert len(check(dataset)[1]) == 0  # now it is this one's verdict


def test_a_codec_that_could_not_be_loaded_gives_no_lasting_verdict(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.open(photos / "disc" / "0000.jpg")
    picture.save(photos / "disc" / "new.webp")
    with monkeypatch.context() as patch:
        patch.setattr(features, "version", lambda name: None)
        patch.setattr(decode, "_FORMATS", ("JPEG", "PNG"))
        errors, _ = check(open_data(photos))
        assert [str(error.path) for error in errors] == ["disc/new.webp"]
    assert check(open_data(photos))[0] == []


def test_what_was_remembered_before_there_were_decoders(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hashes are true, its verdicts may be of a fault that has passed."""
    hashes = [record.content for record in open_data(photos).records]
    content = json.loads(scan_file(photos).read_text())
    for row in content["files"].values():
        row[2] = {"pixels as rgb": "it cannot be read (Too many open files)"}
    del content["decoders"]
    scan_file(photos).write_text(json.dumps({**content, "format": 1}))
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
        dataset = open_data(photos)
    assert [record.content for record in dataset.records] == hashes
    assert check(dataset)[0] == []


@pytest.mark.parametrize("settled", [0, 1 << 62], ids=["remembered", "too young to be"])
def test_what_is_odd_is_told_each_time(photos: Path, monkeypatch: pytest.MonkeyPatch, settled: int) -> None:
    monkeypatch.setattr(scan, "_SETTLED_NS", settled)
    for number, path in enumerate(sorted(photos.glob("*/*.jpg"))):
        path.write_bytes(path.read_bytes()[:-2] + b"\xff" * (number % 2))
    for number in range(2):
        Image.fromarray(np.full((9, 9), 4000 + number, np.uint16)).save(photos / "disc" / f"{number}.png")
    for _ in range(2):
        dataset, _ = readable(open_data(photos), PREPROCESS, skip=False)
        endless, dim = dataset.notices[-2:]
        assert endless.startswith("JPEG files that lack their end marker, but no pixels") and "disc/0000.jpg" in endless
        assert dim.startswith("the 16-bit pictures (2) use less than a sixteenth of the range")


def test_another_package_for_heic_is_asked(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scan._decoders()
    monkeypatch.setattr(scan, "find_spec", lambda name: name)
    monkeypatch.setattr(scan, "version", lambda name: "1.0")
    assert before["pillow-heif"] is None and scan._decoders() == {**before, "pillow-heif": "1.0"}


def test_sizes_are_upright_and_remembered(tmp_path, monkeypatch):
    """A picture that lies on its side by EXIF counts as it stands; what was read once is not opened again."""
    turned = Image.new("RGB", (20, 10))
    exif = turned.getexif()
    exif[274] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (7, 5)).save(tmp_path / "plain.png")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    paths = [tmp_path / name for name in ("turned.jpg", "plain.png", "broken.jpg", "gone.png")]
    assert scan.picture_sizes(paths, root=tmp_path, workers=1) == [(20, 10), (5, 7), None, None]
    read = []
    monkeypatch.setattr(scan, "read_header", lambda path: read.append(path.name) or decode.read_header(path))
    assert scan.picture_sizes(paths, root=tmp_path, workers=1) == [(20, 10), (5, 7), None, None]
    assert read == ["broken.jpg"]
