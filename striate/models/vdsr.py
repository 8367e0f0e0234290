"""VDSR, super-resolution by what the enlarged picture lacks.

Kim, Lee and Lee, "Accurate image super-resolution using very deep convolutional networks", CVPR 2016, section 3.

Twenty 3x3 convolutions look at the bicubically enlarged luma and say what it lacks. The same weights serve all factors
that they were trained with. Without biases, and with the names of twtygqyy's PyTorch port, whose weights are at hand.

======  =====================================================  ==================
block   layers                                                 shape at 96x96, x2
======  =====================================================  ==================
stem    3x3 convolution of the enlarged luma, ReLU             64x192x192
body    eighteen 3x3 convolutions, each with ReLU              64x192x192
head    3x3 convolution; the enlarged luma is added            1x192x192
======  =====================================================  ==================
"""

from typing import cast

from torch import Tensor, nn

from striate.layers import Conv2d, he_fan_out_
from striate.models.enlarging import Enlarging, Factor

CHANNELS = 64
BETWEEN = 18


class _Unit(nn.Module):
    """A convolution and ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = _window(CHANNELS, CHANNELS), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.relu(self.conv(x)))


class VDSR(Enlarging):
    """See the module; 664,704 parameters."""

    def __init__(self, *, classes: int, in_channels: int, factor: int) -> None:
        blocks = {"stem": ("input", "relu"), "body": ("residual_layer",), "head": ("output",)}
        margin = -(-(BETWEEN + 2) // factor) + 2  # the cubic reaches two pixels of the small picture further
        super().__init__(classes=classes, in_channels=in_channels, factor=factor, margin=margin, blocks=blocks)
        self.input, self.relu = _window(1, CHANNELS), nn.ReLU(inplace=True)
        self.residual_layer = nn.Sequential(*(_Unit() for _ in range(BETWEEN)))
        self.output = _window(CHANNELS, 1)
        nn.init.normal_(self.output.weight, std=0.001)  # nothing is lacking at first

    def luma(self, small: Tensor, large: Tensor) -> Tensor:
        """See `Enlarging.luma`."""
        residual: Tensor = self._chain(large, self.blocks)
        return large + residual


def _window(in_channels: int, out_channels: int) -> Conv2d:
    conv = Conv2d(in_channels, out_channels, 3, padding="same", bias=False)
    he_fan_out_(conv.weight)
    return conv


def vdsr(*, classes: int, in_channels: int, factor: Factor = 2) -> VDSR:
    """VDSR for pictures ``factor`` times as large."""
    return VDSR(classes=classes, in_channels=in_channels, factor=factor)
