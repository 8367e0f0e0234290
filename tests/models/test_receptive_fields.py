"""Which pixels one place of a network's last map sees, against the published figures: where the strides are shows here.

With positive weights, means instead of maxima and no norms, a row of the picture has a gradient if and only if it is
seen. The figures are Araujo, Norris and Sim's ("Computing receptive fields", Distill, 2019) and, for forms they do not
have, from the papers' windows by their recurrence.
"""

import pytest
import torch
from torch import Tensor, nn

from striate.layers import AveragePool2d, Conv2d, LocalResponseNorm, MaxPool2d, SqueezeExcite
from striate.models import build
from striate.models.network import Network


class Untouched(nn.Module):
    """What stands for a norm: maps pass, and what is added to them is added."""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return x if residual is None else x + residual


def linear(network: Network) -> Network:
    for path, module in list(network.named_modules()):
        if isinstance(module, MaxPool2d):
            mean = AveragePool2d(module.kernel_size, stride=module.stride, padding=module.padding)
            network.set_submodule(path, mean)
        elif isinstance(module, nn.BatchNorm2d | LocalResponseNorm | SqueezeExcite):
            network.set_submodule(path, Untouched())
        elif isinstance(module, Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network.double().requires_grad_(False)


def seen(network: Network, block: str, stride: int, rows: int) -> tuple[int, int]:
    """How many rows of the picture a middle place sees, and how far before the first row that of place 0 begins."""
    images = torch.ones(1, 3, rows, 32, dtype=torch.float64, requires_grad=True)
    place = rows // stride // 2
    linear(network).run(images, stop=block)[0, :, place].sum().backward()
    assert images.grad is not None
    first, *_, last = images.grad[0, 0].sum(1).nonzero().flatten().tolist()
    return last - first + 1, place * stride - first


@pytest.mark.parametrize(
    ("name", "block", "stride", "rows", "field", "padding"),
    [
        ("resnet18", "stage4", 32, 512, 435, 217),
        ("resnet50", "stage3", 16, 320, 267, 133),
        ("resnet50", "stage4", 32, 512, 427, 213),
        ("resnet50_2015", "stage4", 32, 576, 483, 241),
        # the authors' pool, without padding before: two pixels later than the published form above
        ("se_resnet50", "stage4", 32, 576, 483, 239),
        ("googlenet", "stage3", 8, 128, 91, 39),
        ("googlenet", "stage4a", 16, 256, 171, 71),
        ("googlenet", "stage4d", 16, 448, 363, 167),
        ("googlenet", "stage5", 32, 832, 715, 327),
        ("googlenet_bn", "stage5", 32, 448, 379, 167),
        ("se_inception", "stage5", 32, 448, 379, 167),
    ],
)
def test_published_fields(name: str, block: str, stride: int, rows: int, field: int, padding: int) -> None:
    network = build(name, classes=2, seed=0)
    assert seen(network, block, stride, rows) == (field, padding)
