"""Files of torch.save: both containers, wrappings and prefixes, and everything that is more than tensors."""

import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import WeightsError
from striate.weights.readers import torch_file

BOTH = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
STATE = OrderedDict([("b.weight", torch.arange(6.0).reshape(2, 3)), ("a.bias", torch.tensor([1.0, -2.0]))])


def save(value: object, folder: Path, zipped: bool = True) -> Path:
    path = folder / "weights.pth"
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        torch_file.read(path)
    return str(caught.value)


@BOTH
def test_a_state_dict_comes_back_in_its_order(tmp_path: Path, zipped: bool) -> None:
    contents = torch_file.read(save(STATE, tmp_path, zipped))
    assert contents.container == ("zip" if zipped else "legacy pickle")
    assert list(contents.arrays) == ["b.weight", "a.bias"]
    np.testing.assert_array_equal(contents.arrays["b.weight"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(contents.arrays["a.bias"], [1, -2])
    assert contents.facts == {"wrapper": None, "prefix": "", "others": []}


@BOTH
def test_numbers_become_float32_and_int64(tmp_path: Path, zipped: bool) -> None:
    kinds = (torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.uint8, torch.bool)
    tensors = {str(kind): torch.tensor([[1, 0], [1, 1]]).to(kind) for kind in kinds}
    tensors["scalar"] = torch.tensor(7)
    tensors["turned"] = torch.arange(6.0).reshape(2, 3).T  # not contiguous
    arrays = torch_file.read(save(tensors, tmp_path, zipped)).arrays
    assert [array.dtype for array in arrays.values()] == [np.float32] * 3 + [np.int64] * 4 + [np.float32]
    for kind in kinds:
        np.testing.assert_array_equal(arrays[str(kind)], [[1, 0], [1, 1]])
    assert arrays["scalar"].shape == () and arrays["scalar"] == 7
    np.testing.assert_array_equal(arrays["turned"], [[0, 3], [1, 4], [2, 5]])


def test_bfloat16_is_exact(tmp_path: Path) -> None:
    arrays = torch_file.read(save({"x": torch.tensor([1 / 3, -1e30]).bfloat16()}, tmp_path)).arrays
    # The upper halves of the float32 numbers, rounded: 0x3EAB and 0xF14A.
    assert [struct.pack(">f", number).hex() for number in arrays["x"]] == ["3eab0000", "f14a0000"]


@pytest.mark.parametrize(
    ("wrapped", "wrapper", "others"),
    [
        ({"epoch": 3, "state_dict": STATE, "optimizer": {"state": {}}}, "state_dict", ["epoch", "optimizer"]),
        ({"model": STATE, "model_ema": {"b.weight": torch.zeros(9)}}, "model", ["model_ema"]),
        ({"model": {"state_dict": STATE, "arch": "x"}, "lr": 0.1}, "model.state_dict", ["lr", "arch"]),
        ({"model_state_dict": STATE}, "model_state_dict", []),
        ({"ema": STATE, "step": 1}, "ema", ["step"]),
        ({"net": STATE, "acc": 91.0}, "net", ["acc"]),  # not a known word, but the only dict of tensors
        ({**STATE, "note": "a text"}, None, ["note"]),
    ],
)
def test_wrappings_are_taken_off_and_told(tmp_path: Path, wrapped: dict, wrapper: str | None, others: list) -> None:
    contents = torch_file.read(save(wrapped, tmp_path))
    assert list(contents.arrays) == ["b.weight", "a.bias"]
    assert contents.arrays["b.weight"].shape == (2, 3)
    assert contents.facts == {"wrapper": wrapper, "prefix": "", "others": others}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_a_prefix_goes_when_every_name_has_it(tmp_path: Path, prefix: str) -> None:
    contents = torch_file.read(save({prefix + name: tensor for name, tensor in STATE.items()}, tmp_path))
    assert list(contents.arrays) == ["b.weight", "a.bias"]
    assert contents.facts["prefix"] == prefix


def test_a_prefix_stays_when_one_name_lacks_it(tmp_path: Path) -> None:
    contents = torch_file.read(save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path))
    assert list(contents.arrays) == ["module.a", "b"]


# More than tensors


class Bomb:
    """What pickle calls when it loads this: a command that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.mark}",)


class Quiet(nn.Module):
    """A module whose class would be imported, and whose state would be set, on load."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.mark = str(mark)
        self.layer = nn.Linear(2, 2)

    def __setstate__(self, state: dict) -> None:
        Path(state["mark"]).touch()
        super().__setstate__(state)


@BOTH
@pytest.mark.parametrize("place", ["whole", "beside"])
def test_a_pickle_that_would_run_a_command_is_refused(tmp_path: Path, zipped: bool, place: str) -> None:
    mark = tmp_path / "mark"
    path = save(Bomb(mark) if place == "whole" else {"state_dict": STATE, "args": Bomb(mark)}, tmp_path, zipped)
    said = refusal(path)
    assert "posix.system" in said or "nt.system" in said
    assert "would run code of its author" in said and "state_dict" in said and "Nothing was executed" in said
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the mark can be made: the file is what it should be
    assert mark.exists()


@BOTH
def test_a_whole_module_is_refused_by_its_class(tmp_path: Path, zipped: bool) -> None:
    mark = tmp_path / "mark"
    said = refusal(save(Quiet(mark), tmp_path, zipped))
    assert ".Quiet" in said and "would run code of its author" in said
    assert not mark.exists()


@BOTH
def test_a_module_of_torchs_own_is_refused_too(tmp_path: Path, zipped: bool) -> None:
    assert "torch.nn.modules.linear.Linear" in refusal(save(nn.Linear(2, 2), tmp_path, zipped))


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for protocol in range(2, 6):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps({"w": np.ones(3), "x": Bomb(mark)}, protocol=protocol))
        assert "pickle" in refusal(path)
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    torch.jit.script(nn.Linear(2, 2)).save(path)
    said = refusal(path)
    assert "TorchScript" in said and "state_dict" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.ones(3), "holds a Tensor"),
        ([torch.ones(3)], "holds a list"),
        ({"epoch": 3, "best": 0.5}, "no state dict; its entries are epoch, best"),
        ({}, "its entries are nothing"),
        ({"a": {"x": torch.ones(1)}, "b": {"x": torch.ones(1)}}, "no state dict; its entries are a, b"),
        ({"w": torch.eye(3).to_sparse()}, "w is a sparse"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, "w holds numbers of the kind torch.complex64"),
        ({"w": torch.ones(2, device="meta")}, "w is a sparse, nested or empty (meta)"),
    ],
)
def test_what_holds_no_plain_tensors_is_refused(tmp_path: Path, value: object, said: str) -> None:
    assert said in refusal(save(value, tmp_path))


@pytest.mark.filterwarnings("ignore")  # torch has much to say of quantised tensors
def test_quantised_tensors_are_refused(tmp_path: Path) -> None:
    assert "w is a quantised" in refusal(
        save({"w": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}, tmp_path)
    )


@BOTH
@pytest.mark.parametrize("value", [np.float64(0.5), Path("x")], ids=["numpy", "path"])
def test_an_object_beside_the_tensors_is_refused_by_its_class(tmp_path: Path, zipped: bool, value: object) -> None:
    said = refusal(save({"state_dict": STATE, "best": value}, tmp_path, zipped))
    assert "scalar" in said or "Path" in said
    assert "pickle of more than tensors" in said


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@BOTH
def test_another_protocol_is_refused_as_such(tmp_path: Path, zipped: bool) -> None:
    torch.save(STATE, tmp_path / "a.pth", pickle_protocol=4, _use_new_zipfile_serialization=zipped)
    assert "did not write with its own protocol" in refusal(tmp_path / "a.pth")


# Damage and bombs


@BOTH
def test_cut_short_anywhere_it_is_refused(tmp_path: Path, zipped: bool) -> None:
    whole = save({"state_dict": STATE, "epoch": 1}, tmp_path, zipped).read_bytes()
    path = tmp_path / "cut.pth"
    for length in [*range(1, 60), *range(60, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refusal(path)


def test_a_tensor_of_more_numbers_than_are_stored_is_refused(tmp_path: Path) -> None:
    path = save({"w": torch.ones(1).expand(10**5, 10**5)}, tmp_path)
    assert path.stat().st_size < 5000
    assert "declares 40,000,000,000 bytes" in refusal(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    whole = save({"w": torch.zeros(4 * 10**6)}, tmp_path)
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in source.infolist():
            bomb.writestr(entry.filename, source.read(entry))
    assert path.stat().st_size < 50_000
    assert "unpacks to 16,0" in refusal(path)


def test_a_dict_that_holds_itself_is_refused(tmp_path: Path) -> None:
    loop: dict = {"w": torch.ones(1)}
    loop["model"] = loop
    assert "no state dict" in refusal(save(loop, tmp_path))


# Real files


def test_mobilenet_v2_of_torchvision(shared_data: Path) -> None:
    path = shared_data / "weights" / "mobilenet_v2-b0353104.pth"
    contents = torch_file.read(path)
    wanted = torch.load(path, weights_only=True)
    assert len(contents.arrays) == 314
    assert list(contents.arrays) == list(wanted)
    assert all(np.array_equal(contents.arrays[name], tensor.numpy()) for name, tensor in wanted.items())
    counted = (array.size for name, array in contents.arrays.items() if name.endswith(("weight", "bias")))
    assert sum(counted) == 3_504_872


def test_resnet20_with_prefix_and_wrapping(shared_data: Path) -> None:
    contents = torch_file.read(shared_data / "weights" / "resnet20-12fca82f.th")
    assert contents.container == "legacy pickle"
    assert contents.facts == {"wrapper": "state_dict", "prefix": "module.", "others": ["best_prec1"]}
    assert len(contents.arrays) == 97
    assert contents.arrays["linear.weight"].shape == (10, 64)


def test_vdsr(shared_data: Path) -> None:
    contents = torch_file.read(shared_data / "weights" / "vdsr-epoch50-state-dict.pth")
    assert contents.container == "zip"
    assert sum(array.size for array in contents.arrays.values()) == 664_704
    assert list(contents.arrays)[-2:] == ["input.weight", "output.weight"]
