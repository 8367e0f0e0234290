"""LeNet-5 as published.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998, section II.B.

======  ==========================================  ==========  ==========
layer   what                                        shape       parameters
======  ==========================================  ==========  ==========
input   28x28 in a border of 2                      1x32x32
c1      convolution 5x5                             6x28x28            156
s2      mean 2x2, a coefficient and a bias a map    6x14x14             12
c3      convolution 5x5, 60 of 96 pairs of maps     16x10x10         1,516
s4      mean 2x2, a coefficient and a bias a map    16x5x5              32
c5      convolution 5x5                             120x1x1         48,120
f6      dense                                       84              10,164
output  minus the distances to 10 drawings of 7x12  10          (840 fixed)
======  ==========================================  ==========  ==========

These are 60,000 parameters. Every layer up to f6 is squashed by ``1.7159 tanh(2/3 a)`` (equation 6 and appendix A).
It differs from the paper's network in this:

- Subsampling takes the mean of four pixels where the paper takes their sum. Its coefficient is four times the paper's
  for the same function, and begins at 1.
- The output is minus the paper's, so that the largest is the answer, as in every network here.
- The drawings of the digits are by hand, after the idea of the paper's figure 3, and not its pixels.

Weights are the paper's, uniform within 2.4 / fan-in (appendix A), where a unit of c3 has 25 inputs from each map that
it sees; biases begin at 0. They are small, but after 5 epochs of MNIST the network answers as well as from weights of
variance 1 / fan-in (0.990 of 6,000 validation pictures either way). Distances make steep gradients: rates are a tenth
of those for a dense head, and without clipping 0.01 can saturate every unit for good on few pictures.
"""

import random

import torch
from torch import Tensor, nn

from striate.layers import AveragePool2d, Conv2d
from striate.models.network import FeatureInfo, Network
from striate.ops.convolution import conv2d

CONNECTIONS = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)
"""The paper's table I: for each map of c3 the maps of s2 that it sees."""

DIGITS = """
..###..  ...##..  .#####.  .#####.  ....##.  #######  ..####.  #######  .#####.  .#####.
.#####.  ..###..  #######  #######  ...###.  #######  .##....  #######  ##...##  ##...##
##...##  .####..  ##...##  ##...##  ..####.  ##.....  ##.....  .....##  ##...##  ##...##
##...##  ...##..  .....##  .....##  .##.##.  ##.....  ##.....  ....##.  ##...##  ##...##
##...##  ...##..  .....##  .....##  ##..##.  ######.  ##.....  ....##.  .##.##.  ##...##
##...##  ...##..  ....##.  ..####.  ##..##.  #######  ######.  ...##..  ..###..  .######
##...##  ...##..  ...##..  ..####.  #######  .....##  ##...##  ...##..  .##.##.  .....##
##...##  ...##..  ..##...  .....##  #######  .....##  ##...##  ..##...  ##...##  .....##
##...##  ...##..  .##....  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##
##...##  ...##..  ##.....  ##...##  ....##.  ##...##  ##...##  .##....  ##...##  .....##
.#####.  .######  #######  #######  ....##.  #######  ##...##  .##....  ##...##  ....##.
..###..  .######  #######  .#####.  ....##.  .#####.  .#####.  .##....  .#####.  .####..
"""
"""The digits 0 to 9, 7 wide and 12 high: ink is +1, paper -1."""

CODE = 84
"""Numbers in a code: one for each pixel of a drawing, and so the units of f6."""


def codes(classes: int) -> Tensor:
    """The code of each class, +1 and -1, ``[classes, 84]``: the drawn digits, then codes drawn by lot.

    The paper proposes codes drawn by lot for classes that have no look (section II.B). Class 10 and those after it
    have the same ones whatever the number of classes.
    """
    lines = [line.split() for line in DIGITS.split("\n") if line]
    drawn = ["".join(rows) for rows in zip(*lines, strict=True)]
    lot = random.Random(1998)
    drawn += [f"{lot.getrandbits(CODE):0{CODE}b}".replace("1", "#") for _ in range(classes - len(drawn))]
    return torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in code] for code in drawn[:classes]])


class Squash(nn.Module):
    """The paper's activation, ``1.7159 tanh(2/3 a)``: it takes 1 to 1 and -1 to -1 (appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """The mean of 2x2 pixels times a coefficient plus a bias, one of each for a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = AveragePool2d(2)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, C, H / 2, W / 2]``."""
        return self.pool(x) * self.weight[:, None, None] + self.bias[:, None, None]


class PartialConv2d(Conv2d):
    """A convolution whose maps see some of the maps before them: ``connections`` lists those of each.

    ``weight`` is ``[pairs, 1, h, w]``, in the order of ``connections``: what is not connected has no weight.
    """

    def __init__(self, in_channels: int, connections: tuple[tuple[int, ...], ...], kernel_size: int) -> None:
        super().__init__(in_channels, len(connections), kernel_size)
        self.connections = connections
        self.weight = nn.Parameter(torch.empty(sum(map(len, connections)), 1, *self.kernel_size))
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in, H, W]`` to ``[N, out, H - h + 1, W - w + 1]``."""
        return conv2d(x, self.dense(), self.bias)

    def dense(self) -> Tensor:
        """The weight of the whole convolution, ``[out, in, h, w]``, with 0 for what is not connected."""
        pairs = [out * self.in_channels + seen for out, maps in enumerate(self.connections) for seen in maps]
        places = torch.tensor(pairs, device=self.weight.device)
        whole = self.weight.new_zeros(self.out_channels * self.in_channels, 1, *self.kernel_size)
        return whole.index_copy(0, places, self.weight).view(self.out_channels, self.in_channels, *self.kernel_size)

    def extra_repr(self) -> str:
        """What the printed module says in its brackets."""
        return f"{super().extra_repr()}, pairs={len(self.weight)}"


class Distances(nn.Module):
    """Minus the squared distances to fixed codes (equation 7), in float32 also where autocast computes otherwise."""

    centres: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("centres", codes(classes))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 84]`` to ``[N, classes]``."""
        return -(x.float()[:, None] - self.centres.float()).square().sum(dim=2)


class LeNet51998(Network):
    """LeNet-5 as published: ``[N, C, 32, 32]`` to ``[N, classes]``. 60,000 parameters for 10 classes of grey."""

    def __init__(self, *, classes: int, in_channels: int) -> None:
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            size=(32, 32),
            blocks={
                "stem": ("c1", "squash", "s2", "squash"),
                "stage1": ("c3", "squash", "s4", "squash"),
                "stage2": ("c5", "squash", "flatten", "f6", "squash"),
                "head": ("output",),
            },
            feature_info=(FeatureInfo("stem", 6, 2), FeatureInfo("stage1", 16, 4)),
        )
        self.c1 = Conv2d(in_channels, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = PartialConv2d(6, CONNECTIONS, 5)
        self.s4 = Subsampling(16)
        self.c5 = Conv2d(16, 120, 5)
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(120, CODE)
        self.output = Distances(classes)
        self.squash = Squash()
        self._draw_weights()

    def _draw_weights(self) -> None:
        for layer in (self.c1, self.c5, self.f6):
            _uniform(layer.weight, fan_in=layer.weight[0].numel())
        first = 0
        for maps in CONNECTIONS:
            seen = self.c3.weight[first : first + len(maps)]
            _uniform(seen, fan_in=seen.numel())
            first += len(maps)
        for layer in (self.c1, self.c3, self.c5, self.f6):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _uniform(weight: Tensor, *, fan_in: int) -> None:
    nn.init.uniform_(weight, -2.4 / fan_in, 2.4 / fan_in)


def lenet5_1998(*, classes: int, in_channels: int) -> LeNet51998:
    """LeNet-5 as published; see this module."""
    return LeNet51998(classes=classes, in_channels=in_channels)
