"""SqueezeNet 1.0 and 1.1: figures, names, and a head that begins alive."""

import copy

import pytest
import torch

from striate.base.errors import ModelError
from striate.layers import Conv2d, MaxPool2d
from striate.models import MODELS, build
from striate.models.network import parameter_count
from striate.models.squeezenet import Fire, FireModule
from tests.models.light import layer_table, on_meta

NAMES = ("squeezenet1_0", "squeezenet1_1")


@pytest.mark.parametrize(
    ("name", "parameters", "adds"),
    [("squeezenet1_0", 1_248_424, 818_924_576), ("squeezenet1_1", 1_235_496, 349_151_936)],
)
def test_counts(name: str, parameters: int, adds: int) -> None:
    network = on_meta(name)
    assert parameter_count(network) == parameters
    assert not list(network.buffers())
    assert layer_table(name).multiply_adds == adds


def test_table_of_1_0_at_227() -> None:
    network = copy.deepcopy(on_meta("squeezenet1_0")).eval()
    shapes: dict[str, tuple[int, ...]] = {}
    for path, module in network.named_children():
        module.register_forward_hook(lambda _m, _i, y, path=path: shapes.__setitem__(path, tuple(y.shape[1:])))
    network(torch.zeros(1, 3, 227, 227, device="meta"))
    assert shapes["conv1"] == (96, 111, 111)
    assert shapes["pool1"] == (96, 55, 55)
    assert [shapes[f"fire{n}"] for n in (2, 3, 4)] == [(128, 55, 55), (128, 55, 55), (256, 55, 55)]
    assert shapes["pool4"] == (256, 27, 27)
    assert [shapes[f"fire{n}"][0] for n in (5, 6, 7, 8)] == [256, 384, 384, 512]
    assert shapes["fire8"][1:] == (27, 27)
    assert shapes["pool8"] == (512, 13, 13)
    assert [shapes[path] for path in ("fire9", "conv10", "global_pool")] == [(512, 13, 13), (1000, 13, 13), (1000,)]


def test_where_1_1_pools() -> None:
    blocks = on_meta("squeezenet1_1").blocks
    assert dict(blocks) == {
        "stem": ("conv1", "relu1"),
        "stage1": ("pool1", "fire2", "fire3"),
        "stage2": ("pool3", "fire4", "fire5"),
        "stage3": ("pool5", "fire6", "fire7", "fire8", "fire9"),
        "head": ("dropout", "conv10", "relu10", "global_pool"),
    }
    shapes = {row.path: row.shape for row in layer_table("squeezenet1_1").rows}
    assert shapes["conv1"] == (64, 111, 111)
    assert [shapes[path] for path in ("fire3", "fire5", "fire9")] == [(128, 55, 55), (256, 27, 27), (512, 13, 13)]


@pytest.mark.parametrize("name", NAMES)
def test_names_and_windows(name: str) -> None:
    network = on_meta(name)
    parts = [f"fire{n}.{part}" for n in range(2, 10) for part in ("squeeze", "expand1x1", "expand3x3")]
    layers = ["conv1", *parts, "conv10"]
    assert set(network.state_dict()) == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    windows = {path: m for path, m in network.named_modules() if isinstance(m, Conv2d | MaxPool2d)}
    assert windows["conv1"].padding == "valid"
    assert {m.padding for path, m in windows.items() if path.endswith("3x3")} == {"symmetric"}
    pools = [m for m in windows.values() if isinstance(m, MaxPool2d)]
    assert [(m.kernel_size, m.stride, m.padding) for m in pools] == [(3, 2, "ceil")] * 3


def test_a_fire_module_puts_1x1_before_3x3() -> None:
    torch.manual_seed(0)
    module = FireModule(5, Fire(2, 3))
    x = torch.randn(1, 5, 4, 6)
    with torch.no_grad():
        squeezed = torch.relu(torch.nn.functional.conv2d(x, module.squeeze.weight, module.squeeze.bias))
        ones = torch.nn.functional.conv2d(squeezed, module.expand1x1.weight, module.expand1x1.bias)
        threes = torch.nn.functional.conv2d(squeezed, module.expand3x3.weight, module.expand3x3.bias, padding=1)
        torch.testing.assert_close(module(x), torch.relu(torch.cat([ones, threes], 1)))


@pytest.mark.parametrize("name", NAMES)
def test_every_class_begins_alive(name: str) -> None:
    network = build(name, classes=1000, seed=0).eval()
    pictures = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        assert (network(pictures).max(0).values > 0).all()
        torch.nn.init.zeros_(network.get_submodule("conv10").bias)
        assert (network(pictures).max(0).values == 0).sum() > 100  # which the biases are there to avoid


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_picture(name: str) -> None:
    network = build(name, classes=3, seed=0).eval()
    side = network.smallest[0]
    assert network.smallest == (side, side) == {"squeezenet1_0": (21, 21), "squeezenet1_1": (17, 17)}[name]
    with torch.no_grad():
        assert network(torch.zeros(1, 3, side, side)).shape == (1, 3)
    with pytest.raises(ModelError, match=f"{side}x{side} and more"):
        network(torch.zeros(1, 3, side, side - 1))
    network.smallest = (1, 1)
    with pytest.raises(ModelError, match="max_pool2d"):
        network(torch.zeros(1, 3, side, side - 1))


def test_they_are_in_the_table() -> None:
    assert {name: MODELS[name].preprocess.size for name in NAMES} == dict.fromkeys(NAMES, (224, 224))
