"""One box and one class: every cell of the last map says a box, and a softmax over the cells averages them.

The expectation over a map's cells is that of Nibali et al., "Numerical coordinate regression with convolutional neural
networks", 2018, section 3, where each cell stands for its own place; here it stands for the box that it says, relative
to its centre. The map is never flattened, so a picture may have any size, and a box moves with what is seen.
"""

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, ConvNormAct, Linear, begin_he_
from striate.models.network import FeatureInfo
from striate.ops.boxes import wide
from striate.ops.grids import cell_centres, decode_distances

REACH_AT_FIRST = 1.0
"""What a side's distance begins with: e strides."""


class AveragedBox(nn.Module):
    """The boxes that the cells of a map say, ``stride`` pixels apart, averaged by how much each cell counts.

    Example:
        >>> said = torch.zeros(1, 5, 1, 2)  # two cells, each with sides one stride away from its centre
        >>> AveragedBox(8)(said)
        tensor([[ 0., -4., 16., 12.]])
        >>> said[0, 0, 0, 1] = 100.0  # the second counts alone
        >>> AveragedBox(8)(said)
        tensor([[ 4., -4., 20., 12.]])
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, said: Tensor) -> Tensor:
        """Five numbers a cell, ``[N, 5, H, W]``, to xyxy ``[N, 4]`` in pixels of the input; all in float32.

        The first number decides how much a cell counts, by a softmax over all cells; the others are the distances of
        the sides left, top, right and bottom, as `striate.ops.grids` decodes them, so that right is always beyond left.
        """
        rows, columns = said.shape[2:]
        size = rows * self.stride, columns * self.stride
        cells = wide(said).flatten(2).transpose(1, 2)
        boxes = decode_distances(cells[..., 1:], *cell_centres(size, (self.stride,), device=said.device))
        return (cells[..., :1].softmax(1) * boxes).sum(1)


class OneBoxHead(nn.Module):
    """Gives ``[N, 4 + classes]``: left, top, right and bottom in pixels of the input, and a logit for each class.

    Two windows look around each cell of the last map; ``places`` says where the object is from there, and ``classes``
    reads the mean of all cells.
    """

    def __init__(self, in_channels: int, stride: int, classes: int, channels: int) -> None:
        super().__init__()
        norm = partial(BatchNormAct2d, act="relu")
        self.narrow = ConvNormAct(in_channels, channels, 1, padding="valid", norm=norm, act=None)
        self.around = ConvNormAct(channels, channels, 5, padding="same", groups=channels, norm=BatchNormAct2d, act=None)
        self.mixed = ConvNormAct(channels, channels, 1, padding="valid", norm=norm, act=None)
        begin_he_(self)
        self.places, self.box = Conv2d(channels, 5, 1), AveragedBox(stride)
        nn.init.normal_(self.places.weight, std=0.01)
        with torch.no_grad():
            cast("Tensor", self.places.bias).copy_(torch.tensor([0.0, *[REACH_AT_FIRST] * 4]))
        self.classes = Linear(channels, classes)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.zeros_(cast("Tensor", self.classes.bias))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps ``[N, C_i, H_i, W_i]``, finest first, of which the last is read."""
        x = self.mixed(self.around(self.narrow(maps[-1])))
        return torch.cat([self.box(self.places(x)), self.classes(x.mean((2, 3)))], 1)


def one_box(features: Sequence[FeatureInfo], *, classes: int, channels: int = 256) -> OneBoxHead:
    """The head for a backbone's last map; ``channels`` is the width of its windows."""
    return OneBoxHead(features[-1].channels, features[-1].stride, classes, channels)
