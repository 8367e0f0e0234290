"""Residual networks: the published counts and tables, where the strides are, and units that begin as nothing."""

import pytest
import torch
from torch import Tensor, nn

from striate.models.network import parameter_count
from striate.models.resnet import (
    BASIC,
    BOTTLENECK,
    BOTTLENECK_2015,
    BasicUnit,
    BottleneckUnit,
    Form,
    resnet18,
    resnet50,
    resnet50_2015,
)
from tests.models.light import layer_table, on_meta


@pytest.mark.parametrize(
    ("names", "parameters", "statistics", "adds", "adds_2015"),
    [
        (("resnet50", "resnet50_2015"), 25_557_032, 53_120, 4_089_184_256, 3_857_973_248),
        (("resnet101", "resnet101_2015"), 44_549_160, 105_344, 7_801_405_440, 7_570_194_432),
        (("resnet152", "resnet152_2015"), 60_192_808, 151_424, 11_513_626_624, 11_282_415_616),
    ],
)
def test_counts(names: tuple[str, str], parameters: int, statistics: int, adds: int, adds_2015: int) -> None:
    for name, multiply_adds in zip(names, (adds, adds_2015), strict=True):
        network = on_meta(name)
        assert parameter_count(network) == parameters
        assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == statistics
        assert layer_table(name).multiply_adds == multiply_adds


@pytest.mark.parametrize(
    ("name", "units", "channels"),
    [
        ("resnet18", (2, 2, 2, 2), (64, 128, 256, 512)),
        ("resnet34", (3, 4, 6, 3), (64, 128, 256, 512)),
        ("resnet50", (3, 4, 6, 3), (256, 512, 1024, 2048)),
        ("resnet50_2015", (3, 4, 6, 3), (256, 512, 1024, 2048)),
        ("resnet101", (3, 4, 23, 3), (256, 512, 1024, 2048)),
        ("resnet152", (3, 8, 36, 3), (256, 512, 1024, 2048)),
    ],
)
def test_table(name: str, units: tuple[int, ...], channels: tuple[int, ...]) -> None:
    rows = layer_table(name).rows
    ends = {row.block: row.shape for row in rows}
    sides = (56, 28, 14, 7)
    assert ends["stem"] == (64, 112, 112)
    assert [ends[f"stage{n}"] for n in range(1, 5)] == [(c, s, s) for c, s in zip(channels, sides, strict=True)]
    assert (ends["pool"], ends["head"]) == ((channels[-1],), (1000,))
    assert tuple(sum(row.path.startswith(f"layer{n}.") for row in rows) for n in range(1, 5)) == units


def test_torchvision_names() -> None:
    assert len(on_meta("resnet18").state_dict()) == 122
    names = set(on_meta("resnet50").state_dict())
    assert len(names) == 53 + 53 * 5 + 2
    assert {"conv1.weight", "bn1.running_var", "layer1.0.conv3.weight", "layer4.2.bn3.bias", "fc.bias"} <= names
    assert {"layer1.0.downsample.0.weight", "layer2.0.downsample.1.running_mean"} <= names
    assert "layer1.1.downsample.0.weight" not in names
    assert not any(name.endswith(("conv1.bias", "conv2.bias", "conv3.bias")) for name in names)


def test_strides_of_bottleneck_units() -> None:
    for form, strides in ((BOTTLENECK, (1, 2, 1)), (BOTTLENECK_2015, (2, 1, 1))):
        unit = BottleneckUnit(64, 16, 2, form)
        assert (unit.conv1.stride, unit.conv2.stride, unit.conv3.stride) == strides
    # The same weights, other answers.
    one, other = (builder(classes=5, in_channels=3).eval() for builder in (resnet50, resnet50_2015))
    other.load_state_dict(one.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(one.run(images, stop="stage1"), other.run(images, stop="stage1"))
        assert not torch.allclose(one(images), other(images), rtol=0.01)


@pytest.mark.parametrize("form", [BASIC, BOTTLENECK, BOTTLENECK_2015])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_unit_is_its_formula(form: Form, stride: int) -> None:
    torch.manual_seed(0)
    unit = form.unit(8, 4, stride, form).eval()
    for module in unit.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in ((module.weight, 0.5, 1.5), (module.bias, -1.0, 1.0), (module.running_var, 1, 2)):
                assert tensor is not None
                nn.init.uniform_(tensor, low, high)
    state = unit.state_dict()

    def step(x: Tensor, conv: str, norm: str, s: int) -> Tensor:
        weight = state[f"{conv}.weight"]
        x = nn.functional.conv2d(x, weight, stride=s, padding=weight.shape[2] // 2)
        names = ("running_mean", "running_var", "weight", "bias")
        return nn.functional.batch_norm(x, *(state[f"{norm}.{name}"] for name in names))

    x = torch.randn(2, 8, 9, 11)
    strides = {id(BASIC): (stride, 1), id(BOTTLENECK): (1, stride, 1), id(BOTTLENECK_2015): (stride, 1, 1)}[id(form)]
    y = x
    for number, s in enumerate(strides, start=1):
        y = step(y if number == 1 else y.relu(), f"conv{number}", f"bn{number}", s)
    shortcut = step(x, "downsample.0", "downsample.1", stride) if "downsample.0.weight" in state else x
    assert ("downsample.0.weight" in state) == (stride == 2 or y.shape[1] != 8)
    with torch.no_grad():
        torch.testing.assert_close(unit(x.clone()), (y + shortcut).relu())


@pytest.mark.parametrize("builder", [resnet18, resnet50, resnet50_2015])
def test_units_that_begin_as_the_identity(builder: type) -> None:
    network = builder(classes=5, in_channels=3, zero_init_last_norm=True)
    unit = network.get_submodule("layer1.1")
    assert isinstance(unit, BasicUnit | BottleneckUnit)
    x = torch.rand(2, 64 * unit.expansion, 6, 6)
    assert torch.equal(unit(x), x)
    assert not torch.equal(builder(classes=5, in_channels=3).get_submodule("layer1.1")(x), x)
