"""Networks that make pictures larger: sizes, colours, how far they look and how they begin."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from striate.answering import FoldedNetwork
from striate.base.errors import ModelError
from striate.models import build
from striate.models.building import class_count
from striate.models.enlarging import Enlarging
from striate.ops.enlarging import bicubic
from striate.ops.luminance import luma
from striate.weights.create import create

NAMES = ("espcn", "fsrcnn", "vdsr")
FACTORS = (2, 3, 4)


def made(name: str, factor: int = 2, channels: int = 3) -> Enlarging:
    network = build(name, in_channels=channels, seed=0, arguments={"factor": factor})
    assert isinstance(network, Enlarging)
    return network.eval()


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("name", NAMES)
def test_any_picture_becomes_so_many_times_as_large_folded_too(name: str, factor: int) -> None:
    network = made(name, factor)
    for height, width in ((1, 1), (7, 12), (33, 20)):
        images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            large = network(images)
            assert large.shape == (2, 3, factor * height, factor * width)
            torch.testing.assert_close(FoldedNetwork(network)(images), large, atol=1e-5, rtol=0)


# Behind its bicubic step VDSR is one network, whatever the factor.
LOOKING = [
    pytest.param(name, factor, marks=[pytest.mark.slow] if name == "vdsr" and factor > 2 else [])
    for name in NAMES
    for factor in FACTORS
]


@pytest.mark.parametrize(("name", "factor"), LOOKING)
def test_it_looks_as_far_as_it_says(name: str, factor: int) -> None:
    """By gradients of positive weights: nothing beyond the margin, and for two of the networks all of it."""
    network = made(name, factor).double()
    side, margin = 2 * network.margin + 7, network.margin
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.05 / max(1, parameter[0].numel()))
    images = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    middle = side // 2
    seen = network(images)[0, :, factor * middle : factor * (middle + 1), factor * middle : factor * (middle + 1)]
    seen.sum().backward()
    rows = images.grad[0].abs().sum((0, 2)).nonzero()[:, 0]
    reach = int((rows - middle).abs().max())
    assert reach <= margin
    assert name == "vdsr" or reach == margin or factor > 2


@pytest.mark.parametrize("name", NAMES)
def test_grey_stays_grey_and_only_the_luma_is_the_networks(name: str) -> None:
    network = made(name)
    images = torch.rand(1, 3, 9, 11)
    grey = images[:, :1].expand(1, 3, 9, 11)
    with torch.no_grad():
        found, plain = network(images), bicubic(images, 2)
        assert torch.allclose(network(grey)[:, 0], network(grey)[:, 2], atol=1e-6)
        # Differences of colours are the bicubic ones.
        torch.testing.assert_close(found[:, 0] - found[:, 1], plain[:, 0] - plain[:, 1], atol=1e-5, rtol=0)
        wanted = network.luma(luma(images, 3), luma(plain, 3))
        torch.testing.assert_close(luma(found, 3), wanted, atol=1e-5, rtol=0)
        # Bands that are no colours are pictures of their own, and grey the same as one band or as three.
        bands = made(name, channels=2)
        bands.load_state_dict(network.state_dict())
        both = bands(images[:, :2])
        torch.testing.assert_close(both[:, 1], network(images[:, 1:2].expand(1, 3, 9, 11))[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("name", NAMES)
def test_it_begins_near_interpolation(name: str, factor: int) -> None:
    network = made(name, factor)
    images = luma(torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(2)), 3)
    plain = bicubic(images, factor)
    with torch.no_grad():
        said = network.luma(images, plain)
    wanted = plain if name == "vdsr" else F.interpolate(images, scale_factor=factor, mode="bilinear")
    border = 12 * factor if name == "vdsr" else 0  # the others draw no frame around the picture
    inside = slice(border, plain.shape[2] - border)
    off = (said - wanted)[:, :, inside, inside].abs().max()
    assert off < 0.05 and images.std() > 0.1


def test_classes_there_are_none() -> None:
    assert build("espcn").classes == 0 == class_count("espcn", [])
    with pytest.raises(ModelError, match="names no classes, but classes is 5; leave it out"):
        build("espcn", classes=5)
    with pytest.raises(ModelError, match="classes is -1"):
        build("vdsr", classes=-1)
    with pytest.raises(ModelError, match="the argument factor is 5"):
        build("fsrcnn", arguments={"factor": 5})


def test_weights_for_one_channel_stay_as_they_are(tmp_path: Path) -> None:
    """The first window reads the luma alone, however many channels pictures have."""
    from safetensors.torch import save_file

    network = build("vdsr", seed=3)
    save_file(network.state_dict(), tmp_path / "vdsr.safetensors")
    for channels in (1, 3, 4):
        same = create("vdsr", in_channels=channels, weights=tmp_path / "vdsr.safetensors")
        assert torch.equal(same.get_parameter("input.weight"), network.get_parameter("input.weight"))
