"""Heads that say a class for each pixel: on what they stand, how large their answers are, what a step of training does.

`make test-all` looks at four backbones of each, acceptance at all.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.data.records import Classes
from striate.layers import normalization
from striate.models import HEADS, MODELS, build
from striate.tasks.segment import Segment
from tests.models.light import on_meta

NAMES = tuple(name for name, head in HEADS.items() if head.task == "segment")
PADDED = tuple(name for name in NAMES if HEADS[name].backbone_arguments.get("dense_layers") == "padded")
"""As published: pictures get so many pixels around them that windows leave something of them."""
SAME = tuple(name for name in NAMES if name not in PADDED)
BACKBONES = tuple(name for name, row in MODELS.items() if not row.whole)

_ANY = ("efficientnet_lite0", "resnet18", "mobilenet_v2", "squeezenet1_1")
_SLIDING = ("vgg11", "vgg13", "vgg16", "vgg11_bn")
_TASK = Segment(Classes(("a", "b", "c")))
_LENGTH = 1e-3
"""Of a step, so short that the loss falls."""

Size = tuple[int, int]


def four_of(head: str) -> tuple[str, ...]:
    """The head on four backbones, the lightest first."""
    return tuple(f"{head}/{backbone}" for backbone in (_SLIDING if HEADS[head].backbone_arguments else _ANY))


def stands_on(head: str) -> tuple[list[str], list[str]]:
    """The backbones that the head can stand on, and those that it is told it cannot, of all that there are."""
    legal, refused = list[str](), list[str]()
    for backbone in BACKBONES:
        try:
            with torch.device("meta"):
                build(f"{head}/{backbone}", classes=3)
        except ModelError:
            refused.append(backbone)
        else:
            legal.append(backbone)
    return legal, refused


def of_other_sizes(name: str, sizes: Iterable[Size]) -> list[Size]:
    """The sizes of pictures for which the answer has another, or another number of classes.

    Without numbers and without norms, which change no size and would take nine tenths of the time.
    """
    network = on_meta(name, classes=3)
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"), torch.no_grad():
        patch.setattr(normalization, "batch_norm", _sum)
        return [size for size in sizes if network(torch.zeros(1, network.in_channels, *size)).shape != (1, 3, *size)]


def _sum(x: Tensor, *_: Tensor, residual: Tensor | None = None, **__: object) -> Tensor:
    return x if residual is None else x + residual


@dataclass(frozen=True, slots=True)
class Step:
    """The loss before a step of training and after it, and the parameters that no gradient reached."""

    before: float
    after: float
    idle: tuple[str, ...]

    @property
    def good(self) -> bool:
        return math.isfinite(self.before) and math.isfinite(self.after) and not self.idle


def one_step(name: str, size: Size) -> Step:
    """Down the slope of the task's own loss of two pictures of noise, whose bright pixels are of another class.

    Without dropout, so that nothing else makes a difference.
    """
    network = build(name, classes=3, seed=4).train()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    noise = torch.randn(2, network.in_channels, *size, generator=torch.Generator().manual_seed(5))
    images, targets = noise.contiguous(memory_format=torch.channels_last), (noise[:, 0] > 0).to(torch.uint8)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    before = _TASK.loss(network(images), (), targets).total
    before.backward()
    gradients = {path: parameter.grad for path, parameter in network.named_parameters()}
    idle = [path for path, each in gradients.items() if each is None or not each.isfinite().all() or not each.any()]
    nn.utils.clip_grad_norm_(network.parameters(), _LENGTH)
    optimizer.step()
    with torch.no_grad():
        after = _TASK.loss(network(images), (), targets).total
    return Step(before.item(), after.item(), tuple(idle))
