"""DeepLabv3: parallel atrous windows over the last map of an atrous backbone, and what the whole picture shows.

Chen, Papandreou, Schroff and Adam, "Rethinking atrous convolution for semantic image segmentation", 2017, section 3.3
and figure 5: one 1x1 convolution, three 3x3 of rates 6, 12 and 18 at an output stride of 16 (twice that at 8), and the
mean of the picture behind a 1x1 convolution, each of 256 channels with a norm; side by side through another one to 256,
and to the classes; from there bilinearly to every pixel. The dropout of 0.1 before the classes is in the authors' code
(tensorflow/models, ``research/deeplab``), not in the paper.

Weights are He's; those of the last convolution are of deviation 0.01, so that at first all classes are as likely.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from striate.layers import BatchNormAct2d, ConvNormAct, begin_he_
from striate.models.network import FeatureInfo
from striate.models.task_aligned import plain_point, point
from striate.ops.enlarging import enlarge_bilinear
from striate.ops.pooling import global_average_pool

RATES = (6, 12, 18)
"""Of the windows over a map of 16 pixels a place."""


class AtrousPyramid(nn.Module):
    """Windows of several rates over one map, and its mean, side by side, and then narrowed to ``channels``.

    Without ``image_pooling`` the mean is left out, and every place sees a part of the picture alone.

    Example:
        >>> AtrousPyramid(8, 4, (1, 2))(torch.zeros(2, 8, 5, 6)).shape
        torch.Size([2, 4, 5, 6])
    """

    def __init__(self, in_channels: int, channels: int, rates: Sequence[int], *, image_pooling: bool = True) -> None:
        super().__init__()
        norm = partial(BatchNormAct2d, act="relu")
        around = [
            ConvNormAct(in_channels, channels, 3, padding="same", dilation=rate, norm=norm, act=None) for rate in rates
        ]
        self.branches = nn.ModuleList([point(in_channels, channels), *around])
        self.pooled = point(in_channels, channels) if image_pooling else None
        self.project = point((len(rates) + 1 + image_pooling) * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in, H, W]`` to ``[N, channels, H, W]``."""
        beside = [branch(x) for branch in self.branches]
        if self.pooled is not None:
            beside.append(self.pooled(global_average_pool(x, keep=True)).expand_as(beside[0]))
        return self.project(torch.cat(beside, 1))


class DeepLabV3Head(nn.Module):
    """Gives a logit for each class and pixel, ``[N, classes, H, W]``, from a last map of ``stride`` pixels a place."""

    def __init__(
        self,
        in_channels: int,
        stride: int,
        classes: int,
        channels: int,
        rates: Sequence[int],
        dropout: float,
        image_pooling: bool,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.pyramid = AtrousPyramid(in_channels, channels, rates, image_pooling=image_pooling)
        begin_he_(self)
        self.dropout = nn.Dropout(dropout)
        self.classes = plain_point(channels, classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The size of the pictures, ``[N, 0, H, W]``, and maps, of which the last is read."""
        return enlarge_bilinear(self.classes(self.dropout(self.pyramid(maps[-1]))), maps[0], self.stride)


def deeplabv3(
    features: Sequence[FeatureInfo],
    *,
    classes: int,
    channels: int = 256,
    rates: tuple[int, ...] = RATES,
    dropout: float = 0.1,
    image_pooling: bool = True,
) -> DeepLabV3Head:
    """The head for a backbone's last map; ``rates`` are those over a map of 16 pixels a place, ``channels`` its width.

    Without ``image_pooling`` no place sees the whole picture, so that large ones can be answered in tiles.

    Raises:
        ValueError: a rate is below 1.
    """
    last = features[-1]
    if min(rates, default=1) < 1:
        raise ValueError(f"rates are {rates}; each is at least 1")
    spread = [max(1, rate * 16 // last.stride) for rate in rates]
    return DeepLabV3Head(last.channels, last.stride, classes, channels, spread, dropout, image_pooling)
