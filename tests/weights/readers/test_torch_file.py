"""Files of torch.save: both containers, wrappings and prefixes, and everything that is more than tensors."""

import os
import pickle
import random
import struct
import zipfile
from argparse import Namespace
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath

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


PREFIX_CASES = ("module.", "_orig_mod.", "module._orig_mod.", "model.", "net.", "backbone.", "student.", "encoder.")


@pytest.mark.parametrize("prefix", [*PREFIX_CASES, "module.model.", "student.backbone."])
def test_a_prefix_goes_when_every_name_has_it(tmp_path: Path, prefix: str) -> None:
    contents = torch_file.read(save({prefix + name: tensor for name, tensor in STATE.items()}, tmp_path))
    assert list(contents.arrays) == ["b.weight", "a.bias"]
    assert contents.facts["prefix"] == prefix


@pytest.mark.parametrize("prefix", PREFIX_CASES)
def test_a_prefix_stays_when_one_name_lacks_it(tmp_path: Path, prefix: str) -> None:
    contents = torch_file.read(save({f"{prefix}a": torch.ones(1), "b": torch.ones(1)}, tmp_path))
    assert list(contents.arrays) == [f"{prefix}a", "b"]


def test_averaged_weights_as_torch_averages_them(tmp_path: Path) -> None:
    """Its counter stands beside the names, without their prefix."""
    averaged = torch.optim.swa_utils.AveragedModel(nn.Linear(3, 2))
    contents = torch_file.read(save(averaged.state_dict(), tmp_path))
    assert list(contents.arrays) == ["weight", "bias"]
    assert contents.facts == {"wrapper": None, "prefix": "module.", "others": ["n_averaged"]}


# Several sets of weights

OTHER = OrderedDict((name, tensor + 1) for name, tensor in STATE.items())
TRIO = {"state_dict": STATE, "state_dict_ema": OTHER, "epoch": 3}


def test_which_of_two_must_be_said(tmp_path: Path) -> None:
    for file, names in (
        (TRIO, ("state_dict", "state_dict_ema")),
        ({"model": STATE, "model_ema": OTHER}, ("model", "model_ema")),
        ({"model": {f"module.{n}": t for n, t in STATE.items()}, "ema": {"shadow": OTHER}}, ("model", "ema.shadow")),
        ({"model": {"state_dict": STATE, "state_dict_ema": OTHER}}, ("model.state_dict", "model.state_dict_ema")),
        ({"state_dict": STATE, "best_so_far": OTHER}, ("state_dict", "best_so_far")),
        ({**STATE, "ema": OTHER}, (".", "ema")),
    ):
        path = save(file, tmp_path)
        said = refusal(path)
        assert "more than one set of weights" in said
        assert all(f"{name} (2 tensors)" in said for name in names)
        assert said.count("--state") == said.count("state='") == 1
        for name in names:
            contents = torch_file.read(path, state=name)
            assert contents.facts["wrapper"] == name
            first = contents.arrays["b.weight"][0, 0]
            assert first == (1 if contents.arrays["a.bias"][0] == 2 else 0)
        values = [torch_file.read(path, state=name).arrays["a.bias"][0] for name in names]
        assert sorted(values) == [1, 2]


def test_what_cannot_be_meant_instead_is_left(tmp_path: Path) -> None:
    """Other names or shapes are of another network; an optimizer's averages are none; the same dict twice is one."""
    for beside in (
        {"discriminator": {"c.weight": torch.ones(2)}},
        {"metrics": {"top1": torch.tensor(0.9)}},
        {"model_ema": {"b.weight": torch.zeros(9)}},
        {"optimizer": {"exp_avg": OTHER}},
        {"model": STATE},
    ):
        contents = torch_file.read(save({"state_dict": STATE, **beside}, tmp_path))
        assert contents.facts["wrapper"] == "state_dict" and contents.arrays["a.bias"][0] == 1


@pytest.mark.filterwarnings("ignore")  # torch has much to say of nested tensors
def test_odd_tensors_in_two_sets_are_refused_in_words(tmp_path: Path) -> None:
    for odd in (torch.nested.nested_tensor([torch.ones(2)]), torch.eye(3).to_sparse(), torch.ones(2, device="meta")):
        refusal(save({"state_dict": {"w": odd}, "ema": {"w": odd.clone()}}, tmp_path))


def test_a_state_that_is_not_there(tmp_path: Path) -> None:
    path = save(TRIO, tmp_path)
    with pytest.raises(
        WeightsError, match=r"under 'state_dict_emma'. Did you mean 'state_dict_ema'\? There is state_d"
    ):
        torch_file.read(path, state="state_dict_emma")
    with pytest.raises(WeightsError, match="one set of tensors, whose names begin with b, a"):
        torch_file.read(save(STATE, tmp_path), state="model")
    assert "--state takes one of net (2 tensors), best (2 tensors)" in refusal(
        save({"net": STATE, "best": OTHER}, tmp_path)
    )


def test_a_state_may_be_what_names_begin_with(tmp_path: Path) -> None:
    """Lightning's files: the network, and beside it a loss with weights of its own, in one dict."""
    both = {f"model.{n}": t for n, t in STATE.items()} | {f"teacher.{n}": t for n, t in OTHER.items()}
    path = save({"state_dict": both, "epoch": 1}, tmp_path)
    for state, wrapper in (("teacher", "state_dict.teacher"), ("state_dict.teacher", "state_dict.teacher")):
        contents = torch_file.read(path, state=state)
        assert list(contents.arrays) == ["b.weight", "a.bias"] and contents.arrays["a.bias"][0] == 2
        assert contents.facts["wrapper"] == wrapper
    path = save({"state_dict": both, "ema": both | {"x": torch.ones(1)}}, tmp_path)
    with pytest.raises(WeightsError, match=r"more than one 'teacher': state_dict\.teacher .*ema\.teacher"):
        torch_file.read(path, state="teacher")


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


# What training scripts save beside the tensors

HARMLESS = {
    "arguments": Namespace(lr=0.1, out=Path("runs/1"), inner=Namespace(size=torch.Size([3])), kind=np.float32),
    "paths": [Path("a"), PurePosixPath("b"), PureWindowsPath("c")],
    "numbers": [np.float64(0.5), np.int64(3), np.bool_(True), np.str_("x"), np.float32(1), 1 + 2j],
    "arrays": [np.arange(3), np.array(["a", None], dtype=object), np.dtype("float32")],
    "random": [random.getstate(), torch.get_rng_state()],
    "times": [datetime(2026, 1, 2, tzinfo=UTC), timedelta(3)],
    "containers": [defaultdict(list, {"a": [1]}), OrderedDict(a=1), {1, 2}, frozenset([3]), range(3), slice(1)],
    "torchs": [torch.device("cpu"), torch.float32, torch.Size([2])],
}


@BOTH
@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_objects_beside_the_tensors_are_left(tmp_path: Path, zipped: bool, kind: str) -> None:
    contents = torch_file.read(save({"model": STATE, "args": HARMLESS[kind]}, tmp_path, zipped))
    assert list(contents.arrays) == ["b.weight", "a.bias"]
    assert contents.facts == {"wrapper": "model", "prefix": "", "others": ["args"]}


MADE: list[str] = []


class Watched(Namespace):
    """Namespace's own name is allowed; this one's is not, however it is made."""

    def __init__(self, **values: object) -> None:
        MADE.append("init")
        super().__init__(**values)

    def __setstate__(self, state: dict) -> None:
        MADE.append("setstate")
        self.__dict__.update(state)


class WatchedPath(type(Path())):  # type: ignore[misc]
    """A path that does something when it is made."""

    def __new__(cls, *parts: object) -> "WatchedPath":
        MADE.append("path")
        return super().__new__(cls, *parts)


@BOTH
@pytest.mark.parametrize("make", [lambda: Watched(lr=1), lambda: WatchedPath("x")], ids=["namespace", "path"])
def test_a_class_over_an_allowed_one_is_refused(tmp_path: Path, zipped: bool, make: Callable[[], object]) -> None:
    path = save({"model": STATE, "args": make()}, tmp_path, zipped)
    MADE.clear()
    said = refusal(path)
    assert ".Watched" in said and "would run code of its author" in said
    assert MADE == []
    torch.load(path, weights_only=False)
    assert MADE  # it does what it should, where it may


@BOTH
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_command_inside_allowed_objects_is_refused(tmp_path: Path, zipped: bool, depth: int) -> None:
    mark = tmp_path / "mark"
    args: object = Bomb(mark)
    for _ in range(depth):
        args = Namespace(inner=args)
    assert "system" in refusal(save({"model": STATE, "args": args}, tmp_path, zipped))
    assert not mark.exists()


def string(text: str) -> bytes:
    """A text as a pickle has it."""
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def test_no_allowed_name_reaches_the_object_of_that_name(tmp_path: Path) -> None:
    """By hand: what pickles make and set of allowed names are objects of ours, whatever they are given."""
    mark = tmp_path / "mark"
    hidden = string(pickle.dumps(Bomb(mark), protocol=2).decode("latin-1")) + string("latin1")
    whole = save({"model": STATE, "args": "MARKER"}, tmp_path).read_bytes()
    for calls in (
        # numpy's scalar of objects unpickles its bytes; its dtype and ndarray take states that they do not check.
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n%b\x85Rc_codecs\nencode\n(%btRtR" % (string("O8"), hidden),
        b"cargparse\nNamespace\n)\x81}(%bK\x01ub" % string("__class__"),
        b"cnumpy\nndarray\n(K\x00K\x00tR}(K\x01K\x02ub",
        b"c__builtin__\nslice\n(K\x01tRK\x01b",
        b"cpathlib\nPosixPath\n(NNtR",
    ):
        path = tmp_path / "hand.pth"
        with zipfile.ZipFile(BytesIO(whole)) as source, zipfile.ZipFile(path, "w") as made:
            for entry in source.infolist():
                data = source.read(entry)
                if entry.filename.endswith("data.pkl"):
                    assert string("MARKER") in data
                    data = data.replace(string("MARKER"), calls)
                made.writestr(entry.filename, data)
        assert list(torch_file.read(path).arrays) == ["b.weight", "a.bias"]
    assert not mark.exists()


def test_arrays_in_place_of_tensors_are_not_taken_for_weights(tmp_path: Path) -> None:
    assert "no state dict; its entries are w" in refusal(save({"w": np.ones(3)}, tmp_path))


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
