"""Residual networks with squeeze-and-excitation: the published counts, and what their gates do, where."""

import inspect

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.models.network import parameter_count
from striate.models.resnet import BASIC, BOTTLENECK_2015, Form
from striate.models.se_resnet import SE_BASIC, SE_BOTTLENECK, se_resnet18, se_resnet34, se_resnet50
from tests.models.light import layer_table, on_meta


@pytest.mark.parametrize(
    ("name", "parameters", "statistics", "adds"),
    [
        ("se_resnet18", 11_778_592, 9_600, 1_814_160_384),
        ("se_resnet34", 21_958_868, 17_024, 3_663_918_592),
        ("se_resnet50", 28_088_024, 53_120, 3_860_488_192),
        ("se_resnet101", 49_326_872, 105_344, 7_574_937_600),
        ("se_resnet152", 66_821_848, 151_424, 11_288_993_792),
    ],
)
def test_counts(name: str, parameters: int, statistics: int, adds: int) -> None:
    network = on_meta(name)
    assert parameter_count(network) == parameters
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == statistics
    assert layer_table(name).multiply_adds == adds


def test_names_are_those_of_the_plain_network_and_the_gates() -> None:
    for name, plain in (("se_resnet18", "resnet18"), ("se_resnet50", "resnet50_2015")):
        here, there = on_meta(name).state_dict(), on_meta(plain).state_dict()
        gates = {path for path in here if ".se." in path}
        assert here.keys() - gates == there.keys()
        assert all(here[path].shape == tensor.shape for path, tensor in there.items())
        assert {path.split(".se.")[1] for path in gates} == {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
        assert len({path.split(".se.")[0] for path in gates}) == {"se_resnet18": 8, "se_resnet50": 16}[name]
    shapes = on_meta("se_resnet50").state_dict()
    assert shapes["layer1.0.se.fc1.weight"].shape == (16, 256, 1, 1)
    assert shapes["layer4.2.se.fc2.weight"].shape == (2048, 128, 1, 1)


@pytest.mark.parametrize(("form", "plain"), [(SE_BASIC, BASIC), (SE_BOTTLENECK, BOTTLENECK_2015)])
def test_gates_weigh_the_branch_before_the_addition(form: Form, plain: Form) -> None:
    torch.manual_seed(0)
    channels = 32 * form.unit.expansion
    gated, bare = form.unit(channels, 32, 1, form).eval(), plain.unit(channels, 32, 1, plain).eval()
    state = gated.state_dict()
    bare.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("se.")})
    x = torch.rand(2, channels, 5, 6)
    seen: list[Tensor] = []
    norm = bare.get_submodule(bare.last_norm)
    norm.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    with torch.no_grad():
        bare(x)
        branch = F.batch_norm(seen[0], norm.running_mean, norm.running_var, norm.weight, norm.bias)
        branch = branch.relu() if form is SE_BASIC else branch
        (w1, b1), (w2, b2) = ((state[f"se.fc{n}.weight"][:, :, 0, 0], state[f"se.fc{n}.bias"]) for n in (1, 2))
        gates = ((branch.mean((2, 3)) @ w1.T + b1).relu() @ w2.T + b2).sigmoid()
        assert float(gates.std()) > 0.01
        torch.testing.assert_close(gated(x), (x + branch * gates[:, :, None, None]).relu())


def test_gates_begin_at_about_a_half() -> None:
    network = se_resnet50(classes=5, in_channels=3)
    assert all(not p.any() for n, p in network.named_parameters() if ".se." in n and n.endswith("bias"))
    seen = []
    network.get_submodule("layer3.2.se.gate").register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        network(torch.randn(2, 3, 64, 64))
    assert abs(float(seen[0].mean()) - 0.5) < 0.05


@pytest.mark.parametrize("builder", [se_resnet18, se_resnet50])
def test_the_pool_is_caffes(builder: type) -> None:
    network = builder(classes=5, in_channels=3).eval()
    x = torch.randn(1, 64, 7, 8)
    expected = nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)
    assert torch.equal(network.get_submodule("maxpool")(x), expected)
    assert expected.shape[2:] == (3, 4)
    # 3x3 is the true minimum: of 2 pixels the stem leaves 1, in which that pool has no window.
    assert network.smallest == (3, 3)
    network.smallest = (1, 1)
    with pytest.raises(ModelError, match="max_pool2d"):
        network(torch.randn(1, 3, 2, 3))


def test_units_that_begin_as_the_identity() -> None:
    network = se_resnet50(classes=5, in_channels=3, zero_init_last_norm=True)
    x = torch.rand(2, 256, 6, 6)
    assert torch.equal(network.get_submodule("layer1.1")(x), x)
    # Behind a ReLU the same would never learn.
    for builder in (se_resnet18, se_resnet34):
        assert "zero_init_last_norm" not in inspect.signature(builder).parameters
