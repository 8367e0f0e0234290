"""What networks of super-resolution share: pictures in, larger ones out, of which the network itself sees the luma.

The papers enlarge the luma by the network and the colours by bicubic interpolation, since eyes resolve colours less.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from striate.base.errors import ModelError
from striate.layers import Conv2d
from striate.models.network import Network
from striate.ops.enlarging import bicubic
from striate.ops.luminance import RANGE, luma

Factor: TypeAlias = Literal[2, 3, 4]
"""How many times as high and wide pictures become."""


class Enlarging(Network):
    """Pictures ``[N, C, H, W]`` from 0 to 1 to ``[N, C, factor * H, factor * W]``, beyond 0 and 1 at steep edges.

    The network says what luma the large picture has; all three colours of a place become brighter by as much as that
    is above the bicubically enlarged picture's, so that their differences are the bicubic ones. Where there are not
    three channels each is a grey picture. There are no classes.

    Args:
        margin: how far, in pixels of the small picture, it looks around each.

    Raises:
        ModelError: classes were given.
    """

    fewest_classes: ClassVar[int] = 0

    def __init__(
        self, *, classes: int, in_channels: int, factor: int, margin: int, blocks: Mapping[str, tuple[str, ...]]
    ) -> None:
        if classes > 0:
            raise ModelError(
                f"{type(self).__name__} makes pictures larger and names no classes, but classes is {classes}; leave it "
                "out"
            )
        super().__init__(classes=classes, in_channels=in_channels, blocks=blocks, feature_info=())
        self.factor, self.margin = factor, margin

    def luma(self, small: Tensor, large: Tensor) -> Tensor:
        """The luma of the large picture, from that of the small one ``[N, 1, H, W]`` and of this enlarged."""
        raise NotImplementedError

    @property
    def computes_by_blocks(self) -> bool:
        """See `Network.computes_by_blocks`: what `luma` runs are the blocks."""
        return True

    def compute(self, x: Tensor) -> Tensor:
        """The bicubically enlarged picture, brighter or darker by what the network sees more."""
        large = bicubic(x, self.factor)
        before = luma(large, self.in_channels)
        brighter = (self.luma(luma(x, self.in_channels), before) - before) / RANGE
        if self.in_channels != 3:
            brighter = brighter.unflatten(0, (-1, self.in_channels)).flatten(1, 2)
        return large + brighter


def pass_on_(conv: Conv2d, gain: float = 1.0) -> None:
    """Let a convolution's first map begin as the one before, times ``gain``, whatever the others do.

    A network through which the luma so comes unchanged can begin as plain interpolation, which it then betters; one
    that begins at random spends most of a short run on saying the picture again.
    """
    middle = conv.weight.shape[2] // 2
    with torch.no_grad():
        conv.weight[0].zero_()
        conv.weight[0, 0, middle, middle] = gain
