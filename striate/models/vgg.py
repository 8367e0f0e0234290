"""VGG: nothing but 3x3 convolutions and 2x2 pools, 11 to 19 layers deep.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014, table 1:
configurations A, B, D and E, here by their number of layers. VGG-16 (D) at 224; of the others only the numbers of
convolutions differ:

======  ==========================================  ===========
block   what                                        shape
======  ==========================================  ===========
stem    2 convolutions 3x3 (64x224x224); max pool   64x112x112
stage1  2 convolutions 3x3 (128x112x112); max pool  128x56x56
stage2  3 convolutions 3x3 (256x56x56); max pool    256x28x28
stage3  3 convolutions 3x3 (512x28x28); max pool    512x14x14
stage4  3 convolutions 3x3 (512x14x14); max pool    512x7x7
dense   fc6, dropout, fc7                           4096
head    dropout, fc8                                1000
======  ==========================================  ===========

ReLU after every layer but the last, dropout after it in fc6 and fc7. The forms with batch norm have one behind each
convolution, before its ReLU; they are not in the paper, and their convolutions keep their biases, as in the weights
that are about.

Weights are He's (fan-out) in the convolutions and of the paper's deviation 0.01 in the dense layers; biases are zero.
The paper's 0.01 everywhere leaves a hundred-millionth of the signal after the last convolution of VGG-19: it had to
copy the first layers of a trained configuration A into the deeper ones (section 3.1). He and others, "Delving deep
into rectifiers", 2015, section 2.2, made that unnecessary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from striate.layers import BatchNormAct2d, Conv2d, MaxPool2d, begin_he_
from striate.models import dense_layers as dense
from striate.models.network import FeatureInfo, Network
from striate.ops.axes import Paddings


@dataclass(frozen=True, slots=True)
class Row:
    """One block: so many 3x3 convolutions to so many channels, then a max pool 2x2."""

    convolutions: int
    channels: int


VGG11 = (Row(1, 64), Row(1, 128), Row(2, 256), Row(2, 512), Row(2, 512))
VGG13 = (Row(2, 64), Row(2, 128), Row(2, 256), Row(2, 512), Row(2, 512))
VGG16 = (Row(2, 64), Row(2, 128), Row(3, 256), Row(3, 512), Row(3, 512))
VGG19 = (Row(2, 64), Row(2, 128), Row(4, 256), Row(4, 512), Row(4, 512))


@dataclass(frozen=True, slots=True)
class _Form:
    """The paddings of the first window, of the pools, and of fc6, None where it reads maps of one size alone."""

    border: Paddings = "symmetric"
    pool: Paddings = "valid"
    sliding: Paddings | None = None


DenseLayers = Literal["whole", "padded", "same"]
"""``whole``: as published, for maps of 7x7 alone. The others slide over maps of any size: ``padded`` as in the files of
fully convolutional networks, with 100 pixels around each picture and pools that round up, ``same`` with SAME."""

_FORMS: Mapping[DenseLayers, _Form] = {
    "whole": _Form(),
    "padded": _Form(border=100, pool="ceil", sliding="valid"),
    "same": _Form(pool="same", sliding="same"),
}


class VGG(Network):
    """A VGG network from its rows: ``[N, C, 224, 224]`` to ``[N, classes]``, maps of them if ``dense_layers`` slide."""

    def __init__(
        self,
        rows: tuple[Row, ...],
        dropout: float,
        dense_layers: DenseLayers,
        *,
        batch_norm: bool,
        classes: int,
        in_channels: int,
    ) -> None:
        form = _FORMS[dense_layers]
        blocks: dict[str, tuple[str, ...]] = {}
        infos = []
        for number, row in enumerate(rows, start=1):
            name = f"stage{number - 1}" if number > 1 else "stem"
            paths: tuple[str, ...] = ()
            for position in range(1, row.convolutions + 1):
                paths += (f"conv{number}_{position}",)
                paths += (f"bn{number}_{position}",) if batch_norm else ("relu",)
            blocks[name] = (*paths, f"pool{number}")
            infos.append(FeatureInfo(name, row.channels, 2**number))
        if form.sliding is not None:
            infos[-1] = FeatureInfo("dense", dense.HIDDEN, infos[-1].stride)
        super().__init__(
            classes=classes,
            in_channels=in_channels,
            size=(224, 224) if form.sliding is None else None,
            blocks={
                **blocks,
                "dense": (*(() if form.sliding else ("flatten",)), "fc6", "relu", "drop6", "fc7", "relu"),
                "head": ("drop7", "fc8"),
            },
            feature_info=tuple(infos),
        )
        channels = in_channels
        for number, row in enumerate(rows, start=1):
            for position in range(1, row.convolutions + 1):
                padding = form.border if (number, position) == (1, 1) else "symmetric"
                self.add_module(f"conv{number}_{position}", Conv2d(channels, row.channels, 3, padding=padding))
                if batch_norm:
                    self.add_module(f"bn{number}_{position}", BatchNormAct2d(row.channels, act="relu"))
                channels = row.channels
            self.add_module(f"pool{number}", MaxPool2d(2, padding=form.pool))
        self.relu = nn.ReLU(inplace=True)
        if form.sliding is None:
            dense.add_dense_layers(self, channels * 7 * 7, classes=classes, dropout=dropout)
        else:
            dense.add_sliding_layers(self, channels, 7, classes=classes, dropout=dropout, padding=form.sliding)
        begin_he_(self)


def vgg11(*, classes: int, in_channels: int, dropout: float = 0.5, dense_layers: DenseLayers = "whole") -> VGG:
    """VGG-11, configuration A: 132,863,336 parameters for 1,000 classes."""
    return VGG(VGG11, dropout, dense_layers, batch_norm=False, classes=classes, in_channels=in_channels)


def vgg13(*, classes: int, in_channels: int, dropout: float = 0.5, dense_layers: DenseLayers = "whole") -> VGG:
    """VGG-13, configuration B: 133,047,848 parameters for 1,000 classes."""
    return VGG(VGG13, dropout, dense_layers, batch_norm=False, classes=classes, in_channels=in_channels)


def vgg16(*, classes: int, in_channels: int, dropout: float = 0.5, dense_layers: DenseLayers = "whole") -> VGG:
    """VGG-16, configuration D: 138,357,544 parameters for 1,000 classes."""
    return VGG(VGG16, dropout, dense_layers, batch_norm=False, classes=classes, in_channels=in_channels)


def vgg19(*, classes: int, in_channels: int, dropout: float = 0.5, dense_layers: DenseLayers = "whole") -> VGG:
    """VGG-19, configuration E: 143,667,240 parameters for 1,000 classes."""
    return VGG(VGG19, dropout, dense_layers, batch_norm=False, classes=classes, in_channels=in_channels)


def vgg11_bn(*, classes: int, in_channels: int, dropout: float = 0.5, dense_layers: DenseLayers = "whole") -> VGG:
    """VGG-11 with batch norm: 132,868,840 parameters for 1,000 classes."""
    return VGG(VGG11, dropout, dense_layers, batch_norm=True, classes=classes, in_channels=in_channels)


def vgg13_bn(*, classes: int, in_channels: int, dropout: float = 0.5, dense_layers: DenseLayers = "whole") -> VGG:
    """VGG-13 with batch norm: 133,053,736 parameters for 1,000 classes."""
    return VGG(VGG13, dropout, dense_layers, batch_norm=True, classes=classes, in_channels=in_channels)


def vgg16_bn(*, classes: int, in_channels: int, dropout: float = 0.5, dense_layers: DenseLayers = "whole") -> VGG:
    """VGG-16 with batch norm: 138,365,992 parameters for 1,000 classes."""
    return VGG(VGG16, dropout, dense_layers, batch_norm=True, classes=classes, in_channels=in_channels)


def vgg19_bn(*, classes: int, in_channels: int, dropout: float = 0.5, dense_layers: DenseLayers = "whole") -> VGG:
    """VGG-19 with batch norm: 143,678,248 parameters for 1,000 classes."""
    return VGG(VGG19, dropout, dense_layers, batch_norm=True, classes=classes, in_channels=in_channels)
