"""The head that goes back up a backbone's maps: a class for each pixel, whatever the size of the picture."""

import pytest
import torch

from striate.answering import FoldedNetwork
from striate.base.errors import ModelError
from striate.models import build
from striate.models.headed import Headed
from striate.models.layer_table import layer_table
from striate.models.unet_head import unet_head
from striate.ops.native import kernels_at_hand
from tests.models.light import on_meta

SIZES = [(33, 33), (97, 97), (64, 96), (41, 90), (78, 35)]


@pytest.fixture(scope="module")
def lite() -> Headed:
    return build("unet/efficientnet_lite0", classes=5, seed=0).eval()


@pytest.mark.parametrize("size", SIZES)
def test_an_answer_is_as_large_as_its_picture(lite: Headed, size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert lite(torch.zeros(1, 3, *size)).shape == (1, 5, *size)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "vgg11", "squeezenet1_1", "darknet53", "xception"])
def test_it_stands_on_whatever_maps_there_are(name: str) -> None:
    network = on_meta(f"unet/{name}", classes=4)
    with torch.device("meta"):
        for size in ((64, 64), (75, 93)):
            assert network(torch.zeros(2, 3, *size)).shape == (2, 4, *size)
    table = layer_table(f"unet/{name}", unfold=True)
    assert {row.path for row in table.rows} >= {"head.classes", "head.lateral.0.conv"}


def test_a_picture_that_moves_by_the_coarsest_stride_moves_its_classes(lite: Headed) -> None:
    """Where no border is near, since all windows are the same everywhere."""
    picture = torch.zeros(1, 3, 128, 2048)
    picture[..., 1008:1040] = torch.randn(1, 3, 128, 32)
    with torch.no_grad():
        one, other = lite(picture), lite(picture.roll(32, 3))
    torch.testing.assert_close(one[..., 600:1400], other[..., 632:1432], atol=1e-4, rtol=1e-4)


def test_it_answers_in_one_call_of_our_kernels(lite: Headed) -> None:
    folded = FoldedNetwork(lite)
    for size in ((64, 96), (45, 33)):
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(folded(images), lite(images), rtol=1e-3, atol=1e-3)
    if kernels_at_hand() is not None:
        chains = [plan.chain for plan in folded._plans.values()]
        assert [chain is not None and len(chain.rest) for chain in chains] == [2, 2]  # the size, and enlarging to it


def test_at_first_all_classes_are_as_likely() -> None:
    network = build("unet/resnet18", classes=6, seed=1).train()
    with torch.no_grad():
        share = network(torch.randn(4, 3, 64, 64)).softmax(1)
    torch.testing.assert_close(share, torch.full_like(share, 1 / 6), atol=0.06, rtol=0)


def test_every_parameter_learns() -> None:
    network = build("unet/efficientnet_lite0", classes=3, seed=2).train()
    scores = network(torch.randn(2, 3, 65, 70))
    torch.nn.functional.cross_entropy(scores, torch.randint(0, 3, (2, 65, 70))).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, path


def test_its_width_and_windows_can_be_chosen() -> None:
    network = build("unet/resnet18", classes=2, arguments={"channels": [8, 16], "depth": 1})
    assert network(torch.zeros(1, 3, 33, 34)).shape == (1, 2, 33, 34)
    assert [lateral.conv.out_channels for lateral in network.head.lateral] == [8, 16, 16, 16, 16]
    whole = build("unet/resnet18", classes=2, arguments={"depthwise": False}).head
    assert {tuple(window.conv.kernel_size) for windows in whole.windows for window in windows} == {(3, 3)}
    for wrong in ({"channels": []}, {"depth": 0}):
        with pytest.raises(ModelError, match="a U-Net has widths, and windows at each map"):
            build("unet/resnet18", classes=2, arguments=wrong)


def test_the_size_is_that_of_the_pictures_not_of_the_maps() -> None:
    body = build("resnet18", classes=1)
    head = unet_head(body.feature_info[1:], classes=2, channels=(8,))
    network = Headed(body, head, features=body.feature_info[1:], classes=2, sized=True).eval()
    with torch.no_grad():
        size, *maps = x = network.run(torch.zeros(1, 3, 50, 61), stop="stage2")
        assert size.shape == (1, 0, 50, 61) and len(maps) == 2
        assert network.run(x, start="stage3").shape == (1, 2, 50, 61)
        assert len(network.features(torch.zeros(1, 3, 50, 61))) == 4
