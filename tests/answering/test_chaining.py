"""Which networks our own kernels compute in one call, and that they answer as the network does."""

import pytest
import torch
from torch import Tensor, nn

from striate.answering import FoldedNetwork, chaining
from striate.layers import BatchNormAct2d, Conv2d, GlobalAveragePool, MaxPool2d
from striate.models.network import FeatureInfo, Network
from tests.answering.test_folding import images_for, trained
from tests.ops.native.levels import needs_kernels

pytestmark = needs_kernels


class Small(Network):
    """A network of one convolution, as told."""

    def __init__(self, conv: Conv2d, between: nn.Module | None = None) -> None:
        super().__init__(
            classes=4,
            in_channels=conv.in_channels,
            blocks={"stem": ("conv", "norm", "between"), "head": ("pool", "fc")},
            feature_info=(FeatureInfo("stem", conv.out_channels, 1),),
        )
        self.conv, self.norm = conv, BatchNormAct2d(conv.out_channels, act="relu6")
        self.between, self.pool = between or nn.Identity(), GlobalAveragePool()
        self.fc = nn.Linear(conv.out_channels, 4, bias=False)


def chain_of(network: Network, images: Tensor) -> bool:
    """Whether the network is one call; either way it answers as it should."""
    answer = FoldedNetwork(network.eval())
    with torch.inference_mode():
        torch.testing.assert_close(answer(images), network(images), rtol=1e-4, atol=1e-5)
    return next(iter(answer._plans.values())).chain is not None


@pytest.mark.parametrize(
    "name", ["efficientnet_lite0", "mobilenet_v2", "mobilenet_v1_025", "resnet18", "resnet50_2015"]
)
def test_whole_networks_are_one_call(name):
    network = trained(name)
    assert chain_of(network, images_for(network, 2))


@pytest.mark.parametrize("name", ["tood/efficientnet_lite0", "tood/resnet18"])
@pytest.mark.parametrize("size", [(64, 96), (57, 83)])
def test_heads_on_several_maps_are_one_call_too(name, size):
    assert chain_of(trained(name), torch.randn(2, 3, *size))


@pytest.mark.parametrize("name", ["lenet5", "squeezenet1_1", "se_resnet18", "xception", "resnet20"])
def test_networks_with_other_layers_are_not(name):
    network = trained(name)
    assert not chain_of(network, images_for(network, 2))


@pytest.mark.parametrize(
    ("conv", "known"),
    [
        (Conv2d(3, 8, (2, 5), stride=3, padding=((0, 1), (2, 4))), True),
        (Conv2d(3, 8, 3, stride=(2, 1)), False),
        (Conv2d(3, 8, 3, dilation=2), False),
        (Conv2d(4, 8, 3, groups=2), False),
        (Conv2d(4, 8, 3, groups=4), False),  # two maps of each
        (Conv2d(4, 4, 5, groups=4, padding="same", stride=2), True),
        (Conv2d(4, 4, 2, groups=4), False),
        (Conv2d(4, 4, 3, groups=4, stride=3), False),
        (Conv2d(3, 8, 1, padding=1), False),  # a window that sees nothing but padding
    ],
)
def test_windows_that_the_kernels_know(conv, known):
    images = torch.randn(2, conv.in_channels, 11, 14)
    assert chain_of(Small(conv), images) == known


@pytest.mark.parametrize(
    ("between", "known"),
    [
        (MaxPool2d(3, stride=2, padding="ceil"), True),
        (MaxPool2d((2, 3), stride=1), True),
        (MaxPool2d((2, 3)), False),  # steps of the window's own, which are not alike
        (nn.Sigmoid(), False),
        (nn.Dropout(), True),
    ],
)
def test_what_may_stand_between(between, known):
    assert chain_of(Small(Conv2d(3, 8, 3), between), torch.randn(2, 3, 12, 12)) == known


def test_without_kernels_at_hand_nobody_waits_for_them(monkeypatch):
    monkeypatch.setattr(chaining, "kernels_at_hand", lambda: None)
    network = trained("resnet18")
    assert not chain_of(network, images_for(network, 1))


def test_weights_are_those_of_the_first_answer():
    network = trained("resnet18")
    answer, images = FoldedNetwork(network), images_for(network, 1)
    with torch.inference_mode():
        before = answer(images)
        for parameter in network.parameters():
            parameter.zero_()
        assert torch.equal(answer(images), before)
