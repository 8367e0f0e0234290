"""The same network of torch's own modules: it must compute the same, or the benchmark compares two networks."""

import pytest
import torch
from torch import nn

from striate.benchmarking.networks import multiply_adds, plain_torch, with_statistics
from striate.layers import BatchNormAct2d, Conv2d, Linear
from striate.models import MODELS, build
from striate.ops.plain import Float32Backward
from tests.models.light import light

SIZE = (64, 64)
NAMES = ("efficientnet_lite0", "mobilenet_v2", "xception", "resnet18", "resnet50", "googlenet_bn", "se_resnet18")


def pictures(network, size=SIZE, count=2):
    return torch.randn(count, network.in_channels, *size, generator=torch.Generator().manual_seed(1))


def without_dropout(network):
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network


@pytest.mark.parametrize("name", [*NAMES, "lenet5", "alexnet", "zfnet"])
def test_it_answers_the_same(name):
    network = light(name)
    size = network.size or SIZE
    network = with_statistics(network, size)
    plain = plain_torch(network, size)
    with torch.no_grad():
        theirs, ours = plain(pictures(network, size)), network(pictures(network, size))
    assert ours.abs().max() > 1e-3
    torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "xception"])
def test_it_learns_the_same(name):
    network = without_dropout(build(name, classes=10, seed=0)).train()
    plain = plain_torch(network, SIZE).train()
    for each in (network, plain):
        each(pictures(network, count=4)).square().sum().backward()
    for (path, ours), theirs in zip(network.named_parameters(), plain.parameters(), strict=True):
        size = ours.grad.abs().max().item()
        torch.testing.assert_close(theirs.grad, ours.grad, rtol=1e-3, atol=1e-3 * size, msg=path)


@pytest.mark.parametrize("name", [*NAMES[:5], "alexnet"])
def test_nothing_of_ours_is_left_that_computes_otherwise(name):
    with torch.device("meta"):
        network = build(name, classes=10)
        plain, ours = plain_torch(network, network.size or SIZE), Conv2d | BatchNormAct2d | Linear
    assert not [path for path, module in plain.named_modules() if isinstance(module, ours)]


def test_it_shares_no_weights():
    network = build("resnet18", classes=10, seed=0)
    plain = plain_torch(network, SIZE)
    assert {p.data_ptr() for p in network.parameters()}.isdisjoint(p.data_ptr() for p in plain.parameters())


def test_slow_depthwise_gradients_can_be_float32():
    network = without_dropout(build("efficientnet_lite0", classes=10, seed=0)).train()
    usual = plain_torch(network, SIZE)
    tricky = plain_torch(network, SIZE, float32_depthwise=True)
    slow = [module.convolution for module in tricky.modules() if isinstance(module, Float32Backward)]
    # Of the table's 16 depthwise windows, those of 5x5 and those of stride 2.
    assert len(slow) == 2 + 3 + 4 + 1 + 1
    assert all(max(each.kernel_size) > 3 or max(each.stride) > 1 for each in slow)
    images = pictures(network, count=4).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = [each(images).float() for each in (usual, tricky)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0.05, atol=0.05 * outputs[0].abs().max().item())
    outputs[1].sum().backward()
    assert all(each.weight.grad is not None and each.weight.grad.dtype == torch.float32 for each in slow)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50", "xception", "lenet5", "vgg16"])
def test_multiply_adds_are_the_published_ones(name):
    row = MODELS[name]
    with torch.device("meta"):
        network = build(name, classes=row.classes)
    assert multiply_adds(network, row.preprocess.size) == row.multiply_adds


def test_statistics_are_those_of_pictures():
    network = build("resnet50", classes=10, seed=0)
    momenta = [module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    fresh = network.eval()(pictures(network)).abs().max()
    settled = with_statistics(network, SIZE)
    assert settled(pictures(network)).abs().max() < fresh / 5
    assert not settled.training
    assert momenta == [module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
