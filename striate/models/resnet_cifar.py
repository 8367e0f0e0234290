"""Residual networks for CIFAR-10's small pictures.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, section 4.2. Of 6n + 2 layers, for n = 3
(ResNet-20) at 32; n is 5, 7, 9 and 18 for ResNet-32, 44, 56 and 110:

======  =====================================  ========
block   what                                   shape
======  =====================================  ========
stem    convolution 3x3                        16x32x32
stage1  3 units of two 3x3                     16x32x32
stage2  3 units of two 3x3, first of stride 2  32x16x16
stage3  3 units of two 3x3, first of stride 2  64x8x8
pool    mean of each map                       64
head    dense                                  10
======  =====================================  ========

Every shortcut is the identity, the paper's option A: where the shape changes it takes every second pixel and begins
and ends its channels with zeros, so that only convolutions, norms and the dense layer have parameters. The paper does
not say where the zeros go; half before and half after is how the weights that are about were trained.

Weights are He's (fan-out); the dense layer's deviation is 0.01, so that all classes start alike.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, GlobalAveragePool, he_fan_out_
from striate.models.network import FeatureInfo, Network


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the channels of its units, and the stride of the first."""

    channels: int
    stride: int


STAGES = (Stage(16, 1), Stage(32, 2), Stage(64, 2))


class Unit(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride, self.in_channels = stride, in_channels
        # Zero channels before and after the shortcut's own.
        self.before = (channels - in_channels) // 2
        self.conv1 = Conv2d(in_channels, channels, 3, stride=stride, padding="symmetric", bias=False)
        self.bn1 = BatchNormAct2d(channels, act="relu")
        self.conv2 = Conv2d(channels, channels, 3, padding="symmetric", bias=False)
        self.bn2 = BatchNormAct2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H / stride, W / stride]``, rounded up."""
        shortcut = x[:, :, :: self.stride, :: self.stride]
        y = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        # Adding to the channels in the middle is adding zeros to the others, and copies nothing.
        y.narrow(1, self.before, self.in_channels).add_(shortcut)
        return y.relu_()


class ResNetCifar(Network):
    """A residual network of ``6 * units + 2`` layers: ``[N, C, H, W]``, any size, to ``[N, classes]``.

    ``zero_init_last_norm`` lets every unit begin as the identity (its branch is scaled by zero), which helps long
    training at high rates (Goyal and others, "Accurate, large minibatch SGD", 2017, section 5.1).
    """

    def __init__(self, units: int, *, classes: int, in_channels: int, zero_init_last_norm: bool) -> None:
        first, second, third = (stage.channels for stage in STAGES)
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={
                "stem": ("conv1", "bn1"),
                "stage1": ("layer1",),
                "stage2": ("layer2",),
                "stage3": ("layer3",),
                "pool": ("avgpool",),
                "head": ("linear",),
            },
            feature_info=(
                FeatureInfo("stage1", first, 1),
                FeatureInfo("stage2", second, 2),
                FeatureInfo("stage3", third, 4),
            ),
        )
        self.conv1 = Conv2d(in_channels, first, 3, padding="symmetric", bias=False)
        self.bn1 = BatchNormAct2d(first, act="relu")
        channels = first
        for number, stage in enumerate(STAGES, start=1):
            layer = nn.Sequential()
            for unit in range(units):
                layer.append(Unit(channels, stage.channels, stage.stride if unit == 0 else 1))
                channels = stage.channels
            self.add_module(f"layer{number}", layer)
        self.avgpool = GlobalAveragePool()
        self.linear = nn.Linear(channels, classes)
        self._initialise(zero_init_last_norm)

    def _initialise(self, zero_init_last_norm: bool) -> None:
        for module in self.modules():
            if isinstance(module, Conv2d):
                he_fan_out_(module.weight)
            elif isinstance(module, Unit) and zero_init_last_norm:
                nn.init.zeros_(module.bn2.weight)
        nn.init.normal_(self.linear.weight, 0.0, 0.01)
        nn.init.zeros_(self.linear.bias)


def resnet20(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNetCifar:
    """ResNet-20: 269,722 parameters for 10 classes."""
    return ResNetCifar(3, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm)


def resnet32(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNetCifar:
    """ResNet-32: 464,154 parameters for 10 classes."""
    return ResNetCifar(5, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm)


def resnet44(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNetCifar:
    """ResNet-44: 658,586 parameters for 10 classes."""
    return ResNetCifar(7, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm)


def resnet56(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNetCifar:
    """ResNet-56: 853,018 parameters for 10 classes."""
    return ResNetCifar(9, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm)


def resnet110(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNetCifar:
    """ResNet-110: 1,727,962 parameters for 10 classes."""
    return ResNetCifar(18, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm)
