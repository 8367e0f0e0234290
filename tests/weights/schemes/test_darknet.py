"""darknet's layers have no names: their order and their kinds must do."""

import numpy as np
import pytest
import torch

from striate.base.errors import WeightsError
from striate.models import build
from striate.weights.schemes import darknet, place

VGG16 = (*("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3"), *("4_1", "4_2", "4_3", "5_1", "5_2", "5_3"))
# vgg-16.cfg: a max pool behind each group, dropout behind the dense layers; darknet counts all of them.
VGG16_INDICES = (0, 1, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16)


def on_meta(model: str):
    with torch.device("meta"):
        return build(model)


def test_vgg16(foreign_of) -> None:
    theirs = [f"conv{index}" for index in VGG16_INDICES] + ["dense18", "dense20", "dense22"]
    ours = [f"conv{place}" for place in VGG16] + ["fc6", "fc7", "fc8"]
    arrays = {}
    for number, layer in enumerate(theirs):
        arrays[f"{layer}/bias"] = np.array([number])
        arrays[f"{layer}/weight"] = np.full((1,) * (4 if layer.startswith("conv") else 2), number)
    found = darknet.convert(foreign_of(arrays, "darknet"), on_meta("vgg16"))
    assert list(found) == [f"{layer}.{leaf}" for layer in ours for leaf in ("bias", "weight")]
    for number, layer in enumerate(ours):
        assert found[f"{layer}.bias"].item() == found[f"{layer}.weight"].item() == number


# The convolutions of yolov3-tiny.cfg: index, filters, channels before them, window. Two end in numbers, without a norm.
TINY = (
    *((0, 16, 3, 3), (2, 32, 16, 3), (4, 64, 32, 3), (6, 128, 64, 3), (8, 256, 128, 3), (10, 512, 256, 3)),
    *((12, 1024, 512, 3), (13, 256, 1024, 1), (14, 512, 256, 3), (15, 255, 512, 1)),
    *((18, 128, 256, 1), (21, 256, 384, 3), (22, 255, 256, 1)),
)


def test_yolov3_tiny(foreign_of) -> None:
    arrays = {}
    for index, filters, channels, window in TINY:
        arrays[f"conv{index}/bias"] = np.zeros(filters, np.float32)
        if filters != 255:
            arrays |= {f"conv{index}/{leaf}": np.zeros(filters, np.float32) for leaf in ("gamma", "mean", "variance")}
        arrays[f"conv{index}/weight"] = np.zeros((filters, channels, window, window), np.float32)
    network = on_meta("yolov3_tiny")
    found = darknet.convert(foreign_of(arrays, "darknet"), network)
    state = {path: each for path, each in network.state_dict().items() if not path.endswith("tracked")}
    assert {path: each.shape for path, each in found.items()} == {path: each.shape for path, each in state.items()}


def test_batch_norm_belongs_to_its_convolution(foreign_of) -> None:
    """(x - mean) / sqrt(variance + 1e-5) * gamma + beta, and beta is what the file calls bias."""
    rng = np.random.default_rng(2)
    arrays = {"conv0/weight": rng.standard_normal((64, 3, 3, 3)).astype(np.float32)}
    for leaf in ("bias", "gamma", "mean", "variance"):
        arrays[f"conv0/{leaf}"] = rng.uniform(0.1, 1, 64).astype(np.float32)
    found = darknet.convert(foreign_of(arrays, "darknet"), on_meta("vgg11_bn"))
    network = on_meta("vgg11_bn").eval()
    assert not network.load_state_dict(found, strict=False, assign=True).unexpected_keys
    images = torch.randn(1, 3, 224, 224)
    kernel, *numbers = (
        torch.from_numpy(arrays[f"conv0/{leaf}"]) for leaf in ("weight", "bias", "gamma", "mean", "variance")
    )
    beta, gamma, mean, variance = (each.reshape(64, 1, 1) for each in numbers)
    wanted = ((torch.conv2d(images, kernel, padding=1) - mean) / (variance + 1e-5).sqrt() * gamma + beta).relu()
    with torch.no_grad():
        torch.testing.assert_close(network.bn1_1(network.conv1_1(images)), wanted, rtol=1e-4, atol=1e-4)


def test_from_the_first_layer_of_another_kind_names_are_kept(foreign_of) -> None:
    arrays = {
        "conv0/bias": np.zeros(1),
        "conv0/weight": np.zeros((1, 1, 1, 1)),
        "dense1/weight": np.zeros((1, 1)),
        "conv2/weight": np.zeros((1, 1, 1, 1)),
    }
    found = darknet.convert(foreign_of(arrays, "darknet"), on_meta("vgg11"))
    assert set(found) == {"conv1_1.bias", "conv1_1.weight", "dense1/weight", "conv2/weight"}


def test_what_a_layer_has_no_place_for_keeps_its_name(foreign_of) -> None:
    arrays = {
        "conv0/weight": np.zeros((1, 1, 1, 1)),
        **{f"conv0/{leaf}": np.zeros(1) for leaf in ("bias", "gamma", "mean")},
    }
    found = darknet.convert(foreign_of(arrays, "darknet"), on_meta("vgg11"))
    # VGG-11 has no batch norm: beta is no bias of the convolution.
    assert set(found) == {"conv1_1.weight", "conv1_1.bias", "conv0/bias", "conv0/gamma", "conv0/mean"}


def test_a_network_that_is_no_chain_is_not_known(foreign_of) -> None:
    with pytest.raises(WeightsError, match="weights of resnet50 in darknet files are not known here"):
        place(foreign_of({}, "darknet"), "resnet50", classes=1000)
