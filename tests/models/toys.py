"""Small networks of other styles than one block after the other, and a head, for tests of what any network may be."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, ConvTranspose2d, MaxPool2d
from striate.models.heads import Head
from striate.models.network import FeatureInfo, Network


class Skipping(Network):
    """A U-Net of one step: maps of half the size come back up and stand beside those that they were made from.

    ``[N, 3, H, W]`` to ``[N, classes, H, W]``.
    """

    def __init__(self, classes: int = 4, *, auxiliary: bool = False) -> None:
        super().__init__(
            classes=classes,
            in_channels=3,
            blocks={"stem": ("first", "norm"), "down": ("deep",), "up": ("back",), "head": ("last",)},
            feature_info=(FeatureInfo("stem", 8, 1), FeatureInfo("down", 16, 2)),
            smallest=(2, 2),
            auxiliary={"down": "side"} if auxiliary else {},
        )
        self.first, self.norm = Conv2d(3, 8, 3, padding="same", bias=False), BatchNormAct2d(8, act="relu")
        self.deep = nn.Sequential(MaxPool2d(2), Conv2d(8, 16, 3, padding="same"), nn.ReLU())
        self.back = ConvTranspose2d(16, 8, 2, stride=2)
        self.last = Conv2d(16, classes, 1)
        if auxiliary:
            self.side = Conv2d(16, classes, 1)

    def compute(self, x: Tensor) -> Tensor:
        """The two ways, side by side."""
        flat = self.norm(self.first(x))
        return self.last(torch.cat([flat, self.back(self.deep(flat))], dim=1))


class Ending(Network):
    """One convolution and the head that is given."""

    def __init__(self, head: nn.Module) -> None:
        blocks = {"stem": ("conv", "norm"), "head": ("end",)}
        super().__init__(classes=4, in_channels=3, blocks=blocks, feature_info=(FeatureInfo("stem", 8, 1),))
        self.conv, self.norm, self.end = Conv2d(3, 8, 3, padding="same"), BatchNormAct2d(8, act="relu"), head


class TwoOutputs(nn.Module):
    """A head that forgot to make one tensor of what it found."""

    def __init__(self) -> None:
        super().__init__()
        self.classes, self.boxes = Conv2d(8, 4, 1), Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.classes(x), self.boxes(x)


class Places(nn.Module):
    """Scores for each place of all maps, ``[N, classes, places]``."""

    def __init__(self, channels: Sequence[int], classes: int, width: int, scales: tuple[float, ...]) -> None:
        super().__init__()
        self.necks = nn.ModuleList(Conv2d(count, width, 1) for count in channels)
        self.norms = nn.ModuleList(BatchNormAct2d(width, act="relu") for _ in channels)
        self.scores = Conv2d(width, classes, 3, padding="same")
        self.scales = scales

    def forward(self, maps: list[Tensor]) -> Tensor:
        each = zip(self.necks, self.norms, maps, strict=True)
        return torch.cat([self.scores(norm(neck(x))).flatten(2) for neck, norm, x in each], dim=2)


def places(
    feature_info: Sequence[FeatureInfo], *, classes: int, width: int = 8, scales: tuple[float, ...] = (1.0,)
) -> Places:
    if width > 512:
        raise ValueError("nobody needs so many")
    return Places([info.channels for info in feature_info], classes, width, scales)


PLACES = Head(
    build="tests.models.toys:places",
    summary="scores for each place",
    task="boxes",
    classes=7,
    strides=(8, 16),
    size=(96, 64),
)
