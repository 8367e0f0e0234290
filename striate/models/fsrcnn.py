"""FSRCNN: Dong et al., "Accelerating the super-resolution convolutional neural network", ECCV 2016, section 3.2.

FSRCNN(56, 12, 4): windows look at the small picture, most of them at 12 maps of it, and a transposed convolution makes
it large. The paper counts 12,464 weights; biases and the slopes of PReLU come to that. The picture goes on beyond its
border as it ends there, eight pixels far.

=======  ======================================================================  ==================
block    layers                                                                  shape at 96x96, x2
=======  ======================================================================  ==================
stem     5x5 convolution of the luma and its border                              56x112x112
shrink   1x1 convolution                                                         12x112x112
map      four 3x3 convolutions                                                   12x112x112
expand   1x1 convolution                                                         56x112x112
head     9x9 transposed convolution, stride of the factor; the border is cut     1x192x192
=======  ======================================================================  ==================
"""

from typing import cast

import torch
from torch import Tensor, nn

from striate.layers import Conv2d, ConvTranspose2d, bilinear_weights
from striate.models.enlarging import Enlarging, Factor, pass_on_
from striate.ops.borders import continued

D, S, M = 56, 12, 4
"""The paper's sensitive variables: maps of the features, of the shrunk ones, and windows between."""
LARGEST = 9
MARGIN = 2 + M + LARGEST // 2 // 2
"""Of the first window, of those between, and of the transposed one at the least factor."""


class _Unit(nn.Module):
    """A convolution and PReLU, a slope a map, begun for it as in He et al. 2015."""

    def __init__(self, in_channels: int, out_channels: int, side: int) -> None:
        super().__init__()
        self.conv, self.act = Conv2d(in_channels, out_channels, side, padding="same"), nn.PReLU(out_channels)
        nn.init.kaiming_normal_(self.conv.weight, a=0.25)
        nn.init.zeros_(cast("Tensor", self.conv.bias))

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.act(self.conv(x)))


class FSRCNN(Enlarging):
    """See the module; 12,464 weights whatever the factor."""

    def __init__(self, *, classes: int, in_channels: int, factor: int) -> None:
        blocks = {name: (name,) for name in ("stem", "shrink", "map", "expand", "head")}
        super().__init__(classes=classes, in_channels=in_channels, factor=factor, margin=MARGIN, blocks=blocks)
        self.stem, self.shrink, self.expand = _Unit(1, D, 5), _Unit(D, S, 1), _Unit(S, D, 1)
        self.map = nn.Sequential(*(_Unit(S, S, 3) for _ in range(M)))
        self.head = ConvTranspose2d(D, 1, LARGEST, stride=factor, padding="same")
        # Section 3.4 draws the transposed weights with deviation 0.001; the first map begins as bilinear interpolation.
        for module in self.modules():
            if isinstance(module, _Unit):
                pass_on_(module.conv)
        nn.init.normal_(self.head.weight, std=0.001)
        nn.init.zeros_(cast("Tensor", self.head.bias))
        spread = bilinear_weights(1, factor)[0, 0]
        at = (LARGEST - factor) // 2 - (len(spread) - factor) // 2
        with torch.no_grad():
            self.head.weight[0].zero_()
            self.head.weight[0, 0, at : at + len(spread), at : at + len(spread)] = spread

    def luma(self, small: Tensor, large: Tensor) -> Tensor:
        """See `Enlarging.luma`."""
        x: Tensor = self._chain(continued(small, MARGIN), self.blocks)
        cut = MARGIN * self.factor
        return x[:, :, cut:-cut, cut:-cut]


def fsrcnn(*, classes: int, in_channels: int, factor: Factor = 2) -> FSRCNN:
    """FSRCNN(56, 12, 4) for pictures ``factor`` times as large: 12,809 parameters."""
    return FSRCNN(classes=classes, in_channels=in_channels, factor=factor)
