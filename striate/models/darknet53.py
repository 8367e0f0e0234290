"""Darknet-53: residual units of a 1x1 and a 3x3 window, behind YOLOv3 and as a classifier.

Redmon and Farhadi, "YOLOv3: an incremental improvement", 2018, table 1. At 256:

======  ====================================================  ===========
block   what                                                  shape
======  ====================================================  ===========
stem    convolution 3x3                                       32x256x256
stage1  convolution 3x3, stride 2; 1 unit                     64x128x128
stage2  convolution 3x3, stride 2; 2 units                    128x64x64
stage3  convolution 3x3, stride 2; 8 units                    256x32x32
stage4  convolution 3x3, stride 2; 8 units                    512x16x16
stage5  convolution 3x3, stride 2; 4 units                    1024x8x8
pool    mean of each map                                      1024
head    dense                                                 1000
======  ====================================================  ===========

Behind every convolution stand a batch norm and a ReLU that leaks a tenth. The paper says neither of them; the authors'
code (pjreddie/darknet, ``activations.h``, ``batchnorm_layer.c``) does: running statistics move by a hundredth a step,
and 1e-5 is added to the variance where graphics processors compute. Parameter names are timm's.
"""

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

from striate.layers import BatchNormAct2d, ConvNormAct, GlobalAveragePool, begin_he_
from striate.models.network import FeatureInfo, Network

UNITS = (1, 2, 8, 8, 4)
"""Of each stage; each stage halves the sides of the maps and doubles their number."""
STEM_CHANNELS = 32

MOMENTUM = 0.01


def convolution(
    in_channels: int, channels: int, window: int, *, stride: int = 1, momentum: float = MOMENTUM
) -> ConvNormAct:
    """A convolution as darknet has them: batch norm, leaking ReLU, and padding that keeps the size at stride 1."""
    norm = partial(BatchNormAct2d, eps=1e-5, momentum=momentum)
    act = partial(nn.LeakyReLU, 0.1, inplace=True)
    return ConvNormAct(in_channels, channels, window, stride=stride, padding="symmetric", norm=norm, act=act)


class DarkUnit(nn.Module):
    """A 1x1 window to half of the channels and a 3x3 window back, beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels, channels // 2, 1)
        self.conv2 = convolution(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        return x + self.conv2(self.conv1(x))


class Darknet53(Network):
    """The network, ``[N, C, H, W]`` of any size to ``[N, classes]``."""

    def __init__(self, *, classes: int, in_channels: int) -> None:
        numbers = range(1, len(UNITS) + 1)
        infos = [FeatureInfo("stem", STEM_CHANNELS, 1)]
        infos += [FeatureInfo(f"stage{number}", STEM_CHANNELS << number, 1 << number) for number in numbers]
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={
                "stem": ("stem.conv1.conv", "stem.conv1.bn", "stem.conv1.act"),
                **{f"stage{n}": (f"stages.{n - 1}.conv_down", f"stages.{n - 1}.blocks") for n in numbers},
                "pool": ("head.global_pool",),
                "head": ("head.fc",),
            },
            feature_info=tuple(infos),
        )
        self.stem = nn.Sequential(OrderedDict(conv1=convolution(in_channels, STEM_CHANNELS, 3)))
        self.stages = nn.Sequential()
        for before, info, units in zip(infos, infos[1:], UNITS, strict=False):
            down = convolution(before.channels, info.channels, 3, stride=2)
            blocks = nn.Sequential(*[DarkUnit(info.channels) for _ in range(units)])
            self.stages.append(nn.Sequential(OrderedDict(conv_down=down, blocks=blocks)))
        fc = nn.Linear(infos[-1].channels, classes)
        self.head = nn.Sequential(OrderedDict(global_pool=GlobalAveragePool(), fc=fc))
        begin_he_(self)


def darknet53(*, classes: int, in_channels: int) -> Darknet53:
    """Darknet-53: 41,609,928 parameters for 1,000 classes."""
    return Darknet53(classes=classes, in_channels=in_channels)
