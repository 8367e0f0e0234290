"""Safetensors: every kind of number, and damage."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from striate.base.errors import WeightsError
from striate.weights.readers import safetensors_file


def write(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        safetensors_file.read(path)
    return str(caught.value)


def test_every_kind_of_number(tmp_path: Path) -> None:
    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    wholes = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool)
    tensors = {str(kind): torch.tensor([[1, 0, 1]]).to(kind) for kind in (*floats, *wholes)}
    path = tmp_path / "a.safetensors"
    save_file(tensors, path, {"who": "me"})
    contents = safetensors_file.read(path)
    assert contents.facts == {"metadata": {"who": "me"}, "wrapper": None, "prefix": ""}
    assert set(contents.arrays) == set(tensors)
    for kind in (*floats, *wholes):
        array = contents.arrays[str(kind)]
        assert array.dtype == (np.float32 if kind in floats else np.int64)
        np.testing.assert_array_equal(array, [[1, 0, 1]])


def test_bfloat16_as_torch_has_it(tmp_path: Path) -> None:
    numbers = torch.randn(100, generator=torch.Generator().manual_seed(1)).bfloat16()
    save_file({"x": numbers}, tmp_path / "a.safetensors")
    contents = safetensors_file.read(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(contents.arrays["x"], numbers.float().numpy())


def test_a_file_by_hand(tmp_path: Path) -> None:
    header = {"s": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}}
    contents = safetensors_file.read(write(tmp_path / "a", header, struct.pack("<q", -5)))
    assert contents.arrays["s"].shape == () and contents.arrays["s"] == -5
    assert contents.facts["metadata"] == {}


def test_prefixes_and_a_part_of_the_names(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"backbone.x.w": torch.ones(2), "backbone.y.w": torch.ones(3)}, path)
    contents = safetensors_file.read(path)
    assert set(contents.arrays) == {"x.w", "y.w"} and contents.facts["prefix"] == "backbone."
    save_file({"mine.w": torch.ones(2), "theirs.w": torch.ones(3)}, path)
    assert set(safetensors_file.read(path).arrays) == {"mine.w", "theirs.w"}
    contents = safetensors_file.read(path, state="theirs")
    assert {name: array.shape for name, array in contents.arrays.items()} == {"w": (3,)}
    assert contents.facts["wrapper"] == "theirs"
    with pytest.raises(WeightsError, match=r"under 'their'\. Did you mean 'theirs'\?"):
        safetensors_file.read(path, state="their")


def test_numbers_that_are_not_read(tmp_path: Path) -> None:
    header = {"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}
    assert "w holds numbers of the kind F8_E4M3" in refusal(write(tmp_path / "a", header, b"\0\0"))


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**63]}},
        {"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        b"{" + b'"a":{' * 5000,
        b"[]",
        b"\xff\xfe",
    ],
)
def test_damage_is_refused(tmp_path: Path, header: object) -> None:
    assert "truncated or damaged" in refusal(write(tmp_path / "a", header, b"\0" * 4))


def test_cut_short_anywhere_it_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.ones(5, 3), "y": torch.ones(2)}, tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        refusal(tmp_path / "cut")
