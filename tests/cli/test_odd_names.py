"""Names of files are bytes that anybody may choose: they are accepted, escaped where shown, and never obeyed."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

HOSTILE = "two\nlines\x1b[2J\u202e"
SHOWN = "two\\nlines\\x1b[2J\\u202e"


@pytest.fixture
def latin(photos: Path) -> Path:
    """``photos`` under names in Latin-1: the folder, a class and a picture."""
    folder = photos.rename(photos.with_name(os.fsdecode(b"caf\xe9")))
    (folder / "disc").rename(folder / os.fsdecode(b"d\xefsc"))
    (folder / os.fsdecode(b"d\xefsc") / "0000.jpg").rename(folder / os.fsdecode(b"d\xefsc") / os.fsdecode(b"\xff.jpg"))
    return folder


def test_names_that_are_not_utf8_go_all_the_way(train, striate, latin):
    answer = train(latin, "--json")
    assert answer.code == 0 and answer.json["run"] == "runs/caf\\xe9-1"
    assert [row["name"] for row in answer.json["best"]["per_class"]] == ["d\\xefsc", "square"]
    run = Path("runs") / os.fsdecode(b"caf\xe9-1")
    assert run.is_dir()
    resumed = striate("train", latin, "--out", run, "--resume")
    assert resumed.code == 0 and "wrote runs/caf\\xe9-1/model.safetensors" in resumed.out
    answer = striate("evaluate", run, latin, "--json")
    assert answer.json["model"] == "runs/caf\\xe9-1" and answer.json["data"].endswith("/caf\\xe9")
    answer = striate("predict", run, latin, "--json")
    assert any(row["image"].endswith("/caf\\xe9/d\\xefsc/\\xff.jpg") for row in answer.json["predictions"])
    answer = striate("predict", run, latin)
    assert "/caf\\xe9/d\\xefsc/\\xff.jpg: " in answer.out


def test_names_that_are_not_utf8_in_refusals(train, striate, latin):
    (latin / os.fsdecode(b"d\xefsc") / os.fsdecode(b"\xfe.jpg")).write_text("no picture")
    train(latin).refuses("d\\xefsc/\\xfe.jpg: not a picture")
    striate("predict", os.fsdecode(b"m\xf6del"), latin).refuses("m\\xf6del: there is no such file")
    train(os.fsdecode(b"n\xf6")).refuses("n\\xf6: no such file or folder")


def test_classes_are_said_in_one_line(train, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=pixels, y=np.array(["a\nb", "c"] * 10))
    answer = train(tmp_path / "data.npz")
    assert answer.code == 0 and "2 classes: a\\nb, c\n" in answer.err
    assert "test, 2 pictures" in answer.out


def test_names_that_would_move_the_cursor(train, striate, photos):
    (photos / "disc").rename(photos / HOSTILE)
    (photos / HOSTILE / "0000.jpg").rename(photos / HOSTILE / f"{HOSTILE}.jpg")
    (photos / f"{HOSTILE}.csv").write_text("")
    answer = train(photos, "--out", "run", "--json")
    assert answer.code == 0 and answer.json["best"]["per_class"][1]["name"] == SHOWN
    assert f"passed over 1 file that is not a picture: {SHOWN}.csv\n" in answer.err
    answer = striate("predict", "run", photos, "--top", "2")
    assert answer.out.count("\n") == 24 and f"{SHOWN}/{SHOWN}.jpg: " in answer.out and f"{SHOWN} " in answer.out
    assert not re.search(r"[^\n -~]", answer.out + answer.err)
    (photos / HOSTILE / f"{HOSTILE}.jpg").write_text("no picture")
    train(photos).refuses(f"  {SHOWN}/{SHOWN}.jpg: not a picture")
    striate("predict", "run", photos, "--strict", "--json").refuses(f"{SHOWN}/{SHOWN}.jpg: not a picture")
    striate("predict", "run", f"{HOSTILE}.png").refuses(f"{SHOWN}.png: there is no such file")


@pytest.mark.parametrize("name", ["CON", "nul.txt", "x" * 255, "ß" * 127, "with space", "-dash", "a=b,c", "日本"])
def test_class_folders_of_unusual_names(train, striate, photos, name):
    (photos / "square").rename(photos / name)
    assert train(photos, "--out", "run", "--quiet").code == 0
    answer = striate("evaluate", "run", photos, "--json")
    assert sorted(row["name"] for row in answer.json["per_class"]) == sorted(["disc", name])
    assert striate("predict", "run", photos / name, "--json").code == 0


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, ".hidden", "dots.in.name"])
def test_data_folders_of_unusual_names(train, photos, name):
    answer = train(photos.rename(photos.with_name(name)), "--json")
    assert answer.code == 0 and Path(answer.json["run"]).parent == Path("runs")
