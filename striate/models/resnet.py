"""Residual networks.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, table 1, sections 3.3 and 4.1. At 224:

======  ======================================  ===========  ===========
block   what                                    ResNet-34    ResNet-50
======  ======================================  ===========  ===========
stem    convolution 7x7, stride 2               64x112x112   64x112x112
stage1  max pool 3x3, stride 2; 3 units         64x56x56     256x56x56
stage2  4 units, the first of stride 2          128x28x28    512x28x28
stage3  6 units, the first of stride 2          256x14x14    1024x14x14
stage4  3 units, the first of stride 2          512x7x7      2048x7x7
pool    mean of each map                        512          2048
head    dense                                   1000         1000
======  ======================================  ===========  ===========

ResNet-18 has two units in every stage; ResNet-101 and ResNet-152 have 23 and 36 in stage3, and the latter 8 in
stage2. The shortcut is a projection (1x1 convolution) where the shape changes, the paper's option B. Parameter names
are torchvision's. Weights are He's (fan-out), as torchvision's; no convolution has a bias.

Bottleneck units of stride 2 are about in two forms, whose parameters fit each other and whose answers do not. The
``_2015`` networks have the stride in the unit's first 1x1 window, as published and in Caffe's and Keras' weights; the
others have it in the 3x3 window ("v1.5"), as in torchvision's and nearly all younger weights, for 6 % more
multiply-adds in ResNet-50. One place of stage4 sees 483 pixels a side of ResNet-50 as published, and 427 of the
other form.

Paddings are symmetric, the max pool's included, as in torchvision and Keras. The authors' Caffe files pool without
padding and with one more window at the end: their windows start a pixel later in the stem's map, two in the picture.
Their ResNet-50 alone has a bias in the first convolution, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, GlobalAveragePool, MaxPool2d, he_fan_out_
from striate.models.network import FeatureInfo, Network
from striate.ops.axes import Paddings
from striate.ops.batch_normalization import Activation


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: so many units, the channels of their 3x3 windows, and the stride of the first."""

    units: int
    channels: int
    stride: int


@dataclass(frozen=True, slots=True)
class Form:
    """What residual networks differ in, apart from their stages.

    ``stride_first`` puts the stride of a bottleneck unit into its first 1x1 window instead of its 3x3. ``gates`` makes
    from its channels what stands behind the last norm of a branch, before the addition, and ``before_gates`` is the
    activation between that norm and them. ``pool`` is the max pool's
    padding, and ``smallest`` the (height, width) of which that pool still leaves something.
    """

    unit: "type[BasicUnit] | type[BottleneckUnit]"
    stride_first: bool = False
    gates: Callable[[int], nn.Module] | None = None
    before_gates: Activation = "none"
    pool: Paddings = "symmetric"
    smallest: tuple[int, int] = (1, 1)


class BasicUnit(nn.Module):
    """Two 3x3 convolutions beside a shortcut (the paper's figure 5, left)."""

    expansion: ClassVar[int] = 1
    last_norm: ClassVar[str] = "bn2"

    def __init__(self, in_channels: int, channels: int, stride: int, form: Form) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, channels, 3, stride=stride, padding="symmetric", bias=False)
        self.bn1 = BatchNormAct2d(channels, act="relu")
        self.conv2 = Conv2d(channels, channels, 3, padding="symmetric", bias=False)
        self.bn2, self.se = _end(channels, form)
        self.downsample = _projection(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv2(self.bn1(self.conv1(x)))
        if self.se is None:
            return self.bn2(x, residual=shortcut)
        return (self.se(self.bn2(x)) + shortcut).relu_()


class BottleneckUnit(nn.Module):
    """1x1 to few channels, 3x3 there, 1x1 to four times as many; beside a shortcut (figure 5, right)."""

    expansion: ClassVar[int] = 4
    last_norm: ClassVar[str] = "bn3"

    def __init__(self, in_channels: int, channels: int, stride: int, form: Form) -> None:
        super().__init__()
        first, second = (stride, 1) if form.stride_first else (1, stride)
        wide = channels * self.expansion
        self.conv1 = Conv2d(in_channels, channels, 1, stride=first, bias=False)
        self.bn1 = BatchNormAct2d(channels, act="relu")
        self.conv2 = Conv2d(channels, channels, 3, stride=second, padding="symmetric", bias=False)
        self.bn2 = BatchNormAct2d(channels, act="relu")
        self.conv3 = Conv2d(channels, wide, 1, bias=False)
        self.bn3, self.se = _end(wide, form)
        self.downsample = _projection(in_channels, wide, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, 4 * channels, H / stride, W / stride]``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv3(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        if self.se is None:
            return self.bn3(x, residual=shortcut)
        return (self.se(self.bn3(x)) + shortcut).relu_()


def _end(channels: int, form: Form) -> tuple[BatchNormAct2d, nn.Module | None]:
    """The last norm of a branch and its gates; without gates the norm does the addition and the ReLU behind it, too."""
    if form.gates is None:
        return BatchNormAct2d(channels, act="relu"), None
    return BatchNormAct2d(channels, act=form.before_gates), form.gates(channels)


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), BatchNormAct2d(out_channels))


RESNET18 = (Stage(2, 64, 1), Stage(2, 128, 2), Stage(2, 256, 2), Stage(2, 512, 2))
RESNET34 = (Stage(3, 64, 1), Stage(4, 128, 2), Stage(6, 256, 2), Stage(3, 512, 2))
RESNET50 = RESNET34
RESNET101 = (Stage(3, 64, 1), Stage(4, 128, 2), Stage(23, 256, 2), Stage(3, 512, 2))
RESNET152 = (Stage(3, 64, 1), Stage(8, 128, 2), Stage(36, 256, 2), Stage(3, 512, 2))

BASIC = Form(BasicUnit)
BOTTLENECK = Form(BottleneckUnit)
BOTTLENECK_2015 = Form(BottleneckUnit, stride_first=True)


class ResNet(Network):
    """A residual network from its table of stages and its form: ``[N, C, H, W]`` to ``[N, classes]``.

    ``zero_init_last_norm`` lets every unit begin as the identity (its branch is scaled by zero), which helps long
    training at high rates (Goyal and others, "Accurate, large minibatch SGD", 2017, section 5.1).
    """

    def __init__(
        self,
        stages: tuple[Stage, ...],
        form: Form,
        *,
        classes: int,
        in_channels: int,
        zero_init_last_norm: bool = False,
    ) -> None:
        names = [f"stage{number}" for number in range(1, len(stages) + 1)]
        layers: dict[str, tuple[str, ...]] = {name: (f"layer{number}",) for number, name in enumerate(names, start=1)}
        layers[names[0]] = ("maxpool", "layer1")
        stem = FeatureInfo("stem", 64, 2)
        infos = [stem]
        for name, stage in zip(names, stages, strict=True):
            # The max pool halves the size before the first stage, whose own stride is 1.
            stride = infos[-1].stride * (2 if infos[-1] is stem else stage.stride)
            infos.append(FeatureInfo(name, stage.channels * form.unit.expansion, stride))
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={"stem": ("conv1", "bn1"), **layers, "pool": ("avgpool",), "head": ("fc",)},
            feature_info=tuple(infos),
            smallest=form.smallest,
        )
        self.conv1 = Conv2d(in_channels, 64, 7, stride=2, padding="symmetric", bias=False)
        self.bn1 = BatchNormAct2d(64, act="relu")
        self.maxpool = MaxPool2d(3, stride=2, padding=form.pool)
        channels = 64
        for number, stage in enumerate(stages, start=1):
            units = []
            for unit in range(stage.units):
                units.append(form.unit(channels, stage.channels, stage.stride if unit == 0 else 1, form))
                channels = stage.channels * form.unit.expansion
            self.add_module(f"layer{number}", nn.Sequential(*units))
        self.avgpool = GlobalAveragePool()
        self.fc = nn.Linear(channels, classes)
        self._initialise(zero_init_last_norm)

    def _initialise(self, zero_init_last_norm: bool) -> None:
        for module in self.modules():
            if isinstance(module, Conv2d):
                he_fan_out_(module.weight)
                if module.bias is not None:  # those of gates, which so begin at a half
                    nn.init.zeros_(module.bias)
            elif isinstance(module, BasicUnit | BottleneckUnit) and zero_init_last_norm:
                nn.init.zeros_(module.get_parameter(f"{module.last_norm}.weight"))


def resnet18(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-18: 11,689,512 parameters for 1,000 classes."""
    return ResNet(RESNET18, BASIC, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm)


def resnet34(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-34: 21,797,672 parameters for 1,000 classes."""
    return ResNet(RESNET34, BASIC, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm)


def resnet50(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-50 with its strides in the 3x3 windows: 25,557,032 parameters for 1,000 classes."""
    return ResNet(
        RESNET50, BOTTLENECK, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm
    )


def resnet101(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-101 with its strides in the 3x3 windows: 44,549,160 parameters for 1,000 classes."""
    return ResNet(
        RESNET101, BOTTLENECK, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm
    )


def resnet152(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-152 with its strides in the 3x3 windows: 60,192,808 parameters for 1,000 classes."""
    return ResNet(
        RESNET152, BOTTLENECK, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm
    )


def resnet50_2015(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-50 as published, its strides in the first 1x1 windows: 25,557,032 parameters for 1,000 classes."""
    return ResNet(
        RESNET50, BOTTLENECK_2015, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm
    )


def resnet101_2015(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-101 as published, its strides in the first 1x1 windows: 44,549,160 parameters for 1,000 classes."""
    return ResNet(
        RESNET101, BOTTLENECK_2015, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm
    )


def resnet152_2015(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """ResNet-152 as published, its strides in the first 1x1 windows: 60,192,808 parameters for 1,000 classes."""
    return ResNet(
        RESNET152, BOTTLENECK_2015, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm
    )
