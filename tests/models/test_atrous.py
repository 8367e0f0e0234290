"""Strides made dilations: the places that a network had before are in its finer maps, unchanged."""

import copy

import pytest
import torch

from striate.base.errors import ModelError
from striate.models import build
from striate.models.atrous import make_atrous
from striate.models.network import Network
from tests.models.light import light
from tests.models.toys import Skipping


def settled(name: str) -> Network:
    """In evaluation, with statistics that are not those of the start; of any size of pictures."""
    network = light(name).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    network.size, network.smallest = None, (1, 1)
    return network


# Places of a fine map that were there before, by the size of the picture: SAME windows that stepped over an even number
# of places looked at the odd one of each two.
CASES = [
    *[("resnet18", (64, 97), 0), ("resnet50_2015", (72, 104), 0), ("mobilenet_v2", (65, 96), 0)],
    *[("efficientnet_lite0", (72, 104), 0), ("efficientnet_lite0", (64, 96), -1), ("mobilenet_v1", (64, 32), -1)],
    *[("squeezenet1_1", (80, 100), 0), ("xception", (139, 203), 0), ("googlenet_bn", (72, 104), 0)],
    *[("vgg11", (64, 96), 0), ("darknet53", (40, 64), 0)],
]


LARGE = ("darknet53", "xception", "resnet50_2015")  # whose other stride is left to `make test-all`


@pytest.mark.parametrize(
    ("name", "size", "phase", "output_stride"),
    [
        pytest.param(*case, stride, marks=[pytest.mark.slow] if stride == 16 and case[0] in LARGE else [])
        for case in CASES
        for stride in (8, 16)
    ],
)
def test_the_old_places_are_among_the_new(name, size, phase, output_stride):
    network = settled(name)
    before, kept = network.feature_info, {path: tensor.clone() for path, tensor in network.state_dict().items()}
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        whole = network.features(images)
        make_atrous(network, output_stride)
        fine = network.features(images)
    assert all(torch.equal(tensor, kept[path]) for path, tensor in network.state_dict().items())
    strides = [info.stride for info in before]
    assert [info.stride for info in network.feature_info] == [stride for stride in strides if stride <= output_stride]
    assert network.feature_info[-1].channels == before[-1].channels
    assert all(torch.equal(*pair) for pair in zip(fine[:-1], whole, strict=False))
    step = strides[-1] // output_stride
    first = phase % step
    found, wanted = fine[-1][:, :, first::step, first::step], whole[-1]
    height, width = (min(pair) for pair in zip(found.shape[2:], wanted.shape[2:], strict=True))
    assert height and width and fine[-1].shape[2] > wanted.shape[2] * (step - 1) - 2 * step
    scale = wanted.abs().max()
    torch.testing.assert_close(found[..., :height, :width] / scale, wanted[..., :height, :width] / scale)


def test_at_its_own_stride_nothing_changes():
    network = build("resnet18", classes=2)
    before = repr(network), network.feature_info
    make_atrous(network, 32)
    assert (repr(network), network.feature_info) == before


def test_it_learns_and_is_asked_no_questions_about_its_mode():
    network = build("efficientnet_lite0", classes=2, seed=0).train()
    network.stage1.eval()
    modes = [module.training for module in network.modules()]
    make_atrous(network, 16)
    assert [module.training for module in network.modules()] == modes
    network.train()
    network.features(torch.randn(2, 3, 64, 64))[-1].square().mean().backward()
    assert network.stage7[0].conv_dw.weight.grad.abs().sum() > 0


def test_a_classifier_goes_on_answering():
    network = build("mobilenet_v2", classes=3).eval()
    make_atrous(network, 8)
    assert network(torch.zeros(1, 3, 65, 64)).shape == (1, 3)
    assert copy.deepcopy(network).feature_info == network.feature_info


@pytest.mark.parametrize("output_stride", [1, 3, 12, 64])
def test_a_stride_that_is_none_of_its_own_is_refused(output_stride):
    with pytest.raises(ModelError, match=rf"ResNet cannot keep {output_stride} pixels a place; .* \[2, 4, 8, 16, 32\]"):
        make_atrous(build("resnet18", classes=2), output_stride)


def test_a_network_of_another_style_is_refused():
    with pytest.raises(ModelError, match="if it runs by blocks"):
        make_atrous(Skipping(), 2)
