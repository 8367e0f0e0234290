"""GoogLeNet with batch norm and squeeze-and-excitation: counts by arithmetic, and gates behind each module."""

import torch
from torch import nn

from striate.models.googlenet import googlenet_bn
from striate.models.network import parameter_count
from striate.models.se_inception import se_inception
from tests.models.light import layer_table

CHANNELS = {
    "inception3a": 256,
    "inception3b": 480,
    "inception4a": 512,
    "inception4b": 512,
    "inception4c": 512,
    "inception4d": 528,
    "inception4e": 832,
    "inception5a": 832,
    "inception5b": 1024,
}


def test_counts_are_those_of_googlenet_and_the_gates() -> None:
    with torch.device("meta"):
        network = se_inception(classes=1000, in_channels=3)
    weights = sum(2 * c * (c // 16) for c in CHANNELS.values())
    biases = sum(c + c // 16 for c in CHANNELS.values())
    assert parameter_count(network) == 6_624_904 + weights + biases == 7_105_007
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == 14_560
    assert layer_table("se_inception").multiply_adds == 1_498_376_192 + weights == 1_498_850_464


def test_names_are_googlenets_and_the_gates() -> None:
    with torch.device("meta"):
        here = se_inception(classes=10, in_channels=3).state_dict()
        there = googlenet_bn(classes=10, in_channels=3).state_dict()
    gates = {f"{path}.se.fc{n}.{kind}" for path in CHANNELS for n in (1, 2) for kind in ("weight", "bias")}
    assert here.keys() == gates | {name for name in there if not name.startswith("aux")}
    for path, channels in CHANNELS.items():
        assert here[f"{path}.se.fc1.weight"].shape == (channels // 16, channels, 1, 1)
        assert here[f"{path}.se.fc2.weight"].shape == (channels, channels // 16, 1, 1)


def test_there_are_no_auxiliary_heads() -> None:
    network = se_inception(classes=5, in_channels=3)
    assert not network.auxiliary
    assert network.smallest == (15, 15)


def test_with_open_gates_it_is_googlenet() -> None:
    torch.manual_seed(0)
    network, plain = se_inception(classes=5, in_channels=3).eval(), googlenet_bn(classes=5, in_channels=3).eval()
    state = network.state_dict()
    plain.load_state_dict({name: tensor for name, tensor in state.items() if ".se." not in name}, strict=False)
    images = torch.randn(2, 3, 48, 64)
    with torch.no_grad():
        assert not torch.allclose(network(images), plain(images), rtol=0.1)
        for path in CHANNELS:
            gates = network.get_submodule(f"{path}.se.fc2")
            assert isinstance(gates.weight, nn.Parameter) and isinstance(gates.bias, nn.Parameter)
            nn.init.zeros_(gates.weight)
            nn.init.constant_(gates.bias, 30.0)
        torch.testing.assert_close(network(images), plain(images))


def test_gates_come_from_the_means_of_all_four_branches() -> None:
    torch.manual_seed(0)
    network = se_inception(classes=5, in_channels=3).eval()
    module = network.get_submodule("inception3a")
    x = torch.randn(2, 192, 6, 5)
    with torch.no_grad():
        maps = torch.cat([module.get_submodule(f"branch{n}")(x) for n in range(1, 5)], dim=1)
        state = module.get_submodule("se").state_dict()
        (w1, b1), (w2, b2) = ((state[f"fc{n}.weight"][:, :, 0, 0], state[f"fc{n}.bias"]) for n in (1, 2))
        gates = ((maps.mean((2, 3)) @ w1.T + b1).relu() @ w2.T + b2).sigmoid()
        torch.testing.assert_close(module(x), maps * gates[:, :, None, None])
