"""Residual networks with squeeze-and-excitation: every unit weighs its maps before it adds them.

Hu, Shen and Sun, "Squeeze-and-excitation networks", 2018, section 3 and table 1. At 224:

======  ===========================================  ============  ============
block   what                                         SE-ResNet-34  SE-ResNet-50
======  ===========================================  ============  ============
stem    convolution 7x7, stride 2                    64x112x112    64x112x112
stage1  max pool 3x3, stride 2, "ceil"; 3 units      64x56x56      256x56x56
stage2  4 units, the first of stride 2               128x28x28     512x28x28
stage3  6 units, the first of stride 2               256x14x14     1024x14x14
stage4  3 units, the first of stride 2               512x7x7       2048x7x7
pool    mean of each map                             512           2048
head    dense                                        1000          1000
======  ===========================================  ============  ============

At the end of each branch, behind its last norm and before the addition, stand gates in 0..1, computed from the means
of all its maps by way of 16 times fewer channels, both layers with biases: ``layer1.0.se.fc1`` and ``.fc2``, 1x1
convolutions. The other names are torchvision's for ResNet.

SE-ResNet-50, 101 and 152 are the authors' Caffe networks: bottleneck units with the stride in the first 1x1 window,
and a max pool without padding that gives pixels left over a window of their own. The paper has no SE-ResNet-18 and 34.
Ours are those of which there are weights, timm's ``legacy_seresnet18`` and ``legacy_seresnet34``: basic units, the same
pool, and a ReLU between the last norm and the gates, which no other residual network has. (timm's ``seresnet18`` and
``seresnet34`` have wider gates, other pools and no published weights.)

Weights are He's (fan-out), as the authors'; the gates' biases begin at zero, and so the gates at about a half.
"""

from striate.layers import SqueezeExcite
from striate.models.resnet import (
    RESNET18,
    RESNET34,
    RESNET50,
    RESNET101,
    RESNET152,
    BasicUnit,
    BottleneckUnit,
    Form,
    ResNet,
)

REDUCTION = 16


def gates(channels: int) -> SqueezeExcite:
    """What ends the branch of a unit."""
    return SqueezeExcite(channels, channels // REDUCTION)


SE_BASIC = Form(BasicUnit, gates=gates, before_gates="relu", pool="ceil", smallest=(3, 3))
SE_BOTTLENECK = Form(BottleneckUnit, stride_first=True, gates=gates, pool="ceil", smallest=(3, 3))


# No zero_init_last_norm for the two of basic units: a ReLU whose input is zero everywhere hands no gradient back, so
# their branches would stay zero for ever.


def se_resnet18(*, classes: int, in_channels: int) -> ResNet:
    """SE-ResNet-18: 11,778,592 parameters for 1,000 classes."""
    return ResNet(RESNET18, SE_BASIC, classes=classes, in_channels=in_channels)


def se_resnet34(*, classes: int, in_channels: int) -> ResNet:
    """SE-ResNet-34: 21,958,868 parameters for 1,000 classes."""
    return ResNet(RESNET34, SE_BASIC, classes=classes, in_channels=in_channels)


def se_resnet50(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """SE-ResNet-50: 28,088,024 parameters for 1,000 classes."""
    return ResNet(
        RESNET50, SE_BOTTLENECK, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm
    )


def se_resnet101(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """SE-ResNet-101: 49,326,872 parameters for 1,000 classes."""
    return ResNet(
        RESNET101, SE_BOTTLENECK, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm
    )


def se_resnet152(*, classes: int, in_channels: int, zero_init_last_norm: bool = False) -> ResNet:
    """SE-ResNet-152: 66,821,848 parameters for 1,000 classes."""
    return ResNet(
        RESNET152, SE_BOTTLENECK, classes=classes, in_channels=in_channels, zero_init_last_norm=zero_init_last_norm
    )
