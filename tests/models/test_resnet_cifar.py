"""CIFAR's residual networks against published counts, their shortcuts, and weights that others trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from striate.models import resnet_cifar
from striate.models.network import parameter_count
from striate.models.resnet_cifar import Unit, resnet20

# Units of a stage, parameters, running statistics, multiply-adds at 32.
PUBLISHED = {
    "resnet20": (3, 269_722, 1_376, 40_551_040),
    "resnet32": (5, 464_154, 2_272, 68_862_592),
    "resnet44": (7, 658_586, 3_168, 97_174_144),
    "resnet56": (9, 853_018, 4_064, 125_485_696),
    "resnet110": (18, 1_727_962, 8_096, 252_887_680),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_and_names_are_as_published(name: str) -> None:
    units, parameters, statistics, adds = PUBLISHED[name]
    with torch.device("meta"):
        network = getattr(resnet_cifar, name)(classes=10, in_channels=3)
        with FlopCounterMode(display=False) as counter:
            network.eval()(torch.zeros(1, 3, 32, 32))
    assert parameter_count(network) == parameters
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == statistics
    assert counter.get_total_flops() == 2 * adds
    inside = ("conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight", "bn2.weight", "bn2.bias")
    expected = ["conv1.weight", "bn1.weight", "bn1.bias"]
    expected += [f"layer{layer}.{unit}.{what}" for layer in (1, 2, 3) for unit in range(units) for what in inside]
    assert [path for path, _ in network.named_parameters()] == [*expected, "linear.weight", "linear.bias"]


def test_maps_of_32_pixels() -> None:
    network = resnet20(classes=10, in_channels=3).eval()
    with torch.no_grad():
        assert [tuple(m.shape[1:]) for m in network.features(torch.randn(1, 3, 32, 32))] == [
            (16, 32, 32),
            (32, 16, 16),
            (64, 8, 8),
        ]
        assert network.run(torch.randn(1, 3, 32, 32), stop="pool").shape == (1, 64)


def silent(unit: Unit) -> Unit:
    """With the last norm's scale zero, the branch adds nothing and the shortcut is alone."""
    torch.nn.init.zeros_(unit.bn2.weight)
    return unit


def test_option_a_takes_every_second_pixel_and_puts_zero_channels_around() -> None:
    x = torch.rand(2, 16, 8, 8)
    with torch.no_grad():
        y = silent(Unit(16, 32, 2))(x)
    assert y.shape == (2, 32, 4, 4)
    assert not y[:, :8].any() and not y[:, 24:].any()
    for i in range(4):
        for j in range(4):
            assert torch.equal(y[:, 8:24, i, j], x[:, :, 2 * i, 2 * j])


def test_units_of_one_shape_are_the_identity_beside_their_branch() -> None:
    x = torch.rand(2, 16, 7, 7)
    with torch.no_grad():
        assert torch.equal(silent(Unit(16, 16, 1))(x), x)


@pytest.mark.parametrize(("in_channels", "channels", "stride"), [(16, 16, 1), (16, 32, 2)])
@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_a_unit_and_its_gradients_against_the_plain_formula(
    in_channels: int, channels: int, stride: int, size: tuple[int, int]
) -> None:
    unit = Unit(in_channels, channels, stride).double()
    around = (channels - in_channels) // 2

    def plain(x: Tensor) -> Tensor:
        y = F.batch_norm(F.conv2d(x, unit.conv1.weight, stride=stride, padding=1), None, None, training=True)
        y = F.batch_norm(F.conv2d(y.relu(), unit.conv2.weight, padding=1), None, None, training=True)
        return (y + F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, around, around))).relu()

    x = torch.randn(3, in_channels, *size, dtype=torch.float64, requires_grad=True)
    leaves = (x, unit.conv1.weight, unit.conv2.weight)
    ours, expected = unit(x), plain(x)
    torch.testing.assert_close(ours, expected)
    weighing = torch.randn_like(expected)
    found = torch.autograd.grad((ours * weighing).sum(), leaves)
    torch.testing.assert_close(found, torch.autograd.grad((expected * weighing).sum(), leaves))


def test_units_can_begin_as_the_identity() -> None:
    network = resnet20(classes=10, in_channels=3, zero_init_last_norm=True).eval()
    with torch.no_grad():
        stem = network.run(torch.randn(1, 3, 16, 16), stop="stem")
        assert torch.equal(network.run(stem, "stage1", "stage1"), stem)
    usual = resnet20(classes=10, in_channels=3)
    assert all(unit.bn2.weight.all() for unit in usual.modules() if isinstance(unit, Unit))


def test_learns() -> None:
    network = resnet20(classes=4, in_channels=3)
    images, targets = torch.randn(16, 3, 16, 16), torch.arange(16) % 4
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(15):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


def test_weights_that_others_trained_answer_as_they_did(shared_data: Path) -> None:
    """akamaster's ResNet-20: its authors measured 91.78 % on all 10,000; 1,836 of these 2,000 are right."""
    file = torch.load(shared_data / "weights" / "resnet20-12fca82f.th", map_location="cpu", weights_only=True)
    tensors = {name.removeprefix("module."): tensor for name, tensor in file["state_dict"].items()}
    network = resnet20(classes=10, in_channels=3).eval()
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    arrays = np.load(shared_data / "cifar10-test-2000.npz")
    images, labels = (torch.from_numpy(arrays[name]) for name in ("x", "y"))
    mean, scale = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((images / 255 - mean) / scale).permute(0, 3, 1, 2)
    with torch.no_grad():
        answers = torch.cat([network(part).argmax(1) for part in x.split(250)])
    assert (answers == labels).sum() == 1836
