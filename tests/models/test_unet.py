"""U-Net as published: parameters, shapes, and a mirrored picture that comes back whole."""

import numpy as np
import pytest
import torch

from striate.answering import FoldedNetwork
from striate.base.errors import ModelError
from striate.models import build
from striate.models.layer_table import layer_table
from striate.models.unet import MARGIN, Mirrors, UNet
from striate.ops.borders import mirrored


def narrow(**arguments: object) -> UNet:
    return build("unet", classes=3, in_channels=2, seed=0, arguments={"width": 4, **arguments}).eval()


def test_shapes_are_those_of_figure_1() -> None:
    with torch.device("meta"):
        network = build("unet", arguments={"mirrors": False})
        x, found = torch.zeros(1, 1, 572, 572), {}
        for block in network.blocks:
            x = network.run(x, block, block)
            found[block] = tuple((x if block == "head" else x[-1]).shape[1:])
    assert found == {
        "stem": (64, 568, 568),
        "stage1": (128, 280, 280),
        "stage2": (256, 136, 136),
        "stage3": (512, 64, 64),
        "stage4": (1024, 28, 28),
        "up3": (512, 52, 52),
        "up2": (256, 100, 100),
        "up1": (128, 196, 196),
        "up0": (64, 388, 388),
        "head": (2, 388, 388),
    }
    table = layer_table("unet")
    assert (table.input, table.rows[0].shape, table.rows[-1].shape) == ((1, 388, 388), (64, 570, 570), (2, 388, 388))


@pytest.mark.parametrize(
    ("classes", "channels", "parameters"),
    [(2, 1, 31_030_658), (1, 1, 31_030_593), (2, 3, 31_031_810), (21, 3, 31_033_045)],
)
def test_parameters_are_the_published_ones_and_those_of_others(classes: int, channels: int, parameters: int) -> None:
    with torch.device("meta"):
        network = build("unet", classes=classes, in_channels=channels)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("size", [(1, 1), (33, 97), (52, 68), (4, 5)])
def test_an_answer_is_as_large_as_its_picture(size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert narrow()(torch.randn(1, 2, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("size", [(30, 44), (9, 5)])
def test_mirrors_are_numpys_and_the_answer_is_that_to_the_middle(size: tuple[int, int]) -> None:
    network = narrow()
    images = torch.randn(2, 2, *size)
    around = [
        (0, 0),
        (0, 0),
        *((MARGIN, made - side - MARGIN) for made, side in zip(Mirrors()(images).shape[2:], size, strict=True)),
    ]
    large = torch.from_numpy(np.pad(images.numpy(), around, mode="reflect"))
    assert torch.equal(Mirrors()(images), large)
    with torch.no_grad():
        alone = narrow(mirrors=False)(large)
        assert torch.equal(network(images), alone[:, :, : size[0], : size[1]])


def test_each_answer_stands_over_its_pixel() -> None:
    """Far from borders a picture that is shifted by the coarsest stride has the answers shifted as far."""
    network = narrow()
    picture = torch.randn(1, 2, 36, 16 * 20)
    with torch.no_grad():
        one, other = network(picture), network(picture.roll(16, 3))
    torch.testing.assert_close(one[..., 120:170], other[..., 136:186], atol=1e-4, rtol=1e-4)
    gradient = torch.zeros(1, 2, 100, 100, requires_grad=True)
    (seen,) = torch.autograd.grad(network(gradient + torch.randn(1, 2, 100, 100))[0, 0, 50, 50], gradient)
    places = seen.abs().sum((0, 1)).nonzero()
    assert (places.float().mean(0) - 50).abs().max() < 12  # 188 or 204 pixels around it, by where pools begin


def test_a_mirror_of_one_pixel_is_that_pixel() -> None:
    assert torch.equal(mirrored(torch.full((1, 1, 1, 1), 7.0), 2, 4, 3), torch.full((1, 1, 4, 3), 7.0))


def test_cut_at_every_block_it_answers_alike() -> None:
    network, images = narrow(), torch.randn(1, 2, 20, 37)
    with torch.no_grad():
        whole = network(images)
        for block, after in zip(list(network.blocks), list(network.blocks)[1:], strict=False):
            assert torch.equal(network.run(network.run(images, stop=block), after), whole)
        torch.testing.assert_close(FoldedNetwork(network)(images), whole, rtol=1e-3, atol=1e-4)
        maps = network.features(images)
    assert [x.shape[1] for x in maps] == [info.channels for info in network.feature_info]


def test_every_parameter_learns() -> None:
    network = narrow().train()
    torch.nn.functional.cross_entropy(network(torch.randn(2, 2, 20, 9)), torch.randint(0, 3, (2, 20, 9))).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, path


def test_what_it_refuses() -> None:
    with pytest.raises(ModelError, match="takes images of 188x188 and more"):
        narrow(mirrors=False)(torch.zeros(1, 2, 188, 187))
    with pytest.raises(ModelError, match="unet is whole; a head stands on a classifier's maps"):
        build("tood/unet")
