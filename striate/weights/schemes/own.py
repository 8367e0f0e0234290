"""Our own names, which are also those of other people's networks.

torchvision's and timm's residual networks, torchvision's GoogLeNet and akamaster's residual networks for CIFAR have the
names that ours have. (akamaster's files put ``module.`` before every name; the reader takes it away.)

torchvision's published GoogLeNet weights want pictures of mean 0.5 and deviation 0.5: the model in torchvision changes
its input from ImageNet's mean and deviation to those before the first layer, and ours does not.
"""

from typing import TYPE_CHECKING

from torch import Tensor

from striate.weights.foreign import Foreign
from striate.weights.schemes.renaming import renamed

if TYPE_CHECKING:
    from striate.models.network import Network


def convert(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """Every array under its own name."""
    return renamed(foreign, network, lambda layer: layer)
