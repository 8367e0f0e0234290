"""One contract, all heads that say a class for each pixel: any size of pictures, and all of them learn."""

import random

import pytest
import torch
from torch.nn import functional as F

from striate.models import HEADS, build, dense_layers
from tests.models.light import on_meta

NAMES = [name for name, head in HEADS.items() if head.task == "segment"]
ANY = ("efficientnet_lite0", "resnet18", "mobilenet_v2", "squeezenet1_1")
SLIDING = ("vgg11", "vgg13", "vgg16", "vgg11_bn")
PAIRS = [f"{name}/{backbone}" for name in NAMES for backbone in (SLIDING if HEADS[name].backbone_arguments else ANY)]
DRAWN = random.Random(33)
SIZES = [(DRAWN.randint(33, 97), DRAWN.randint(33, 97)) for _ in range(50)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_answers_are_as_large_as_pictures(name: str) -> None:
    network = on_meta(name, classes=3)
    with torch.device("meta"), torch.no_grad():
        for size in SIZES:
            assert network(torch.zeros(2, 3, *size)).shape == (2, 3, *size), size


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_a_step_of_training_makes_the_loss_smaller(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_layers, "HIDDEN", 64)
    network = build(name, classes=3, seed=4).train().to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # so that only the step makes a difference
    images = torch.randn(2, 3, 65, 72).contiguous(memory_format=torch.channels_last)
    targets = (images[:, 0] > 0).long()
    rate, losses = 1e-3, []
    for _ in range(2):
        loss = F.cross_entropy(network(images), targets)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, [*network.parameters()])
        length = torch.stack([gradient.norm() for gradient in gradients]).norm()
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= rate * gradient / length
    assert losses[1] < losses[0]
