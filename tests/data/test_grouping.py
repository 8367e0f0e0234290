"""Pictures that belong together although their bytes differ are never parted, and who they are is said."""

import os
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.data import folds, open_data, scan, split
from striate.data.settings import DataSettings
from tests.data.sources.annotated import picture

NEAR = DataSettings(group="near")
TWINS = {"11 116", "120 83", "52 74", "65 98"}
RESIZED = {"21 45", "50 52"}


def by_file(name):
    return DataSettings(group=str(name))


def numbers(notice, sign):
    """The pairs in a notice on raccoons."""
    return {" ".join(re.findall(r"raccoon-(\d+)", pair)) for pair in notice.split(", ") if sign in pair}


def sides(dataset):
    return {record.name: record.split for record in dataset.records}


@pytest.fixture
def photos(tmp_path, photo_folder):
    """Two classes of eight pictures, and of two of each a copy of half the size; the last is byte by byte the first."""
    root = photo_folder(tmp_path / "photos", size=200)
    for folder in ("disc", "square"):
        for number in (0, 1):
            with Image.open(root / folder / f"000{number}.jpg") as picture:
                picture.resize((100, 100)).save(root / folder / f"small{number}.jpg", quality=80)
    (root / "disc" / "twin.jpg").write_bytes((root / "disc" / "small0.jpg").read_bytes())
    return root


def test_raccoons_have_four_pairs_of_equal_bytes_and_two_more_in_other_sizes(shared_data):
    """Those that its README names; and no other."""
    (twins,) = open_data(shared_data / "raccoon").notices
    assert twins.startswith("4 copies differ") and numbers(twins, " = ") == TWINS
    dataset = open_data(shared_data / "raccoon", settings=NEAR)
    assert dataset.notices[0] == twins
    assert dataset.notices[1].startswith("2 pictures look like earlier ones, and no split parts them: ")
    assert numbers(dataset.notices[1], " ~ ") == RESIZED and len(dataset.notices) == 2
    groups = [{f"images/raccoon-{number}.jpg" for number in pair.split()} for pair in (*TWINS, *RESIZED)]
    for seed in range(5):
        for parts in (split(dataset, seed=seed), *folds(dataset, 5, seed)):
            found = sides(parts)
            assert all(len({found[name] for name in group}) == 1 for group in groups)


def test_copies_of_other_sizes_are_never_parted(photos):
    plain, dataset = (open_data(photos, settings=settings) for settings in (DataSettings(), NEAR))
    names = [f"{folder}/{{}}{number}.jpg" for folder in ("disc", "square") for number in (0, 1)]
    pairs = [(name.format("000"), name.format("small")) for name in names]
    said = ", ".join(f"{one} ~ {other}" for one, other in pairs)
    assert dataset.notices == (f"4 pictures look like earlier ones, and no split parts them: {said}",)
    parted = 0
    for seed in range(8):
        for data in (plain, dataset):
            for parts in (split(data, (0.5, 0.5, 0), seed), *folds(data, 3, seed)):
                found = sides(parts)
                assert found["disc/twin.jpg"] == found["disc/small0.jpg"]
                together = all(found[one] == found[other] for one, other in pairs)
                assert data is plain or together
                parted += not together
    assert parted > 10  # so it is the groups that keep them together


def test_what_is_alike_is_remembered(photos, monkeypatch):
    monkeypatch.setattr(scan, "_SETTLED_NS", 0)
    first = open_data(photos, settings=NEAR)
    with monkeypatch.context() as patch:
        patch.setattr(scan, "decode", None)
        assert open_data(photos, settings=NEAR) == first


def test_a_picture_that_cannot_be_read_stays_for_the_scan_to_report(photos):
    (photos / "disc" / "broken.jpg").write_text("no photograph")
    groups = {record.name: record.group for record in open_data(photos, settings=NEAR).records}
    assert groups["disc/broken.jpg"] is None and groups["disc/0000.jpg"] is not None is groups["disc/0002.png"]


def test_arrays_have_likenesses_too_and_what_folders_part_is_told(tmp_path):
    draw = np.random.default_rng(3)
    x = np.kron(draw.integers(0, 200, (6, 8, 8, 5)), np.ones((1, 4, 4, 1))).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(6) % 2, x_test=x[[5, 4]] + 3, y_test=np.array([1, 0]))
    notices = open_data(tmp_path / "a.npz", settings=NEAR).notices
    pairs = "a.npz:x_train[5] ~ a.npz:x_test[0], a.npz:x_train[4] ~ a.npz:x_test[1]"
    assert notices == (
        f"2 pictures look like earlier ones, and no split parts them: {pairs}",
        f"2 pictures look like one in another split, so the figures will flatter: {pairs}",
    )
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(6) % 2)
    dataset = open_data(tmp_path / "a.npz", settings=NEAR)
    assert dataset.notices == ("no picture looks like another, but for copies of equal bytes",)
    assert {record.group for record in dataset.records} == {None}


def test_a_file_says_what_belongs_together(photos, tmp_path, monkeypatch):
    """By as much of a name's end as means one picture, found from here or in the folder of the data."""
    names = [record.name for record in open_data(photos).records]
    rows = [f"{name};day {number // 4}" for number, name in enumerate(names)]
    rows[0], rows[8] = f".\\{rows[0]}".replace("/", "\\"), rows[8].removeprefix("disc/")  # small0.jpg is twice
    (photos / "days.csv").write_text("\n".join(["Group of whom;Picture;GROUP", *(f"x;{row}" for row in rows)]) + "\n\n")
    monkeypatch.chdir(tmp_path)
    for given in ("days.csv", "photos/days.csv", photos / "days.csv"):
        with pytest.raises(DataError, match=r"days\.csv:10: 'small0\.jpg' may be disc/small0\.jpg, square/small0\.jpg"):
            open_data(photos, settings=by_file(given))
    rows[8] = "disc/small0.jpg;day 2"
    (photos / "days.csv").write_text("\n".join(["x;picture;group", *(f"x;{row}" for row in rows)]) + "\n\n")
    dataset = open_data(photos, settings=by_file("days.csv"))
    assert dataset.notices[-1] == "21 pictures in 6 groups, by photos/days.csv".replace("photos", str(photos))
    for parts in folds(dataset, 3):
        found = defaultdict(set)
        for row, record in zip(rows, parts.records, strict=True):
            found[row.rpartition(";")[2]].add(record.split)
        assert all(len(splits) == 1 for splits in found.values())
    with pytest.raises(DataError, match=r"class 'disc' has 3 groups, class 'square' has 3 groups: too few"):
        folds(dataset, 4)


def test_groups_that_folders_part_are_told(tmp_path, photo_folder):
    photo_folder(tmp_path / "data" / "train")
    photo_folder(tmp_path / "data" / "test", classes=("square",), per_class=1)
    names = [record.name for record in open_data(tmp_path / "data").records]
    table = tmp_path / "groups.csv"
    table.write_text("picture,group\n" + "".join(f'"{name}",{Path(name).name}\n' for name in names))
    notices = open_data(tmp_path / "data", settings=by_file(table)).notices
    assert notices[-1] == "1 group is in more than one split, so the figures will flatter: '0000.jpg'"


def write_boxes(folder):
    """Three pictures, a.png to c.png, with a box each."""
    lines = [f"{picture(folder / f'{name}.png', seed=seed).name},cat,2,3,6,8" for seed, name in enumerate("abc")]
    (folder / "boxes.csv").write_text("\n".join(["filename,class,xmin,ymin,xmax,ymax", *lines]))


SOUND = "picture,group\na.png,1\nb.png,2\n"
BAD = {
    "empty": ("", "g.csv is empty; expected a CSV file whose first line names the columns picture and group"),
    "blank": (" \n\n", "g.csv is empty"),
    "other columns": (SOUND.replace("group", "day"), "g.csv:1: has the columns picture, day; expected a CSV file"),
    "a column twice": ("picture,group,group\na.png,1,2\n", "g.csv:1: has the columns picture, group, group;"),
    "no first line": ("a.png,1\nb.png,2\n", "g.csv:1: has the columns a.png, 1; expected"),
    "unknown": (SOUND + "c.pgn,3\n", "g.csv:4: there is no picture 'c.pgn' in data. Did you mean 'c.png'?"),
    "twice": (SOUND + "c.png,3\na.png,1\n", "g.csv:5: 'a.png' is in g.csv:2, too; expected each picture once"),
    "left out": (SOUND, "g.csv: 1 picture has no group: c.png; give each a line"),
    "all left out": ("picture,group\n", "g.csv: 3 pictures have no group: a.png, b.png, c.png; give each a line"),
    "no group": (SOUND + "c.png,\n", "g.csv:4: names no group; expected a picture and its group in each line"),
    "short": (SOUND + "c.png\n", "g.csv:4: names no group"),
    "no picture": (SOUND + ",3\n", "g.csv:4: names no picture"),
    "quote": (SOUND + '"c.png"x,3\n', "g.csv:4: is not CSV"),
    "latin": (SOUND.encode() + b"c.png,\xe9\n", "g.csv is not UTF-8 text (byte 36); save it as UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0", "g.csv is not UTF-8 text"),
}


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_with_its_place(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    write_boxes(Path("data"))
    Path("g.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        open_data(Path("data"), settings=by_file("g.csv"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nera", "data", "no.csv", "x" * 300, "a\0b", "pipe"])
def test_what_is_no_file_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_boxes(Path("data"))
    os.mkfifo("pipe")
    with pytest.raises(
        DataError, match=r'^group is \'.*there is no such file here or in data\..*Give "near", or a CSV'
    ) as caught:
        open_data(Path("data"), settings=by_file(name))
    assert ("Did you mean 'near'?" in str(caught.value)) == (name == "nera")
