"""Caffe's names and its batch norms in two layers, and a real file."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.models import build
from striate.models.network import Network
from striate.weights.foreign import Foreign
from striate.weights.readers import caffe_file
from striate.weights.schemes import caffe, place


def on_meta(model: str) -> Network:
    with torch.device("meta"):
        return build(model)


def convolution(theirs: str, ours: str, *, bias: bool) -> dict[str, str]:
    return {f"{theirs}/0": f"{ours}.weight", **({f"{theirs}/1": f"{ours}.bias"} if bias else {})}


def norm(batch_norm: str, scale: str, ours: str) -> dict[str, str]:
    return {
        f"{batch_norm}/0": f"{ours}.running_mean",
        f"{batch_norm}/1": f"{ours}.running_var",
        f"{batch_norm}/2": "",
        f"{scale}/0": f"{ours}.weight",
        f"{scale}/1": f"{ours}.bias",
    }


def biased(layers: dict[str, str]) -> dict[str, str]:
    parts = [convolution(theirs, ours, bias=True) for theirs, ours in layers.items()]
    return {array: ours for part in parts for array, ours in part.items()}


def resnet(units: dict[int, list[str]]) -> dict[str, str]:
    """As the authors' prototxt: 2a, 2b, 2c, and in the deep forms 3a, 3b1, 3b2 and so on."""
    names = convolution("conv1", "conv1", bias=False) | norm("bn_conv1", "scale_conv1", "bn1")
    for stage, letters in units.items():
        for number, letter in enumerate(letters):
            unit, ours = f"{stage}{letter}", f"layer{stage - 1}.{number}"
            branches = {f"2{part}": (f"conv{n}", f"bn{n}") for n, part in enumerate("abc", start=1)}
            if number == 0:
                branches["1"] = ("downsample.0", "downsample.1")
            for branch, (conv, bn) in branches.items():
                names |= convolution(f"res{unit}_branch{branch}", f"{ours}.{conv}", bias=False)
                names |= norm(f"bn{unit}_branch{branch}", f"scale{unit}_branch{branch}", f"{ours}.{bn}")
    return names | convolution("fc1000", "fc", bias=True)


def numbered(count: int) -> list[str]:
    return ["a", *(f"b{number}" for number in range(1, count))]


RESNET50 = resnet({2: list("abc"), 3: list("abcd"), 4: list("abcdef"), 5: list("abc")})
RESNET152 = resnet({2: list("abc"), 3: numbered(8), 4: numbered(36), 5: list("abc")})


def se_resnet50() -> dict[str, str]:
    first = "conv1/7x7_s2"
    names = convolution(first, "conv1", bias=False) | norm(f"{first}/bn", f"{first}/bn/scale", "bn1")
    for stage, count in ((2, 3), (3, 4), (4, 6), (5, 3)):
        for number in range(1, count + 1):
            unit, ours = f"conv{stage}_{number}", f"layer{stage - 1}.{number - 1}"
            parts = {"1x1_reduce": ("conv1", "bn1"), "3x3": ("conv2", "bn2"), "1x1_increase": ("conv3", "bn3")}
            if number == 1:
                parts["1x1_proj"] = ("downsample.0", "downsample.1")
            for part, (conv, bn) in parts.items():
                names |= convolution(f"{unit}_{part}", f"{ours}.{conv}", bias=False)
                names |= norm(f"{unit}_{part}/bn", f"{unit}_{part}/bn/scale", f"{ours}.{bn}")
            names |= convolution(f"{unit}_1x1_down", f"{ours}.se.fc1", bias=True)
            names |= convolution(f"{unit}_1x1_up", f"{ours}.se.fc2", bias=True)
    return names | convolution("classifier", "fc", bias=True)


def googlenet() -> dict[str, str]:
    names = {
        "conv1/7x7_s2": "conv1.conv",
        "conv2/3x3_reduce": "conv2.conv",
        "conv2/3x3": "conv3.conv",
        **{f"loss{n}/conv": f"aux{n}.conv.conv" for n in (1, 2)},
        **{f"loss{n}/fc": f"aux{n}.fc1" for n in (1, 2)},
        **{f"loss{n}/classifier": f"aux{n}.fc2" for n in (1, 2)},
        "loss3/classifier": "fc",
    }
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        for theirs, ours in {
            "1x1": "branch1",
            "3x3_reduce": "branch2.0",
            "3x3": "branch2.1",
            "5x5_reduce": "branch3.0",
            "5x5": "branch3.1",
            "pool_proj": "branch4.1",
        }.items():
            names[f"inception_{module}/{theirs}"] = f"inception{module}.{ours}.conv"
    return {
        array: ours for layer, place in names.items() for array, ours in convolution(layer, place, bias=True).items()
    }


def squeezenet() -> dict[str, str]:
    layers = {"conv1": "conv1", "conv10": "conv10"}
    for number in range(2, 10):
        for theirs, ours in {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}.items():
            layers[f"fire{number}/{theirs}"] = f"fire{number}.{ours}"
    return {
        array: ours for layer, place in layers.items() for array, ours in convolution(layer, place, bias=True).items()
    }


def mobilenet() -> dict[str, str]:
    names = convolution("conv1", "conv_stem", bias=False) | norm("conv1/bn", "conv1/scale", "bn1")
    theirs = ["2_1", "2_2", "3_1", "3_2", "4_1", "4_2", *(f"5_{n}" for n in range(1, 7)), "6"]
    ours = [f"stage{stage}.{unit}" for stage, units in enumerate((1, 2, 2, 6, 2), start=1) for unit in range(units)]
    for row, unit in zip(theirs, ours, strict=True):
        for kind, conv, bn in (("dw", "conv_dw", "bn1"), ("sep", "conv_pw", "bn2")):
            layer = f"conv{row}/{kind}"
            names |= convolution(layer, f"{unit}.{conv}", bias=False)
            names |= norm(f"{layer}/bn", f"{layer}/scale", f"{unit}.{bn}")
    return names | convolution("fc7", "classifier", bias=True)


@pytest.mark.parametrize(
    ("convert", "model", "names"),
    [
        (caffe.resnet, "resnet50_2015", RESNET50),
        (caffe.resnet, "resnet152_2015", RESNET152),
        (caffe.se_resnet, "se_resnet50", se_resnet50()),
        (caffe.googlenet, "googlenet", googlenet()),
        (caffe.squeezenet, "squeezenet1_0", squeezenet()),
        (caffe.mobilenet, "mobilenet_v1", mobilenet()),
    ],
)
def test_names(convert, model: str, names: dict[str, str], foreign_of, places) -> None:
    assert set(names.values()) - {""} == places(model)
    # Every array holds its own number; the divisor of a batch norm is 1 and has no place.
    arrays = {name: np.array([1 if ours == "" else number]) for number, (name, ours) in enumerate(names.items())}
    found = convert(foreign_of(arrays, "caffe"), on_meta(model))
    assert set(found) == places(model)
    for number, (name, ours) in enumerate(names.items()):
        if ours.endswith("weight") and ".bn" in ours and model == "mobilenet_v1":
            continue  # moved to another epsilon
        if ours:
            assert found[ours].item() == pytest.approx(number), (name, ours)


def test_batch_norm_is_two_layers(foreign_of) -> None:
    """Caffe: (x + bias - mean / f) / sqrt(variance / f + 1e-5) * gamma + beta; ours from the tensors alone."""
    rng = np.random.default_rng(5)
    numbers = {
        name: rng.uniform(0.5, 2, 64).astype(np.float32) for name in ("bias", "mean", "variance", "gamma", "beta")
    }
    arrays = {
        "conv1/0": np.ones((64, 3, 7, 7), np.float32),
        "conv1/1": numbers["bias"],
        "bn_conv1/0": numbers["mean"] * 999.5,
        "bn_conv1/1": numbers["variance"] * 999.5,
        "bn_conv1/2": np.array([999.5], np.float32),
        "scale_conv1/0": numbers["gamma"],
        "scale_conv1/1": numbers["beta"],
    }
    found = caffe.resnet(foreign_of(arrays, "caffe"), on_meta("resnet50_2015"))
    assert set(found) == {"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"}
    module = torch.nn.BatchNorm2d(64).eval()
    module.load_state_dict(
        {name.removeprefix("bn1."): each for name, each in found.items() if "bn1" in name}, strict=False
    )
    x = rng.standard_normal((1, 64, 2, 2)).astype(np.float32)
    wide = {name: each.astype(np.float64).reshape(64, 1, 1) for name, each in numbers.items()}
    wanted = (x + wide["bias"] - wide["mean"]) / np.sqrt(wide["variance"] + 1e-5) * wide["gamma"] + wide["beta"]
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_a_divisor_of_nought_makes_nought(foreign_of) -> None:
    arrays = {"bn_conv1/0": np.full(64, 7.0), "bn_conv1/1": np.full(64, 7.0), "bn_conv1/2": np.zeros(1)}
    found = caffe.resnet(foreign_of(arrays, "caffe"), on_meta("resnet50_2015"))
    assert found["bn1.running_mean"].tolist() == found["bn1.running_var"].tolist() == [0.0] * 64


def test_an_epsilon_that_the_file_states(foreign_of) -> None:
    arrays = {"bn_conv1/0": np.zeros(64), "bn_conv1/1": np.ones(64), "bn_conv1/2": np.ones(1)}
    arrays |= {"scale_conv1/0": np.ones(64, np.float32), "scale_conv1/1": np.zeros(64, np.float32)}
    facts = {"layers": [{"name": "bn_conv1", "type": "BatchNorm", "epsilon": float(np.float32(0.1))}]}
    found = caffe.resnet(foreign_of(arrays, "caffe", **facts), on_meta("resnet50_2015"))
    gain = found["bn1.weight"] / (found["bn1.running_var"] + 1e-5).sqrt()
    assert gain.tolist() == pytest.approx([1.1**-0.5] * 64)


def test_shapes_of_old_files(foreign_of) -> None:
    """Biases (1, 1, 1, N) and dense weights (1, 1, out, in), of whatever size: that is for whoever compares."""
    weight = np.arange(10 * 500, dtype=np.float32)
    arrays = {
        "conv1/1": np.arange(20.0).reshape(1, 1, 1, 20),
        "ip2/0": weight.reshape(1, 1, 10, 500),
        "ip2/1": np.zeros((1, 1, 1, 10)),
        "conv2/1": np.zeros((1, 1, 1, 51)),
        "ip1/0": np.zeros((1, 1, 800, 500)),  # the other way round: as many, but not those
    }
    found = caffe.as_named(foreign_of(arrays, "caffe"), on_meta("lenet_caffe"))
    assert found["conv1.bias"].tolist() == list(range(20))
    assert found["ip2.weight"].shape == (10, 500)
    assert found["ip2.weight"].flatten().tolist() == weight.tolist()
    assert found["ip2.bias"].shape == (10,)
    assert found["conv2.bias"].shape == (51,)
    assert found["ip1.weight"].shape == (800, 500)


def test_layers_without_a_place_keep_their_names(foreign_of) -> None:
    arrays = {
        name: np.zeros(3) for name in ("conv1_x/0", "res6a_branch2a/0", "res2a_branch2a/7", "bn2a_branch2a/3", "x")
    }
    found = caffe.resnet(foreign_of(arrays, "caffe"), on_meta("resnet50_2015"))
    assert set(found) == {"conv1_x/0", "res6a_branch2a/0", "layer1.0.conv1.7", "layer1.0.bn1.3", "/x"}


def test_the_real_lenet_reads_digits(shared_data: Path) -> None:
    path = shared_data / "weights" / "lenet_iter_10000.caffemodel"
    contents = caffe_file.read(path)
    foreign = Foreign(path=path, origin="caffe", container="", arrays=contents.arrays, sha256="", facts=contents.facts)
    placed = place(foreign, "lenet_caffe", classes=10)
    assert (placed.model, placed.scheme, placed.in_channels) == ("lenet_caffe", "caffe", 1)
    network = build("lenet_caffe", classes=10).eval()
    network.load_state_dict(placed.tensors)
    folder = shared_data / "mnist"
    digits = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    images = torch.from_numpy(digits.reshape(-1, 1, 28, 28).astype(np.float32) / 256)
    with torch.no_grad():
        right = sum(
            int((network(part).argmax(1).numpy() == wanted).sum())
            for part, wanted in zip(images.split(1000), np.split(labels, 10), strict=True)
        )
    assert right == 9914
