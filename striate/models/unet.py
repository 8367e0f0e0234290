"""U-Net: down to coarse maps that know what is there, and up again beside the fine ones that know where.

Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015, section 2
and figure 1. No window pads, so a picture of 572x572 gives an answer of 388x388:

=======  =====================================================  ============
block    what                                                   shape
=======  =====================================================  ============
stem     2 convolutions 3x3                                     64x568x568
stage1   max pool 2x2, 2 convolutions 3x3                       128x280x280
stage2   the same                                               256x136x136
stage3   the same, dropout                                      512x64x64
stage4   the same, dropout                                      1024x28x28
up3      transposed convolution 2x2, the middle of stage3's     512x52x52
         maps beside it, 2 convolutions 3x3
up2      the same with stage2's                                 256x100x100
up1      the same with stage1's                                 128x196x196
up0      the same with the stem's                               64x388x388
head     convolution 1x1                                        2x388x388
=======  =====================================================  ============

The paper looks at large pictures tile by tile, each with 92 pixels more on every side than are answered, mirrored where
the picture ends. Here the network mirrors the pictures that it gets, as far as its windows need: of any size, and the
answer is of just that size. A picture of 388x388 so becomes the 572x572 of the table, and whoever trains, evaluates or
predicts knows nothing of it. ``mirrors=False`` is the network alone, which answers what lies 92 pixels inside.

Weights are He's by fan-in, as the paper says, biases zero, dropouts 0.5 at the end of the way down.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from striate.layers import Conv2d, ConvTranspose2d, MaxPool2d
from striate.models.network import FeatureInfo, Network
from striate.ops.borders import mirrored
from striate.ops.enlarging import size_of

WIDTH, DEPTH = 64, 4
MARGIN = 92
"""Pixels around each that windows see before the first answer; the answer has twice as many less than the picture."""
STEP = 2**DEPTH
SMALLEST = 2 * MARGIN + 4
"""The smallest picture that leaves an answer without mirrors; larger ones have ``STEP`` pixels more."""


class Mirrors(nn.Module):
    """``[N, C, H, W]`` with 92 pixels more above and on the left, and at least as many below and on the right.

    Example:
        >>> Mirrors()(torch.zeros(1, 1, 388, 390)).shape
        torch.Size([1, 1, 572, 588])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any size to one of 188 and a multiple of 16 more, of which no pool leaves a place over."""
        height, width = (SMALLEST + -(-max(0, side - 4) // STEP) * STEP for side in x.shape[2:])
        return mirrored(x, MARGIN, height, width)


class UNet(Network):
    """The network: ``[N, C, H, W]`` to ``[N, classes, H, W]``; without mirrors 184 less in both directions.

    What one block gives the next is a tuple: the size of the pictures as a map without channels, the maps of the way
    down that are still to be met, finest first, and the last map.
    """

    def __init__(self, *, classes: int, in_channels: int, width: int, dropout: float, mirrors: bool) -> None:
        widths = [width << level for level in range(DEPTH + 1)]
        names = ["stem", *(f"stage{level}" for level in range(1, DEPTH + 1))]
        down: Mapping[str, tuple[str, ...]] = {
            name: (*(("pool",) if level else ()), *_pair(f"conv{level}"), *(("drop",) if level >= DEPTH - 1 else ()))
            for level, name in enumerate(names)
        }
        up = {f"up{level}": (f"enlarge{level}", *_pair(f"join{level}")) for level in reversed(range(DEPTH))}
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={**down, **up, "head": ("score",)},
            feature_info=tuple(FeatureInfo(name, widths[level], 1 << level) for level, name in enumerate(names)),
            smallest=(1, 1) if mirrors else (SMALLEST, SMALLEST),
        )
        self.mirrors = Mirrors() if mirrors else nn.Identity()
        self.pool, self.relu, self.drop = MaxPool2d(2), nn.ReLU(inplace=True), nn.Dropout(dropout)
        for level, channels in enumerate(widths):
            self.add_module(f"conv{level}_1", Conv2d(widths[level - 1] if level else in_channels, channels, 3))
            self.add_module(f"conv{level}_2", Conv2d(channels, channels, 3))
        for level in reversed(range(DEPTH)):
            channels = widths[level]
            self.add_module(f"enlarge{level}", ConvTranspose2d(2 * channels, channels, 2, stride=2))
            self.add_module(f"join{level}_1", Conv2d(2 * channels, channels, 3))
            self.add_module(f"join{level}_2", Conv2d(channels, channels, 3))
        self.score = Conv2d(width, classes, 1)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, Conv2d | ConvTranspose2d):
                taps = module.weight[0].numel() if isinstance(module, Conv2d) else module.in_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / taps))
                nn.init.zeros_(cast("Tensor", module.bias))

    def run_block(self, name: str, x: Any) -> Any:
        """One block, on the tuple that the one before it gave; the first on images, the last to the answer."""
        first, *rest = self.blocks[name]
        size, *kept, last = x if isinstance(x, tuple) else (size_of(x), self.mirrors(x))
        if name == "head":
            return _first(self.get_submodule(first)(last), size)
        if first.startswith("enlarge"):
            y = self.get_submodule(first)(last)
            last = torch.cat([_middle(kept.pop(), y), y], 1)
        else:
            kept += [last] if first == "pool" else []
            last = self.get_submodule(first)(last)
        for path in rest:
            last = self.get_submodule(path)(last)
        return (size, *kept, last)

    def features(self, images: Tensor) -> list[Tensor]:
        """The maps of the way down, finest first; of mirrored pictures, so they show 92 pixels around the picture."""
        return [*self.run(images, stop=self.feature_info[-1].name)[1:]]


def _first(answer: Tensor, size: Tensor) -> Tensor:
    """As much of an answer as the picture is large; without mirrors it is smaller, and stays as it is."""
    return answer[:, :, : size.shape[2], : size.shape[3]].contiguous()


def unet(*, classes: int, in_channels: int, width: int = WIDTH, dropout: float = 0.5, mirrors: bool = True) -> UNet:
    """U-Net: 31,030,658 parameters for grey pictures and two classes; ``width`` is that of its finest maps."""
    return UNet(classes=classes, in_channels=in_channels, width=width, dropout=dropout, mirrors=mirrors)


def _pair(name: str) -> tuple[str, ...]:
    return (f"{name}_1", "relu", f"{name}_2", "relu")


def _middle(x: Tensor, like: Tensor) -> Tensor:
    """The middle of a map, as large as another."""
    top, left = (x.shape[2] - like.shape[2]) // 2, (x.shape[3] - like.shape[3]) // 2
    return x[:, :, top : top + like.shape[2], left : left + like.shape[3]]
