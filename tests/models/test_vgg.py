"""VGG against published counts, the paper's table 1, and torch's own functions."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from striate.models import vgg
from striate.models.network import parameter_count
from tests.models.light import light

# Parameters, running statistics, multiply-adds at 224, and the convolutions of each block.
PUBLISHED = {
    "vgg11": (132_863_336, 0, 7_609_090_048, (1, 1, 2, 2, 2)),
    "vgg13": (133_047_848, 0, 11_308_466_176, (2, 2, 2, 2, 2)),
    "vgg16": (138_357_544, 0, 15_470_264_320, (2, 2, 3, 3, 3)),
    "vgg19": (143_667_240, 0, 19_632_062_464, (2, 2, 4, 4, 4)),
    "vgg11_bn": (132_868_840, 5_504, 7_609_090_048, (1, 1, 2, 2, 2)),
    "vgg13_bn": (133_053_736, 5_888, 11_308_466_176, (2, 2, 2, 2, 2)),
    "vgg16_bn": (138_365_992, 8_448, 15_470_264_320, (2, 2, 3, 3, 3)),
    "vgg19_bn": (143_678_248, 11_008, 19_632_062_464, (2, 2, 4, 4, 4)),
}


def on_meta(name: str) -> vgg.VGG:
    with torch.device("meta"):
        return getattr(vgg, name)(classes=1000, in_channels=3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_as_published(name: str) -> None:
    parameters, statistics, adds, _ = PUBLISHED[name]
    network = on_meta(name)
    assert parameter_count(network) == parameters
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == statistics
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() == 2 * adds


@pytest.mark.parametrize("name", PUBLISHED)
def test_names(name: str) -> None:
    kinds = ("conv", "bn") if name.endswith("_bn") else ("conv",)
    blocks = enumerate(PUBLISHED[name][3], start=1)
    layers = [f"{kind}{block}_{i + 1}" for block, count in blocks for i in range(count) for kind in kinds]
    expected = [f"{layer}.{what}" for layer in [*layers, "fc6", "fc7", "fc8"] for what in ("weight", "bias")]
    assert [path for path, _ in on_meta(name).named_parameters()] == expected


def test_shapes_of_vgg16() -> None:
    network, found = on_meta("vgg16"), []
    for name, module in network.named_children():
        if name.startswith(("conv", "pool", "fc")):
            module.register_forward_hook(lambda _, __, y, name=name: found.append((name[:4], tuple(y.shape[1:]))))
    network(torch.zeros(1, 3, 224, 224, device="meta"))
    assert found == [
        *[("conv", (64, 224, 224))] * 2,
        ("pool", (64, 112, 112)),
        *[("conv", (128, 112, 112))] * 2,
        ("pool", (128, 56, 56)),
        *[("conv", (256, 56, 56))] * 3,
        ("pool", (256, 28, 28)),
        *[("conv", (512, 28, 28))] * 3,
        ("pool", (512, 14, 14)),
        *[("conv", (512, 14, 14))] * 3,
        ("pool", (512, 7, 7)),
        ("fc6", (4096,)),
        ("fc7", (4096,)),
        ("fc8", (1000,)),
    ]


def test_blocks_end_in_their_pools() -> None:
    network = on_meta("vgg11_bn")
    assert list(network.blocks) == ["stem", "stage1", "stage2", "stage3", "stage4", "dense", "head"]
    assert network.blocks["stem"] == ("conv1_1", "bn1_1", "pool1")
    assert network.blocks["stage4"] == ("conv5_1", "bn5_1", "conv5_2", "bn5_2", "pool5")
    assert network.blocks["dense"] == ("flatten", "fc6", "relu", "drop6", "fc7", "relu")
    assert network.blocks["head"] == ("drop7", "fc8")


@pytest.mark.parametrize("name", ["vgg11", pytest.param("vgg11_bn", marks=pytest.mark.slow)])
def test_computes_what_the_paper_says(name: str) -> None:
    network = light(name).eval()
    w = network.state_dict()
    for path, tensor in w.items():
        if path.endswith(("bias", "running_mean")):
            tensor.normal_(0.0, 0.1)
        elif path.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
    images = x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        for block, count in enumerate(PUBLISHED[name][3], start=1):
            for i in range(1, count + 1):
                conv, bn = f"conv{block}_{i}", f"bn{block}_{i}"
                x = F.conv2d(x, w[f"{conv}.weight"], w[f"{conv}.bias"], padding=1)
                if name.endswith("_bn"):
                    statistics = w[f"{bn}.running_mean"], w[f"{bn}.running_var"]
                    x = F.batch_norm(x, *statistics, w[f"{bn}.weight"], w[f"{bn}.bias"])
                x = F.relu(x)
            x = F.max_pool2d(x, 2)
        x = x.flatten(1)
        for name in ("fc6", "fc7"):
            x = F.relu(F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"]))
        expected = F.linear(x, w["fc8.weight"], w["fc8.bias"])
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_the_signal_reaches_the_end_of_nineteen_layers() -> None:
    """The paper's deviation of 0.01 would leave 1e-8 of it there, and nothing could be learnt."""
    network = light("vgg19").eval()
    with torch.no_grad():
        maps = network.run(torch.randn(1, 3, 224, 224), stop="stage4")
    assert 0.05 < maps.square().mean().sqrt().item() < 5
