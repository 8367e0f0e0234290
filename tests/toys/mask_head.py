"""Toy head: a class for each pixel, from the finest and the coarsest map of the backbone."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.models.network import FeatureInfo


class MaskHead(nn.Module):
    def __init__(self, fine: FeatureInfo, coarse: FeatureInfo, classes: int) -> None:
        super().__init__()
        self.between = coarse.stride // fine.stride
        self.stride = fine.stride
        self.last = nn.Conv2d(fine.channels + coarse.channels, classes, 3, padding=1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        wide = F.interpolate(maps[-1], size=maps[0].shape[2:], mode="nearest")
        return F.interpolate(self.last(torch.cat([maps[0], wide], dim=1)), scale_factor=float(self.stride))


def mask_head(features: Sequence[FeatureInfo], *, classes: int) -> nn.Module:
    return MaskHead(features[0], features[-1], classes)
