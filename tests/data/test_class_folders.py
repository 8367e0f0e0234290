"""Class folders: which classes there are, in what order, which split, and what is passed over."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.tasks.classify import Classify


def picture(path: Path, shade: int = 0) -> Path:
    """A small grey PNG; equal shades are byte-identical."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), shade).save(path, format="PNG")
    return path


def classified(path: Path) -> Dataset:
    """The data as classification takes them, or refuses them."""
    dataset = open_data(path)
    return Classify(dataset.classes).checked(dataset)


def labels(dataset: Dataset) -> list[tuple[str, str, str | None]]:
    return [(record.name, dataset.classes.names[record.target.index], record.split) for record in dataset.records]


def test_classes_are_sorted_and_pictures_found_at_any_depth(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "b.png", 1)
    picture(tmp_path / "dog" / "deep" / "er" / "a.PNG", 2)
    picture(tmp_path / "Cat" / "x.jpg", 3)
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes.names, dataset.channels) == ("folders", ("Cat", "dog"), 3)
    assert not dataset.fixed_splits and dataset.notices == ()
    assert labels(dataset) == [
        ("Cat/x.jpg", "Cat", None),
        ("dog/b.png", "dog", None),
        ("dog/deep/er/a.PNG", "dog", None),
    ]


def test_contents_are_hashes_of_the_bytes(tmp_path: Path) -> None:
    import hashlib

    one, two = picture(tmp_path / "a" / "1.png", 1), picture(tmp_path / "b" / "2.png", 2)
    contents = [record.content for record in open_data(tmp_path).records]
    assert contents == [hashlib.sha256(path.read_bytes()).digest() for path in (one, two)]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation"])
def test_split_folders(tmp_path: Path, name: str) -> None:
    places = ["train/a/1.png", "train/b/1.png", f"{name}/a/2.png", "test/b/3.png", "test/a/3.png"]
    for shade, place in enumerate(places):
        picture(tmp_path / place, shade)
    dataset = open_data(tmp_path)
    assert dataset.fixed_splits and dataset.classes.names == ("a", "b")
    assert [(r.split, r.target.index) for r in dataset.records] == [
        *[("train", 0), ("train", 1)],
        *[("val", 0)],
        *[("test", 0), ("test", 1)],
    ]


def test_a_train_folder_alone_decides_no_split(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "a" / "1.png", 1)
    picture(tmp_path / "train" / "b" / "1.png", 2)
    dataset = open_data(tmp_path)
    assert not dataset.fixed_splits and {record.split for record in dataset.records} == {None}


def test_a_test_folder_alone_can_be_evaluated(tmp_path: Path) -> None:
    picture(tmp_path / "test" / "a" / "1.png", 1)
    picture(tmp_path / "test" / "b" / "1.png", 2)
    dataset = open_data(tmp_path)
    assert dataset.fixed_splits and {record.split for record in dataset.records} == {"test"}


def test_empty_and_hidden_are_reported_and_get_no_index(tmp_path: Path) -> None:
    picture(tmp_path / "b" / "1.png", 1)
    picture(tmp_path / "c" / "1.png", 2)
    (tmp_path / "a").mkdir()
    picture(tmp_path / ".thumbs" / "1.png", 3)
    picture(tmp_path / "b" / ".2.png", 4)
    (tmp_path / "b" / "notes.txt").write_text("x")
    picture(tmp_path / "loose.png", 5)
    dataset = open_data(tmp_path)
    assert dataset.classes.names == ("b", "c")
    assert [record.name for record in dataset.records] == ["b/1.png", "c/1.png"]
    assert dataset.notices == (
        "passed over 1 empty class folder: a",
        "passed over 1 picture beside the class folders: loose.png",
        "passed over 2 hidden files or folders: .thumbs, b/.2.png",
        "passed over 1 file that is not a picture: b/notes.txt",
    )


def test_a_class_that_is_empty_in_one_split_keeps_its_index(tmp_path: Path) -> None:
    for shade, name in enumerate("abc"):
        picture(tmp_path / "train" / name / "1.png", shade)
    picture(tmp_path / "test" / "a" / "1.png", 10)
    picture(tmp_path / "test" / "c" / "1.png", 11)
    (tmp_path / "test" / "b").mkdir()
    dataset = open_data(tmp_path)
    assert [record.target.index for record in dataset.of_split("test")] == [0, 2]
    assert dataset.notices == ("passed over 1 empty class folder: test/b",)


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    try:
        os.mkdir(folder)  # noqa: PTH102 (bytes)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with open(folder + b"/\xff.png", "wb") as file:  # noqa: PTH123 (bytes)
        Image.new("L", (4, 4)).save(file, format="PNG")
    picture(tmp_path / "b" / "1.png", 1)
    dataset = open_data(tmp_path)
    assert dataset.classes.names == ("b", r"caf\xe9")
    record = dataset.records[1]
    assert record.name == r"caf\xe9/\xff.png" and record.content != b""
    record.name.encode("utf-8")


def test_the_same_picture_under_two_labels_names_both(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "1.png", 7)
    picture(tmp_path / "dog" / "copy.png", 7)
    with pytest.raises(DataError, match=r"two labels.*cat/1\.png is 'cat' and dog/copy\.png is 'dog'"):
        classified(tmp_path)


def test_empty_files_under_two_labels_are_left_to_the_scan(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / name / "1.png", ord(name))
        (tmp_path / name / "empty.jpg").touch()
    assert len(classified(tmp_path).records) == 4


def test_copies_in_two_splits_are_reported(tmp_path: Path) -> None:
    for split in ("train", "test"):
        picture(tmp_path / split / "a" / "1.png", 1)
        picture(tmp_path / split / "b" / "1.png", 2 if split == "train" else 3)
    (notice,) = open_data(tmp_path).notices
    assert "1 picture is in more than one split" in notice and "train/a/1.png = test/a/1.png" in notice


REFUSED = {
    "empty": ([], "is an empty folder; expected a folder for each class"),
    "only text": (["a/x.txt"], "holds no pictures; expected a folder for each class"),
    "no class folders": (["1.png", "2.png"], "holds 2 pictures but no class folders"),
    "one class": (["daisy/1.png"], "one class only, 'daisy'"),
    "flat splits": (["train/1.png", "test/2.png"], "holds pictures directly.*test/<class>/"),
    "two vals": (["train/a/1.png", "train/b/2.png", "val/a/3.png", "valid/b/4.png"], "both mean the split val"),
    "unknown class": (
        ["train/cat/1.png", "train/dog/2.png", "val/cats/3.png"],
        r"1 class of which .*train has no picture: cats; Did you mean 'cat'\?",
    ),
    "splits and classes": (["train/a/1.png", "train/b/2.png", "extra/3.png"], r"split folders \(train\) and.*extra"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    files, message = REFUSED[case]
    for shade, file in enumerate(files):
        picture(tmp_path / file, shade)
    with pytest.raises(DataError, match=message):
        classified(tmp_path)


def test_a_link_to_a_folder_above_is_a_loop(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", 1)
    picture(tmp_path / "b" / "1.png", 2)
    (tmp_path / "b" / "again").symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"b/again is a symbolic link to a folder that it lies in"):
        open_data(tmp_path)


def test_a_link_to_itself(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", 1)
    picture(tmp_path / "b" / "1.png", 2)
    (tmp_path / "b" / "loop").symlink_to(tmp_path / "b" / "loop")
    with pytest.raises(DataError, match=r"b/loop: .*symbolic links"):
        open_data(tmp_path)


def test_a_link_to_another_folder_is_followed(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "1.png", 1)
    picture(tmp_path / "data" / "a" / "1.png", 2)
    (tmp_path / "data" / "b").symlink_to(tmp_path / "elsewhere")
    assert [record.name for record in open_data(tmp_path / "data").records] == ["a/1.png", "b/1.png"]


def test_broken_and_circular_pictures_become_unreadable_records(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", 1)
    picture(tmp_path / "b" / "1.png", 2)
    (tmp_path / "a" / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "b" / "gone.jpg").symlink_to("nowhere.jpg")
    unread = [record.name for record in open_data(tmp_path).records if record.content == b""]
    assert unread == ["a/circle.jpg", "b/gone.jpg"]


CHECK = """
import sys
from striate.data import PictureCache, check_readable, open_data
from striate.pictures.preprocess import Preprocess
dataset = open_data(sys.argv[1])
for budget in (0, 1 << 30):
    print(*check_readable(dataset, Preprocess(), cache=PictureCache(budget), workers=1))
"""


def check_as_somebody(data: Path) -> subprocess.CompletedProcess[str]:
    """Open and check the data in a process that permissions bind, which the superuser's own are not."""
    command = [sys.executable, "-c", CHECK, str(data)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("NO setpriv: permissions do not bind the superuser")
        # Without these it is still root, and so reaches the interpreter and the folders of tests wherever they are.
        without = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}", *command]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "STRIATE_CACHE": "/nonexistent"})


def test_a_file_without_permission(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", 1)
    picture(tmp_path / "b" / "1.png", 2).chmod(0)
    done = check_as_somebody(tmp_path)
    assert (done.stdout, done.stderr) == ("b/1.png: no permission to read it\n" * 2, "")


def test_a_folder_without_permission(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", 1)
    picture(tmp_path / "b" / "1.png", 2)
    (tmp_path / "b").chmod(0)
    done = check_as_somebody(tmp_path)
    (tmp_path / "b").chmod(0o755)
    assert done.returncode == 1
    assert "DataError" in done.stderr and "/b: Permission denied; every folder" in done.stderr


def pages(path: Path, count: int, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = [Image.new("L", (5, 4), shade + page) for page in range(count)]
    first.save(path, save_all=True, append_images=others)


def test_tiffs_of_several_pages_are_pictures_of_many_bands(tmp_path: Path) -> None:
    from striate.data import Loader
    from striate.pictures.preprocess import Preprocess

    pages(tmp_path / "field" / "1.tif", 5, 10)
    pages(tmp_path / "water" / "1.tiff", 5, 100)
    dataset = open_data(tmp_path)
    assert dataset.channels == 5
    preprocess = Preprocess(channels=5, mean=(0.0,), scale=(1.0,), size=(4, 4), resize="stretch")
    (batch,) = Loader(dataset.records, preprocess, batch_size=2).epoch(0)
    assert np.array_equal(batch.images[:, :, 0, 0].numpy(), [[10, 11, 12, 13, 14], [100, 101, 102, 103, 104]])


def test_tiffs_must_agree_in_their_pages(tmp_path: Path) -> None:
    pages(tmp_path / "field" / "1.tif", 5, 10)
    pages(tmp_path / "water" / "1.tif", 7, 100)
    with pytest.raises(DataError, match=r"differ in their bands: .*field/1\.tif has 5 and .*water/1\.tif has 7"):
        open_data(tmp_path)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"largest": True}, "--largest"),
        ({"drop_degenerate": True}, "--drop-degenerate"),
        ({"unlabelled": "skip"}, "--unlabelled"),
    ],
)
def test_what_is_about_boxes_is_not_ignored(tmp_path: Path, settings: dict[str, object], flag: str) -> None:
    picture(tmp_path / "cat" / "a.png", 1)
    with pytest.raises(DataError, match=f"{flag} is about boxes( or .*)?, and folders data have none"):
        open_data(tmp_path, settings=DataSettings(**settings))  # type: ignore[arg-type]
