"""A U-Net's way back up on any backbone: from its coarsest map to its finest, and from there to every pixel.

Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015, whose
contracting path is here the backbone. Two things are made for processors. Where the paper concatenates and convolves,
both sides are first brought to one width by 1x1 convolutions and added: of a concatenation a convolution makes the sum
of what it makes of its parts, and the coarse part's can be made before it is enlarged, at a quarter of the places. And
windows are depthwise, unless they are asked to be whole 3x3 as the paper's. Of EfficientNet-Lite0, the head has about a
quarter of its backbone's multiply-adds.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from striate.layers import BatchNormAct2d, ConvNormAct, begin_he_
from striate.models.network import FeatureInfo
from striate.models.task_aligned import Separable, plain_point, point
from striate.ops.enlarging import add_enlarged, enlarge_bilinear

WIDTHS = (32, 48, 64, 96, 128)
"""Channels of the way back at each map, finest first; even coarser ones have the last."""


class UNetHead(nn.Module):
    """Gives a logit for each class and pixel, ``[N, classes, H, W]``.

    Each map is narrowed, joined with what comes from the next coarser one, and seen through ``depth`` windows. The
    classes are told apart on the finest map, ``stride`` pixels a place, and enlarged from there.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        stride: int,
        classes: int,
        channels: Sequence[int],
        depth: int,
        depthwise: bool,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.lateral = nn.ModuleList([point(count, wide) for count, wide in zip(in_channels, channels, strict=True)])
        ways = zip(channels, [channels[0], *channels[:-1]], strict=True)
        kind = Separable if depthwise else _whole
        self.windows = nn.ModuleList([_windows(kind, wide, finer, depth) for wide, finer in ways])
        begin_he_(self)
        self.classes = plain_point(channels[0], classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The size of the pictures, ``[N, 0, H, W]``, and maps ``[N, C_i, H_i, W_i]``, finest first."""
        size, *rest = maps
        x: Tensor | None = None
        for y, lateral, windows in [*zip(rest, self.lateral, self.windows, strict=True)][::-1]:
            side = lateral(y)
            x = windows(side if x is None else add_enlarged(side, x))
        return enlarge_bilinear(self.classes(x), size, self.stride)


def unet_head(
    features: Sequence[FeatureInfo],
    *,
    classes: int,
    channels: tuple[int, ...] = WIDTHS,
    depth: int = 2,
    depthwise: bool = True,
) -> UNetHead:
    """The head for a backbone's maps; ``channels`` are its widths, finest first, ``depth`` the windows at each map.

    These are depthwise 5x5 with a 1x1 convolution behind, or convolutions of 3x3.

    Raises:
        ValueError: there are no widths, or no windows.
    """
    if not channels or depth < 1:
        raise ValueError(f"channels {channels} and depth {depth}: a U-Net has widths, and windows at each map")
    widths = [channels[min(place, len(channels) - 1)] for place in range(len(features))]
    return UNetHead([info.channels for info in features], features[0].stride, classes, widths, depth, depthwise)


def _whole(in_channels: int, channels: int) -> nn.Module:
    norm = partial(BatchNormAct2d, act="relu")
    return ConvNormAct(in_channels, channels, 3, padding="same", norm=norm, act=None)


def _windows(kind: Callable[[int, int], nn.Module], channels: int, finer: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*[kind(channels, channels if at < depth - 1 else finer) for at in range(depth)])
