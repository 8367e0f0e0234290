"""Dense layers as convolutions: equal answers at the training size, and of larger pictures those of all their parts."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from striate.answering import FoldedNetwork
from striate.base.errors import ModelError
from striate.layers import AveragePool2d, Conv2d
from striate.models import as_convolutional, build
from striate.models.headed import Headed
from striate.models.network import FeatureInfo, Network, TrainingView
from tests.models.light import CLASSIFIERS, PAPERS, light
from tests.models.toys import Ending, Skipping, places

GATED = [name for name in CLASSIFIERS if name.startswith("se_")]
POSSIBLE = [name for name in CLASSIFIERS if name not in (*GATED, "lenet5_1998")]
SOME = [pytest.param(name, marks=[] if name in PAPERS else [pytest.mark.slow]) for name in POSSIBLE]


class Chapter(Network):
    """The chapter's: pictures of 224 leave maps of 7x7, and a dense layer reads them; here one convolution makes them.

    Nothing pads, so that a larger picture is answered as its parts are.
    """

    def __init__(self, *, tail: tuple[nn.Module, ...] | None = None, places: tuple[int, int] = (7, 7)) -> None:
        modules = (nn.Flatten(), nn.Linear(4 * places[0] * places[1], 10)) if tail is None else tail
        names = tuple(f"tail{number}" for number in range(len(modules)))
        blocks = {"stem": ("conv", "relu"), "head": names}
        super().__init__(classes=10, in_channels=3, blocks=blocks, feature_info=(FeatureInfo("stem", 4, 32),))
        self.conv, self.relu = Conv2d(3, 4, 32, stride=32), nn.ReLU(inplace=True)
        for name, module in zip(names, modules, strict=True):
            self.add_module(name, module)


@torch.no_grad()
def by_parts(network: Network, images: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """The definition: the network's answer to each part of ``size``, one after the other."""
    height, width = images.shape[2:]
    rows = [
        torch.stack(
            [
                network(images[:, :, top : top + size[0], left : left + size[1]])
                for left in range(0, width - size[1] + 1, stride)
            ],
            dim=2,
        )
        for top in range(0, height - size[0] + 1, stride)
    ]
    return torch.stack(rows, dim=2)


@pytest.mark.parametrize("name", SOME)
def test_equal_at_the_training_size_and_the_numbers_are_the_networks_own(name: str) -> None:
    network = light(name).train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    size, state = network.size or (96, 96), torch.get_rng_state()
    made = as_convolutional(network, size=size)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in network.modules())
    assert not any(module.training for module in made.modules())

    network.eval()
    images = torch.randn(1, network.in_channels, *size)
    with torch.no_grad():
        wanted, got = network(images), made(images)
    assert got.shape == (1, 5, 1, 1)
    assert (got.flatten(1) - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert TrainingView(made)(images)[1] == ()

    auxiliary = tuple(f"{path}." for path in network.auxiliary.values())
    assert list(made.state_dict()) == [key for key in before if not key.startswith(auxiliary)]
    for key, tensor in made.state_dict().items():
        assert torch.equal(tensor.flatten(), before[key].flatten())
        tensor.zero_()
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_the_chapters_map() -> None:
    network = Chapter()
    made = as_convolutional(network, size=(224, 224))
    images = torch.randn(1, 3, 448, 448)
    with torch.no_grad():
        got = made(images)
    assert got.shape == (1, 10, 8, 8)
    torch.testing.assert_close(got, by_parts(network, images, (224, 224), 32), atol=1e-5, rtol=0)
    assert repr(made.tail1) == "Conv2d(4, 10, kernel_size=(7, 7), padding='valid')"


def test_a_published_network_gives_the_chapters_map_too() -> None:
    with torch.no_grad():
        assert as_convolutional(light("efficientnet_lite0"))(torch.zeros(1, 3, 448, 448)).shape == (1, 5, 8, 8)
    assert as_convolutional(light("efficientnet_lite1")).smallest == (240, 240)


@settings(max_examples=20)
@given(
    st.sampled_from([("lenet5", 32), ("lenet_caffe", 28)]), st.integers(0, 30), st.integers(0, 30), st.integers(1, 3)
)
def test_without_padding_each_part_is_answered_as_alone(
    network: tuple[str, int], higher: int, wider: int, count: int
) -> None:
    name, side = network
    whole = build(name, seed=1).eval()
    images = torch.randn(count, 1, side + higher, side + wider)
    with torch.no_grad():
        got = as_convolutional(whole)(images)
    torch.testing.assert_close(got, by_parts(whole, images, (side, side), 4), atol=1e-5, rtol=0)


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 70), st.integers(0, 70))
def test_heights_are_no_widths(rows: int, columns: int, higher: int, wider: int) -> None:
    network, size = Chapter(places=(rows, columns)), (32 * rows, 32 * columns)
    images = torch.randn(1, 3, size[0] + higher, size[1] + wider)
    with torch.no_grad():
        got = as_convolutional(network, size=size)(images)
    torch.testing.assert_close(got, by_parts(network, images, size, 32), atol=1e-5, rtol=0)


def test_a_global_pool_becomes_means_of_windows() -> None:
    network = build("efficientnet_lite0", classes=6, seed=1).eval()
    made = as_convolutional(network)
    assert isinstance(made.global_pool, AveragePool2d)
    images = torch.randn(2, 3, 288, 320)
    with torch.no_grad():
        got, maps = made(images).numpy(), network.run(images, stop="stage8").numpy()
    weight, bias = (tensor.detach().numpy() for tensor in network.classifier.parameters())
    assert maps.shape[2:] == (9, 10) and got.shape == (2, 6, 3, 4)
    for row in range(3):
        for column in range(4):
            mean = maps[:, :, row : row + 7, column : column + 7].astype(np.float64).mean((2, 3))
            np.testing.assert_allclose(got[:, :, row, column], mean @ weight.T + bias, atol=1e-5)


def test_another_training_size() -> None:
    network = light("mobilenet_v2").eval()
    made, images = as_convolutional(network, size=(128, 96)), torch.randn(1, 3, 128, 96)
    with torch.no_grad():
        torch.testing.assert_close(made(images).flatten(1), network(images), atol=1e-5, rtol=1e-5)
        assert made(torch.zeros(1, 3, 224, 224)).shape == (1, 5, 4, 5)


def test_layers_between_and_behind_dense_ones() -> None:
    tail = (nn.Flatten(), nn.Linear(16, 8, bias=False), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 10), nn.Sigmoid())
    network = Chapter(tail=tail).eval()
    images = torch.randn(1, 3, 128, 96)
    with torch.no_grad():
        got = as_convolutional(network, size=(64, 64))(images)
    torch.testing.assert_close(got, by_parts(network, images, (64, 64), 32), atol=1e-6, rtol=0)


def test_it_is_answered_folded() -> None:
    made, images = as_convolutional(light("resnet18")), torch.randn(2, 3, 256, 288)
    with torch.no_grad():
        torch.testing.assert_close(FoldedNetwork(made)(images), made(images), atol=1e-4, rtol=1e-4)


def test_it_takes_larger_pictures_alone_and_no_new_head() -> None:
    made = as_convolutional(build("lenet5"))
    with pytest.raises(ModelError, match="takes images of 32x32 and more"):
        made(torch.zeros(1, 1, 31, 40))
    with pytest.raises(ModelError, match="knows how its head is made"):
        made.reset_head(3)


def headed() -> Network:
    backbone = light("resnet18")
    features = backbone.feature_info
    return Headed(backbone, places(features, classes=5), features=features, classes=5)


@pytest.mark.parametrize(
    ("network", "size", "said"),
    [
        (
            lambda: build("lenet5_1998"),
            None,
            r"behind its flatten .* there are squash \(Squash\), output \(Distances\)",
        ),
        (
            lambda: build("se_resnet18"),
            None,
            r"ResNet cannot slide over a larger picture: its layer1\.0\.se weighs maps",
        ),
        (lambda: build("se_inception"), None, r"its inception3a\.se weighs maps"),
        (headed, None, "Headed cannot be made convolutional: it does more than run its blocks one by one"),
        (Skipping, None, "Skipping cannot be made convolutional: it does more than"),
        (lambda: Ending(Conv2d(8, 4, 1)), None, "Ending has no dense layers and no global pool: its answers are maps"),
        (lambda: Chapter(tail=(nn.Flatten(),)), (64, 64), "Chapter has no dense layer behind its tail0"),
        (lambda: Chapter(tail=(nn.Flatten(), nn.Softmax(1))), (64, 64), r"there are tail1 \(Softmax\)"),
        (Chapter, None, r"Chapter takes pictures of any size; say with size=\(height, width\) which it learnt from"),
        (
            Chapter,
            (64, 96),
            r"not trained with pictures of 64x96: its last maps of them are 4x2x3, and its tail1 reads 196 numbers",
        ),
        (lambda: build("lenet5"), (40, 40), "LeNet5 takes images of 32x32, because its dense layers count the places"),
        (lambda: build("xception"), (5, 5), "Xception takes images of 7x7 and more"),
        (
            lambda: nn.Linear(3, 2),
            None,
            r"takes what striate\.create or striate\.load\(\.\.\.\)\.network is, not a Linear",
        ),
    ],
)
def test_what_cannot_be_made_so(network: Any, size: tuple[int, int] | None, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        as_convolutional(network(), size=size)
