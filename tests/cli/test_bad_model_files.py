"""What ``predict`` and ``evaluate`` say to a wrong model file, a wrong name, or pictures that the model cannot take."""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file


@pytest.fixture
def picture(photos: Path) -> Path:
    return photos / "disc" / "0000.jpg"


@pytest.fixture
def forged(run: Path) -> Callable[..., Path]:
    """``forged(change)`` is the run's model file after ``change(header, description)``."""

    def forge(change: Callable[[Any, Any], Any], body: Callable[[bytes], bytes] = lambda bytes_: bytes_) -> Path:
        whole = (run / "model.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", whole[:8])
        header = json.loads(whole[8 : 8 + length])
        description = json.loads(header["__metadata__"]["striate"])
        text = change(header, description)
        header["__metadata__"]["striate"] = text if isinstance(text, str) else json.dumps(description)
        encoded = json.dumps(header).encode()
        path = run.parent / "forged.safetensors"
        path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + body(whole[8 + length :]))
        return path

    return forge


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty, not a model file"]),
        (b"not a model file", ["is not a safetensors file"]),
        (b"\xff\xd8\xff\xe0" + bytes(64), ["is not a safetensors file"]),
        (struct.pack("<Q", 2**62) + b"{}", ["is not a safetensors file", "header too large"]),
        (struct.pack("<Q", 2) + b"{}", ["is a safetensors file, but not a model file of Striate"]),
        (b"PK\x03\x04 a .pth of today", ["is a PyTorch file", "not a model file of Striate"]),
        (b"\x80\x02 a .pth of old", ["is a PyTorch file", "not a model file of Striate"]),
        (b"\x89HDF\r\n\x1a\n", ["is a Keras (HDF5) file", "not a model file of Striate"]),
    ],
)
def test_a_file_of_another_kind(striate, picture, photos, content, words):
    Path("model").write_bytes(content)
    striate("predict", "model", picture).refuses("model: ", *words)
    striate("evaluate", "model", photos).refuses("model: ", *words)


@pytest.mark.parametrize("part", [4, 100, -1])
def test_a_truncated_model_file(striate, picture, run, part):
    whole = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(whole[:part])
    striate("predict", run, picture).refuses("run/model.safetensors: is not a safetensors file, or is truncated")


def test_a_checkpoint_that_does_not_describe_itself_is_no_model_file(striate, picture, run):
    """As they were before a checkpoint could answer."""
    path = run / "last.safetensors"
    with safe_open(path, "pt") as file:
        metadata = {name: text for name, text in file.metadata().items() if name != "striate"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    save_file(tensors, path, metadata)
    striate("predict", path, picture).refuses("not a model file of Striate")


def test_a_newer_format_is_refused_by_name(striate, picture, photos, forged):
    path = forged(lambda header, description: description.update(format=2, classes="told otherwise"))
    words = ["forged.safetensors: has format 2", "newer Striate", "up to 1", "pip install --upgrade striate"]
    striate("predict", path, picture).refuses(*words)
    striate("evaluate", path, photos).refuses(*words)


@pytest.mark.parametrize("text", ["{no json", "[]", "3", "{}", '{"format": "1"}', "[" * 100_000, '{"format": 1}'])
def test_a_description_that_is_none(striate, picture, forged, text):
    path = forged(lambda header, description: text)
    striate("predict", path, picture).refuses("forged.safetensors: its description is damaged")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d["model"].update(name="lenet6"), "Did you mean 'lenet5'?"),
        (lambda d: d["model"].update(name=["lenet5"]), "damaged"),
        (lambda d: d["model"].update(arguments={"depth": 3}), "expected whole numbers for classes and in_channels"),
        (lambda d: d["model"]["arguments"].update(classes=10**9), "2 class names for a network of 1000000000"),
        (lambda d: d["model"]["arguments"].update(in_channels=3), "pictures of 1 channels for a network of 3"),
        (lambda d: d["task"].update(name="detekt"), "no task 'detekt'"),
        (lambda d: d["task"].update(name=["detect"]), "must be texts"),
        (lambda d: d["classes"].update(names=["one"]), "1 class name for a network of 2"),
        (lambda d: d["classes"].update(names=[1, 2]), "must be texts"),
        (lambda d: d["classes"].update(names="ab"), "not a list"),
        (lambda d: d["classes"].update(ids=["n1"]), "2 class names came with 1 ids"),
        (lambda d: d["preprocess"].update(size=[8, 8]), "pictures of (8, 8) for a network of (32, 32)"),
        (lambda d: d["preprocess"].update(size=[10**9, 8]), "size is"),
        (lambda d: d["preprocess"].update(scale=[0.0]), "it divides, so it cannot be 0"),
        (lambda d: d["preprocess"].update(unit=float("nan")), "unit is nan"),
        (lambda d: d["preprocess"].update(colour=1), "no field 'colour'"),
        (lambda d: d.update(provenance=3), "damaged"),
        (lambda d: d["provenance"].pop("split"), "no right split"),
        (lambda d: d["provenance"].update(fold=3), "no right fold"),
    ],
)
def test_a_description_that_does_not_hold_together(striate, picture, forged, change, word):
    def apply(header: Any, description: Any) -> None:
        change(description)

    striate("predict", forged(apply), picture).refuses(word)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda h: h.update({"c1.other": h.pop("c1.weight")}), "1 missing (c1.weight); 1 unexpected (c1.other)"),
        (lambda h: h["f6.weight"].update(shape=[120, 84]), "f6.weight is [120, 84], expected [84, 120]"),
        (lambda h: h["f6.weight"].update(shape=[-1, 84]), "is not a safetensors file"),
        (lambda h: h["f6.weight"].update(data_offsets=[0, 10**15]), "is not a safetensors file"),
    ],
)
def test_tensors_that_are_not_the_networks(striate, picture, forged, change, word):
    def apply(header: Any, description: Any) -> None:
        change(header)

    striate("predict", forged(apply), picture).refuses("forged.safetensors", word)


def test_weights_that_are_no_numbers(striate, picture, forged):
    path = forged(lambda header, description: None, lambda body: b"\xff" * len(body))
    striate("predict", path, picture, "--json").refuses("is damaged", "c1.weight", "not finite")


def test_what_a_model_file_says_is_shown_but_never_obeyed(striate, picture, forged):
    hostile = ["\x1b[2Jred", "two\nlines \ud800"]
    path = forged(lambda header, description: description["classes"].update(names=hostile))
    answer = striate("predict", path, picture, "--top", "2")
    assert answer.code == 0 and answer.out.count("\n") == 1
    assert "\\x1b[2Jred" in answer.out and "two\\nlines \\ud800" in answer.out
    answer = striate("predict", path, picture, "--json")
    assert {row["name"] for row in answer.json["predictions"][0]["classes"]} == {"\x1b[2Jred", "two\nlines \\ud800"}
    striate("evaluate", path, picture.parent.parent).refuses("class 'disc' of the data", "It knows \\x1b[2Jred")


def test_no_such_model(striate, picture, photos):
    Path("pipe").unlink(missing_ok=True)
    os.mkfifo("pipe")
    for verb, what in (("predict", picture), ("evaluate", photos)):
        striate(verb, "efficientnet_lite", what).refuses("Did you mean 'efficientnet_lite0'?")
        striate(verb, "lenet5", what).refuses("no pretrained weights of lenet5", "efficientnet_lite0")
        striate(verb, "nowhere/model.safetensors", what).refuses("nowhere/model.safetensors: there is no such file")
        striate(verb, photos, what).refuses("photos: is a folder without model.safetensors")
        striate(verb, "x" * 300, what).refuses("too long")
        striate(verb, "pipe", what).refuses("pipe: is not a file")


def test_a_model_file_without_permission(striate, open_folder, run, as_nobody):
    shutil.copy(run / "model.safetensors", open_folder / "model")
    (open_folder / "model").chmod(0)
    (open_folder / "secret").mkdir(mode=0)
    with as_nobody():
        file = striate("predict", open_folder / "model", open_folder / "photos")
        below = striate("predict", open_folder / "secret" / "model", open_folder / "photos")
    file.refuses("model: cannot be read as a model file: Permission denied")
    below.refuses("secret/model: cannot be read as a model file: Permission denied")


def test_pictures_that_cannot_be_named(striate, photos, run):
    (photos / "disc" / "text.jpg").write_text("no picture")
    (photos / "empty").mkdir()
    striate("predict", run, "nowhere.jpg").refuses("nowhere.jpg: there is no such file")
    striate("predict", run, "x" * 300).refuses("too long")
    striate("predict", run, photos / "empty").refuses("photos/empty: holds no pictures")
    answer = striate("predict", run, photos, "--strict")  # which answers what comes before it
    assert answer.code == 2 and answer.out.count("\n") == len(list((photos / "disc").iterdir())) - 1
    assert "disc/text.jpg: not a picture: it is a text file named .jpg" in answer.err
    striate("predict", run, photos, "--strict", "--json").refuses("disc/text.jpg: not a picture")
    striate("predict", run).refuses("requires an argument")
    for top in ("0", "-2"):
        striate("predict", run, photos, "--top", top).refuses("--top", ">= 1")


def test_a_folder_that_predict_may_not_read(striate, open_folder, run, as_nobody):
    shutil.copytree(run, open_folder / "run")  # which others may read, as the umask says: safetensors' own are 0600
    (open_folder / "photos" / "square").chmod(0)
    with as_nobody():
        answer = striate("predict", open_folder / "run", open_folder / "photos", "--json")
    answer.refuses("photos/square: cannot be read: Permission denied")


def test_data_that_cannot_be_evaluated(striate, photos, run, photo_folder, tmp_path):
    striate("evaluate", run, "fotos").refuses("fotos: no such file or folder", "Did you mean 'photos'?")
    striate("evaluate", run, photos, "--format", "idx").refuses("holds no idx images")
    striate("evaluate", run, photos, "--split", "tset").refuses('"tset"', 'Did you mean "test"?')
    striate("evaluate", run, photos, "--workers", "-1").refuses("--workers", ">= 0")
    (photos / "disc" / "text.jpg").write_text("no picture")
    striate("evaluate", run, photos).refuses("1 of 25 pictures", "disc/text.jpg: not a picture", "--skip-unreadable")
    other = photo_folder(tmp_path / "other", classes=("disc", "sqaure"), per_class=3, size=20)
    striate("evaluate", run, other).refuses("class 'sqaure'", "Did you mean 'square'?", "It knows disc, square")
    (other / "sqaure").rename(other / "square")
    striate("evaluate", run, other, "--split", "test").refuses("has no test pictures", "--split all")
    striate("evaluate", "efficientnet_lite0", other).refuses("class 'disc' of the data", "1000 classes")


def test_pictures_of_other_channels(striate, train, photos, run, tmp_path):
    rng = np.random.default_rng(0)
    np.savez("five.npz", x=rng.integers(0, 256, (40, 9, 9, 5), dtype=np.uint8), y=np.arange(40) % 2)
    assert train("five.npz", "--out", "five").code == 0
    striate("predict", "five", photos / "disc").refuses("0000.jpg: it has 3 bands where 5 bands were expected")
    striate("evaluate", "five", photos).refuses("24 of 24 pictures", "5 bands were expected")
    names = np.array(["disc", "square"])
    np.savez("named.npz", x=rng.integers(0, 256, (40, 9, 9, 5), dtype=np.uint8), y=np.arange(40) % 2, names=names)
    striate("evaluate", run, "named.npz").refuses("5 bands")
