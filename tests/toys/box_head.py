"""Toy head: for each place of the backbone's last map whether an object's middle lies there, its box and its class."""

from collections.abc import Sequence

from torch import Tensor, nn

from striate.models.network import FeatureInfo


class BoxHead(nn.Module):
    def __init__(self, channels: int, numbers: int) -> None:
        super().__init__()
        self.window = nn.Conv2d(channels, 32, 3, padding=1)
        self.last = nn.Conv2d(32, numbers, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        places = self.last(self.window(maps[-1]).relu())
        return places.flatten(2).transpose(1, 2)  # [N, places, numbers]


def box_head(features: Sequence[FeatureInfo], *, classes: int, boxes: int = 1) -> nn.Module:
    return BoxHead(features[-1].channels, boxes * (5 + classes))
