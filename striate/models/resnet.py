"""Residual networks of basic units.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, table 1 and section 3.3. At 224, for
ResNet-34 (ResNet-18 has two units in every stage):

======  ======================================  ==========
block   what                                    shape
======  ======================================  ==========
stem    convolution 7x7, stride 2               64x112x112
stage1  max pool 3x3, stride 2; 3 units         64x56x56
stage2  4 units, the first of stride 2          128x28x28
stage3  6 units, the first of stride 2          256x14x14
stage4  3 units, the first of stride 2          512x7x7
pool    mean of each map                        512
head    dense                                   1000
======  ======================================  ==========

Parameter names are torchvision's. Paddings are symmetric, as in the paper's own Caffe files. The shortcut is a
projection (1x1 convolution) where the shape changes, the paper's option B. Weights are He's (fan-out).
"""

from dataclasses import dataclass

from torch import Tensor, nn

from striate.layers import Conv2d, GlobalAveragePool, MaxPool2d, he_fan_out_
from striate.models.network import FeatureInfo, Network


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: so many units, their channels, and the stride of the first."""

    units: int
    channels: int
    stride: int


RESNET18 = (Stage(2, 64, 1), Stage(2, 128, 2), Stage(2, 256, 2), Stage(2, 512, 2))
RESNET34 = (Stage(3, 64, 1), Stage(4, 128, 2), Stage(6, 256, 2), Stage(3, 512, 2))


class BasicUnit(nn.Module):
    """Two 3x3 convolutions beside a shortcut (the paper's figure 5, left)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, channels, 3, stride=stride, padding="symmetric", bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = Conv2d(channels, channels, 3, padding="symmetric", bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet(Network):
    """A residual network from its table of stages: ``[N, C, H, W]``, any size, to ``[N, classes]``.

    ``zero_init_last_norm`` lets every unit begin as the identity (its branch is scaled by zero), which helps long
    training at high rates (Goyal and others, "Accurate, large minibatch SGD", 2017, section 5.1).
    """

    def __init__(
        self, stages: tuple[Stage, ...], *, classes: int, in_channels: int, zero_init_last_norm: bool = False
    ) -> None:
        names = [f"stage{number}" for number in range(1, len(stages) + 1)]
        layers: dict[str, tuple[str, ...]] = {name: (f"layer{number}",) for number, name in enumerate(names, start=1)}
        layers[names[0]] = ("maxpool", "layer1")
        stem = FeatureInfo("stem", 64, 2)
        infos = [stem]
        for name, stage in zip(names, stages, strict=True):
            # The max pool halves the size before the first stage, whose own stride is 1.
            stride = infos[-1].stride * (2 if infos[-1] is stem else stage.stride)
            infos.append(FeatureInfo(name, stage.channels, stride))
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={"stem": ("conv1", "bn1", "relu"), **layers, "pool": ("avgpool",), "head": ("fc",)},
            feature_info=tuple(infos),
        )
        self.conv1 = Conv2d(in_channels, 64, 7, stride=2, padding="symmetric", bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = MaxPool2d(3, stride=2, padding="symmetric")
        channels = 64
        for number, stage in enumerate(stages, start=1):
            units = []
            for unit in range(stage.units):
                units.append(BasicUnit(channels, stage.channels, stage.stride if unit == 0 else 1))
                channels = stage.channels
            self.add_module(f"layer{number}", nn.Sequential(*units))
        self.avgpool = GlobalAveragePool()
        self.fc = nn.Linear(channels, classes)
        self._initialise(zero_init_last_norm)

    def _initialise(self, zero_init_last_norm: bool) -> None:
        for module in self.modules():
            if isinstance(module, Conv2d):
                he_fan_out_(module.weight)
            elif isinstance(module, BasicUnit) and zero_init_last_norm:
                nn.init.zeros_(module.bn2.weight)


def resnet18(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-18: 11,689,512 parameters for 1,000 classes."""
    return ResNet(RESNET18, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm)


def resnet34(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-34: 21,797,672 parameters for 1,000 classes."""
    return ResNet(RESNET34, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm)
