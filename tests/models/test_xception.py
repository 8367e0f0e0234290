"""Xception: its figures, its names, and a shortcut that sees what comes before the ReLU."""

import pytest
import torch
from torch import nn

from striate.base.errors import ModelError
from striate.layers import Conv2d, MaxPool2d
from striate.models import build
from striate.models.network import Network, parameter_count
from striate.models.xception import Row, XceptionUnit
from tests.models.light import layer_table


@pytest.fixture(scope="module")
def network() -> Network:
    with torch.device("meta"):
        return build("xception", classes=1000)


def test_counts(network: Network) -> None:
    assert parameter_count(network) == layer_table("xception").parameters == 22_855_952
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == 54_528
    assert layer_table("xception").multiply_adds == 8_357_403_496


def test_table() -> None:
    found = layer_table("xception")
    shapes = {row.path: row.shape for row in found.rows}
    assert found.input == (3, 299, 299)
    assert shapes["conv1"] == (32, 149, 149)
    assert shapes["conv2"] == (64, 147, 147)
    assert [shapes[f"block{number}"] for number in (1, 2, 3)] == [(128, 74, 74), (256, 37, 37), (728, 19, 19)]
    assert {shapes[f"block{number}"] for number in range(4, 12)} == {(728, 19, 19)}
    assert shapes["block12"] == (1024, 10, 10)
    assert [shapes[path] for path in ("conv3", "conv4", "global_pool", "fc")] == [
        *((1536, 10, 10), (2048, 10, 10), (2048,), (1000,)),
    ]


def test_names(network: Network) -> None:
    """Which positions of ``rep`` carry weights: 2 separable, the first without a ReLU before it; else every third."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"conv1.weight", "conv2.weight", "fc.weight", "fc.bias"}
    norms = ["bn1", "bn2", "bn3", "bn4"]
    separable = ["conv3", "conv4"]
    for number in range(1, 13):
        first = 0 if number == 1 else 1
        count = 3 if 4 <= number <= 11 else 2
        separable += [f"block{number}.rep.{first + 3 * place}" for place in range(count)]
        norms += [f"block{number}.rep.{first + 3 * place + 1}" for place in range(count)]
        if number in (1, 2, 3, 12):
            names.add(f"block{number}.skip.weight")
            norms.append(f"block{number}.skipbn")
    names |= {f"{path}.{part}.weight" for path in separable for part in ("conv1", "pointwise")}
    names |= {f"{path}.{part}" for path in norms for part in norm}
    assert set(network.state_dict()) == names


def test_norms_and_paddings(network: Network) -> None:
    norms = {(m.eps, m.momentum) for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms == {(1e-3, 0.01)}
    windows = [m for m in network.modules() if isinstance(m, Conv2d | MaxPool2d) and m.kernel_size not in (1, (1, 1))]
    assert len(windows) == 2 + 34 + 4
    assert [m.padding for m in windows[:2]] == ["valid", "valid"]
    assert {m.padding for m in windows[2:]} == {"same"}
    assert network.get_submodule("dropout").p == 0.5


def test_the_shortcut_sees_the_input_before_the_relu() -> None:
    torch.manual_seed(0)
    unit = XceptionUnit(3, Row(1, (3, 3, 3), 1)).eval()
    x = -torch.rand(2, 3, 5, 5)
    kept = x.clone()
    with torch.no_grad():
        y = unit(x)
    # Everything is below zero, so the branch reads zeros, and its norms, which have counted nothing yet, leave them.
    assert torch.equal(x, kept)
    assert torch.equal(y, kept)


def test_a_unit_is_separable_windows_a_pool_and_a_projection() -> None:
    torch.manual_seed(0)
    unit = XceptionUnit(2, Row(1, (4,), 2)).eval()
    x = torch.randn(1, 2, 6, 6)
    window, mixing = unit.rep[1].conv1.weight, unit.rep[1].pointwise.weight
    with torch.no_grad():
        y = nn.functional.conv2d(nn.functional.relu(x), window, padding=1, groups=2)
        y = nn.functional.conv2d(y, mixing) / (1 + 1e-3) ** 0.5
        # SAME of an even size at stride 2: one more after, none before
        y = nn.functional.max_pool2d(nn.functional.pad(y, (0, 1, 0, 1), value=-torch.inf), 3, 2)
        y = y + nn.functional.conv2d(x, unit.skip.weight)[:, :, ::2, ::2] / (1 + 1e-3) ** 0.5
        torch.testing.assert_close(unit(x), y)


def test_the_smallest_picture() -> None:
    network = build("xception", classes=3, seed=0).eval()
    assert network.smallest == (7, 7)
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 7, 7)).shape == (1, 3)
    with pytest.raises(ModelError, match="7x7 and more"):
        network(torch.zeros(1, 3, 6, 7))
    network.smallest = (1, 1)
    with pytest.raises(ModelError, match="conv2d"):
        network(torch.zeros(1, 3, 6, 7))
