"""SqueezeNet: modules that squeeze to few channels before windows look, so that few weights are needed.

Iandola and others, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016, table 1.
At 224, for 1.0 and for the authors' later and cheaper 1.1:

======  ===================================  ===========  =================================  ===========
block   1.0                                  shape        1.1                                shape
======  ===================================  ===========  =================================  ===========
stem    conv1 7x7, stride 2                  96x109x109   conv1 3x3, stride 2                64x111x111
stage1  max pool; fire2, fire3, fire4        256x54x54    max pool; fire2, fire3             128x55x55
stage2  max pool; fire5 to fire8             512x27x27    max pool; fire4, fire5             256x27x27
stage3  max pool; fire9                      512x13x13    max pool; fire6 to fire9           512x13x13
head    dropout, conv10 1x1, ReLU, mean      1000         the same                           1000
======  ===================================  ===========  =================================  ===========

The first convolution is VALID; the pools, 3x3 of stride 2, are Caffe's (``"ceil"``). The authors' own file for 1.0 pads
``conv10`` by 1, which the paper does not say and later ports do not do. Parameter names are theirs: ``conv1``,
``fire2.squeeze``, ``fire2.expand1x1``, ``fire2.expand3x3``, ..., ``conv10``.

Weights are He's, uniform (fan-in), for want of norms; ``conv10`` is normal of deviation 0.01, as in the authors' file.
Its biases begin at 1 and not at 0. The ReLU behind it gives no gradient, ever, to a class whose answers are below zero
for all pictures, and with biases of 0 a tenth of the classes begin so.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from striate.layers import Conv2d, GlobalAveragePool, MaxPool2d
from striate.models.network import FeatureInfo, Network


@dataclass(frozen=True, slots=True)
class Fire:
    """One module: the channels it squeezes to, and those of each of its two expansions."""

    squeeze: int
    expand: int


@dataclass(frozen=True, slots=True)
class Form:
    """One network: channels and window of the first convolution, and the modules behind each of the three pools."""

    channels: int
    window: int
    stages: tuple[tuple[Fire, ...], ...]
    smallest: int


SQUEEZENET1_0 = Form(
    channels=96,
    window=7,
    stages=(
        (Fire(16, 64), Fire(16, 64), Fire(32, 128)),
        (Fire(32, 128), Fire(48, 192), Fire(48, 192), Fire(64, 256)),
        (Fire(64, 256),),
    ),
    smallest=21,
)
SQUEEZENET1_1 = Form(
    channels=64,
    window=3,
    stages=(
        (Fire(16, 64), Fire(16, 64)),
        (Fire(32, 128), Fire(32, 128)),
        (Fire(48, 192), Fire(48, 192), Fire(64, 256), Fire(64, 256)),
    ),
    smallest=17,
)


class FireModule(nn.Module):
    """1x1 to few channels, then 1x1 and 3x3 beside each other (the paper's figure 1)."""

    def __init__(self, in_channels: int, row: Fire) -> None:
        super().__init__()
        self.squeeze = Conv2d(in_channels, row.squeeze, 1)
        self.expand1x1 = Conv2d(row.squeeze, row.expand, 1)
        self.expand3x3 = Conv2d(row.squeeze, row.expand, 3, padding="symmetric")
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, 2 * expand, H, W]``."""
        x = self.relu(self.squeeze(x))
        return self.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


class SqueezeNet(Network):
    """A network from its form: ``[N, C, H, W]`` of its smallest size and more to ``[N, classes]``."""

    def __init__(self, form: Form, *, classes: int, in_channels: int) -> None:
        stages: dict[str, tuple[str, ...]] = {}
        infos = [FeatureInfo("stem", form.channels, 2)]
        before = 1  # the paper counts conv1 and the modules on
        for number, fires in enumerate(form.stages, start=1):
            modules = tuple(f"fire{before + place}" for place in range(1, len(fires) + 1))
            stages[f"stage{number}"] = (f"pool{before}", *modules)
            infos.append(FeatureInfo(f"stage{number}", 2 * fires[-1].expand, 2 * infos[-1].stride))
            before += len(fires)
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            blocks={"stem": ("conv1", "relu1"), **stages, "head": ("dropout", "conv10", "relu10", "global_pool")},
            feature_info=tuple(infos),
            smallest=(form.smallest, form.smallest),
        )
        self.conv1 = Conv2d(in_channels, form.channels, form.window, stride=2)
        self.relu1 = nn.ReLU(inplace=True)
        channels = form.channels
        for paths, fires in zip(stages.values(), form.stages, strict=True):
            self.add_module(paths[0], MaxPool2d(3, stride=2, padding="ceil"))
            for name, fire in zip(paths[1:], fires, strict=True):
                self.add_module(name, FireModule(channels, fire))
                channels = 2 * fire.expand
        self.dropout = nn.Dropout(0.5)
        self.conv10 = Conv2d(channels, classes, 1)
        self.relu10 = nn.ReLU(inplace=True)
        self.global_pool = GlobalAveragePool()
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, Conv2d) and module.bias is not None:
                last = module is self.conv10
                nn.init.constant_(module.bias, 1.0 if last else 0.0)
                if last:
                    nn.init.normal_(module.weight, 0.0, 0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")


def squeezenet1_0(*, classes: int, in_channels: int) -> SqueezeNet:
    """SqueezeNet 1.0: 1,248,424 parameters for 1,000 classes."""
    return SqueezeNet(SQUEEZENET1_0, classes=classes, in_channels=in_channels)


def squeezenet1_1(*, classes: int, in_channels: int) -> SqueezeNet:
    """SqueezeNet 1.1: 1,235,496 parameters for 1,000 classes."""
    return SqueezeNet(SQUEEZENET1_1, classes=classes, in_channels=in_channels)
