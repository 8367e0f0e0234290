"""A folded network answers as the network does: all networks, with and without torch's private operation."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from striate.answering import FoldedNetwork, chaining, folding, packed
from striate.base.errors import ModelError
from striate.layers import BatchNormAct2d, Conv2d
from striate.models import build
from striate.models.network import FeatureInfo, Network
from striate.models.resnet import resnet18
from tests.models.light import CLASSIFIERS, PAPERS, is_large, light

QUICK = [name for name in PAPERS if name != "xception"]  # which takes as long as all others
RUN = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CLASSIFIERS]


@pytest.fixture(params=[True, False], ids=["fused", "public"])
def fused(request, monkeypatch):
    """Layer by layer, with torch's private operation and as if it were not there."""
    monkeypatch.setattr(chaining, "kernels_at_hand", lambda: None)
    if request.param:
        assert packed.fused_convolution_works()  # on the machines that this runs on; elsewhere it costs time alone
    monkeypatch.setattr(packed, "fused_convolution_works", lambda: request.param)
    return request.param


def trained(name: str, seed: int = 0) -> Network:
    """A network whose norms do something: statistics and weights away from 0 and 1."""
    network = light(name, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, BatchNormAct2d):
                # Each norm leaves maps of about the size that it finds, however many there are.
                module.running_var.copy_(torch.empty_like(module.running_var).uniform_(0.8, 2.0, generator=generator))
                module.running_mean.copy_(torch.empty_like(module.running_mean).normal_(0, 0.1, generator=generator))
                module.weight.copy_(torch.empty_like(module.weight).uniform_(0.3, 0.9, generator=generator))
                module.bias.copy_(torch.empty_like(module.bias).normal_(0, 0.1, generator=generator))
    return network.eval().to(memory_format=torch.channels_last)


def images_for(network: Network, count: int, *, odd: bool = False) -> Tensor:
    least = (65, 96) if odd else (64, 64)  # SAME pads odd and even sizes otherwise
    size = network.size or tuple(max(side, other) for side, other in zip(network.smallest, least, strict=True))
    images = torch.randn(count, network.in_channels, *size, generator=torch.Generator().manual_seed(count))
    return images.contiguous(memory_format=torch.channels_last)


def exact(name: str, *, odd: bool = False) -> tuple[Network, Tensor, Tensor]:
    """A network, pictures, and its answers in float64."""
    network = trained(name)
    images = images_for(network, 1 if is_large(network) else 2, odd=odd)
    with torch.inference_mode():
        return network, images, copy.deepcopy(network).double()(images.double())


def errors(network: Network, images: Tensor, wanted: Tensor) -> tuple[float, float]:
    """How far the folded network and the network itself are from the answers wanted, of the largest number."""
    with torch.inference_mode():
        found = FoldedNetwork(network)(images), network(images)
    return tuple(float((each - wanted).abs().max() / wanted.abs().max()) for each in found)


@pytest.mark.parametrize("name", RUN)
def test_as_near_to_the_exact_answer_as_the_network(name):
    ours, theirs = errors(*exact(name))
    assert ours <= 4 * theirs + 1e-6
    assert ours < 1e-4


SLOW = pytest.param("xception", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=["efficientnet_lite0", "resnet50", SLOW, "lenet5_1998", "se_resnet18"])
def at_odd_sizes(request):
    """Not to be changed."""
    return exact(request.param, odd=True)


def test_either_way_and_at_odd_sizes(at_odd_sizes, fused):
    ours, theirs = errors(*at_odd_sizes)
    assert ours <= 4 * theirs + 1e-6


@pytest.mark.parametrize("name", RUN)
def test_no_norm_is_left(name):
    with torch.device("meta"):
        network = build(name, classes=5).eval()
    layers = FoldedNetwork(network)._layers.layers
    heads = tuple(network.get_submodule(path) for path in network.auxiliary.values())
    in_heads = {module for head in heads for module in head.modules()}
    norms = {m for m in network.modules() if isinstance(m, nn.BatchNorm2d)} - in_heads
    assert {layer.norm for layer in layers if layer.norm is not None} == norms
    assert len([layer for layer in layers if layer.norm is not None]) == len(norms)


def test_one_folded_network_takes_all_sizes_and_numbers():
    network = trained("mobilenet_v2_same")
    answer = FoldedNetwork(network)
    with torch.inference_mode():
        for shape in ((1, 3, 64, 64), (3, 3, 64, 64), (2, 3, 65, 71), (0, 3, 64, 64), (1, 3, 64, 64)):
            images = torch.randn(shape)
            torch.testing.assert_close(answer(images), network(images), rtol=1e-4, atol=1e-5)


def test_many_pictures_go_in_parts_and_each_is_answered_as_if_alone(monkeypatch):
    network = trained("resnet18")
    side, at_once = 64, 3
    for limit in ("PIXELS", "CHAINED_PIXELS"):
        monkeypatch.setattr(folding, limit, at_once * side**2)
    images = torch.randn(2 * at_once + 1, 3, side, side)
    answer = FoldedNetwork(network)
    with torch.inference_mode():
        whole = answer(images)
        torch.testing.assert_close(whole, torch.cat([answer(image[None]) for image in images]), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(whole, network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_order_of_the_images_in_memory_does_not_matter(channels):
    network = build("resnet18", classes=5, in_channels=channels, seed=0).eval()
    images = torch.randn(2, channels, 40, 40)
    answer = FoldedNetwork(network)
    with torch.inference_mode():
        assert torch.equal(answer(images), answer(images.contiguous(memory_format=torch.channels_last)))


def test_the_network_stays_as_it_is():
    network = trained("resnet18")
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modules = list(network.modules())
    images = images_for(network, 2)
    with torch.inference_mode():
        before = network(images)
        FoldedNetwork(network)(images)
        assert torch.equal(network(images), before)
    assert list(network.modules()) == modules
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    network.train()(images).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


class Odd(Network):
    """What must not be folded: norms and activations of maps that somebody else reads, too."""

    def __init__(self) -> None:
        super().__init__(
            classes=4,
            in_channels=3,
            blocks={"stem": ("conv",), "head": ("end",)},
            feature_info=(FeatureInfo("stem", 4, 1),),
        )
        self.conv = Conv2d(3, 4, 3, padding="same")
        self.end = OddEnd()


class OddEnd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.same, self.norm, self.relu6 = Conv2d(4, 4, 1), BatchNormAct2d(4, act="relu6"), nn.ReLU6()
        self.twice, self.own = Conv2d(4, 4, 1), BatchNormAct2d(4, act="relu")
        self.added, self.last = Conv2d(4, 4, 1), BatchNormAct2d(4, act="relu6")

    def forward(self, x: Tensor) -> Tensor:
        both = self.twice(x)
        x = self.own(both) + both  # read twice
        x = self.own(self.same(x), residual=x)  # a norm that stands at two places
        both = self.added(x)
        x = self.last(both, residual=both)  # its own residual
        x = self.norm(self.same(x), residual=x)  # an activation behind an addition that oneDNN has not
        return self.relu6(self.added(x)).mean((2, 3))


def test_what_somebody_else_reads_is_not_folded(fused):
    network = Odd().eval()
    generator = torch.Generator().manual_seed(2)
    for norm in (network.end.norm, network.end.own, network.end.last):
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
    images = torch.randn(2, 3, 9, 8, generator=generator)
    with torch.inference_mode():
        torch.testing.assert_close(FoldedNetwork(network)(images), network(images), rtol=1e-4, atol=1e-5)


def test_the_norm_of_a_convolution_with_a_bias_by_hand():
    conv, norm = Conv2d(2, 1, 1), BatchNormAct2d(1, eps=0.75)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([3.0, -1.0]).reshape(1, 2, 1, 1))
        conv.bias.fill_(5.0)
        norm.weight.fill_(4.0)
        norm.bias.fill_(0.5)
        norm.running_mean.fill_(7.0)
        norm.running_var.fill_(3.25)
    weight, bias = packed.folded_weights(conv, norm)
    assert weight.flatten().tolist() == [6.0, -2.0]  # times 4 / sqrt(3.25 + 0.75)
    assert bias.tolist() == [0.5 + (5.0 - 7.0) * 2.0]


@pytest.mark.parametrize("act", ["none", "relu", "relu6"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(
    ("padding", "dilation", "groups"),
    [
        *(("same", 1, 1), ("same", 1, 8), ("same", 2, 8), ("same", 1, 4), ("symmetric", 1, 1), ("valid", 1, 8)),
        *((((2, 0), (0, 1)), 1, 8), (((2, 0), (0, 1)), 1, 2), (((0, 3), (1, 1)), 1, 8)),
    ],
)
def test_packed_is_the_modules_one_by_one(fused, act, residual, padding, dilation, groups):
    generator = torch.Generator().manual_seed(1)
    conv = Conv2d(8, 16, (3, 5), stride=(2, 1), dilation=dilation, groups=groups, padding=padding)
    norm = BatchNormAct2d(16, eps=1e-3).eval()
    norm.running_mean.normal_(generator=generator)
    norm.running_var.uniform_(0.5, 2, generator=generator)
    bounds = {"none": (-torch.inf, torch.inf), "relu": (0, torch.inf), "relu6": (0, 6)}[act]
    for shape in ((2, 8, 11, 12), (1, 8, 10, 13)):
        x = 4 * torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            y = norm(conv(x))
            added = [torch.randn(y.shape, generator=generator)] if residual else []
            kept = [tensor.clone() for tensor in added]
            found = packed.packed_conv2d(conv, norm, act=act, residual=residual, shape=shape)(x, *added)
            expected = (y + added[0] if residual else y).clamp(*bounds)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert all(torch.equal(*each) for each in zip(added, kept, strict=True))  # somebody else may read it, too


@pytest.mark.parametrize("wrong", ["missing", "raises", "other numbers"])
def test_an_operation_that_does_otherwise_is_not_taken(monkeypatch, wrong):
    pack = packed._pack

    def other(weight, *rest):
        if wrong == "other numbers":
            return pack(weight * 1.01, *rest)
        raise AttributeError("no such operation") if wrong == "missing" else RuntimeError("other arguments")

    monkeypatch.setattr(packed, "_pack", other)
    packed.fused_convolution_works.cache_clear()
    try:
        assert not packed.fused_convolution_works()
        network = trained("resnet18")
        images = images_for(network, 1)
        with torch.inference_mode():
            torch.testing.assert_close(FoldedNetwork(network)(images), network(images), rtol=1e-4, atol=1e-5)
    finally:
        packed.fused_convolution_works.cache_clear()


def test_refused():
    network = resnet18(classes=5, in_channels=3)
    with pytest.raises(ModelError, match="training mode"):
        FoldedNetwork(network)
    with pytest.raises(ModelError, match=r"takes images \[N, 3, H, W\]"):
        FoldedNetwork(network.eval())(torch.zeros(1, 1, 64, 64))
    with pytest.raises(ModelError, match="takes images of 227x227"):
        FoldedNetwork(build("alexnet", classes=5).eval())(torch.zeros(1, 3, 232, 232))


def test_a_trace_sees_the_network_as_it_is_written():
    network = build("resnet18", classes=3, seed=0).eval()
    folded = FoldedNetwork(network)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        assert folded(torch.ones(2, 3, 64, 64)).shape == (2, 3)
