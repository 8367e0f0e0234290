"""DeepLabv3 against its paper, torchvision's counts and torch's own functions."""

import pytest
import torch
from torch.nn import functional as F

from striate.answering import FoldedNetwork
from striate.base.errors import ModelError
from striate.models import build
from striate.models.deeplabv3 import AtrousPyramid
from striate.models.layer_table import layer_table
from striate.models.meta import build_on_meta
from striate.models.network import parameter_count
from striate.tracing import locality
from tests.models.light import on_meta

# torchvision's DeepLabV3-ResNet without its auxiliary head, which has one 3x3 convolution of 256 channels and its norm
# more than the paper.
PUBLISHED = {"resnet50": 39_638_869, "resnet101": 58_630_997}
MORE = 9 * 256 * 256 + 2 * 256


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("head", ["deeplabv3", "deeplabv3_os8"])
def test_counts(name: str, head: str) -> None:
    assert parameter_count(on_meta(f"{head}/{name}", classes=21)) == PUBLISHED[name] - MORE


@pytest.mark.parametrize(("head", "rates"), [("deeplabv3", [6, 12, 18]), ("deeplabv3_os8", [12, 24, 36])])
def test_rates_and_strides(head: str, rates: list[int]) -> None:
    network = on_meta(f"{head}/efficientnet_lite0", classes=21)
    assert [branch.conv.dilation for branch in network.head.pyramid.branches[1:]] == rates
    with torch.device("meta"):
        (maps,) = network.features(torch.zeros(1, 3, 360, 480))
    assert maps.shape == (1, 320, *((23, 30) if head == "deeplabv3" else (45, 60)))
    assert [info.stride for info in network.feature_info] == [16 if head == "deeplabv3" else 8]


def test_the_pyramid_is_what_the_paper_draws() -> None:
    pyramid = AtrousPyramid(6, 4, (2, 5)).eval()
    x = torch.randn(2, 6, 9, 12)
    one, *around = pyramid.branches
    with torch.no_grad():
        branches = [F.conv2d(x, one.conv.weight)]
        for branch, rate in zip(around, (2, 5), strict=True):
            branches.append(F.conv2d(x, branch.conv.weight, padding=rate, dilation=rate))
        branches.append(F.conv2d(x.mean((2, 3), keepdim=True), pyramid.pooled.conv.weight).expand(2, 4, 9, 12))
        normed = [F.relu(branch / (1 + 1e-5) ** 0.5) for branch in branches]
        wanted = F.relu(F.conv2d(torch.cat(normed, 1), pyramid.project.conv.weight) / (1 + 1e-5) ** 0.5)
        torch.testing.assert_close(pyramid(x), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(33, 97), (64, 70)])
def test_it_answers_folded_as_it_does_as_written(size: tuple[int, int]) -> None:
    network = build("deeplabv3/efficientnet_lite0", classes=4, seed=0).eval()
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        answer = network(images)
        assert answer.shape == (2, 4, *size)
        torch.testing.assert_close(FoldedNetwork(network)(images), answer, rtol=1e-3, atol=1e-3)


LARGE = [pytest.param("darknet53", marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", ["vgg11", "squeezenet1_1", "xception", "mobilenet_v1", "googlenet", *LARGE])
def test_it_stands_on_any_backbone(name: str) -> None:
    network = on_meta(f"deeplabv3_os8/{name}", classes=4)
    with torch.device("meta"):
        assert network(torch.zeros(2, 3, 75, 93)).shape == (2, 4, 75, 93)
    assert layer_table(f"deeplabv3_os8/{name}").rows[-1].block == "head"


def test_every_parameter_learns() -> None:
    network = build("deeplabv3/resnet18", classes=3, seed=2).train()
    scores = network(torch.randn(3, 3, 65, 70))
    F.cross_entropy(scores, torch.randint(0, 3, (3, 65, 70))).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, path


def test_what_it_cannot_be() -> None:
    with pytest.raises(ModelError, match=r"LeNet5 cannot keep 16 pixels a place; .* \[2, 4\]"):
        build("deeplabv3/lenet5")
    with pytest.raises(ModelError, match=r"^deeplabv3/lenet5: .*\. On lenet5 stands unet/lenet5$"):
        build("deeplabv3/lenet5")
    with pytest.raises(ModelError, match=r"rates are .* each is at least 1"):
        build("deeplabv3/resnet18", arguments={"rates": [6, 0]})
    network = build("deeplabv3/resnet18", arguments={"rates": [2], "channels": 8, "dropout": 0.5})
    assert len(network.head.pyramid.branches) == 2 and network.head.dropout.p == 0.5


def test_without_image_pooling_its_branch_is_left_out() -> None:
    name, channels, narrow = "deeplabv3/efficientnet_lite0", 320, 256
    with_it, without = (build_on_meta(name, classes=5, arguments={"image_pooling": asked}) for asked in (True, False))
    pooled = channels * narrow + 2 * narrow + narrow * narrow  # its convolution, its norm, and what is made of it
    assert parameter_count(with_it) - parameter_count(without) == pooled


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "wholes"), [(True, ("mean in head.pyramid",)), (False, ())])
def test_without_image_pooling_every_place_sees_a_part_of_the_picture(asked: bool, wholes: tuple[str, ...]) -> None:
    network = build_on_meta("deeplabv3/efficientnet_lite0", classes=5, arguments={"image_pooling": asked})
    assert locality(network, torch.empty(1, 3, 256, 256, device="meta")).wholes == wholes
