"""GoogLeNet with batch norm and squeeze-and-excitation: each module weighs its maps before it hands them on.

Hu, Shen and Sun, "Squeeze-and-excitation networks", 2018, section 3.3 and figure 2. The table of layers is that of
`striate.models.googlenet`, in the form of ``googlenet_bn``; behind the four branches of each of the nine modules stand
gates in 0..1, computed from the means of all its maps by way of 16 times fewer channels, both layers with biases
(``inception3a.se.fc1`` and ``.fc2``). There are no auxiliary heads.

This is not the authors' own SE-BN-Inception: that one has the ten other modules of "Batch normalization" (Ioffe and
Szegedy, 2015), 11,931,622 parameters, and its weights do not fit here.
"""

from dataclasses import replace

from striate.models.googlenet import BATCH_NORM, GoogLeNet

SQUEEZE_EXCITE = replace(BATCH_NORM, spans=None, reduction=16)


def se_inception(*, classes: int, in_channels: int) -> GoogLeNet:
    """GoogLeNet with batch norm and squeeze-and-excitation: 7,105,007 parameters for 1,000 classes."""
    return GoogLeNet(SQUEEZE_EXCITE, classes=classes, in_channels=in_channels)
