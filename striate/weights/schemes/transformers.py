"""The names of Hugging Face transformers' ``ResNetForImageClassification``.

Its units stride in the 3x3 window, as torchvision's; with ``downsample_in_bottleneck`` in its configuration, which its
published networks leave off, they stride in the first 1x1, and the network is one of our ``_2015`` forms.
"""

import re
from typing import TYPE_CHECKING

from torch import Tensor

from striate.weights.foreign import Foreign
from striate.weights.schemes.renaming import renamed

if TYPE_CHECKING:
    from striate.models.network import Network

_UNIT = re.compile(
    r"(?:resnet\.)?encoder\.stages\.(\d{1,4})\.layers\.(\d{1,4})\."
    r"(?:layer\.(\d{1,4})|shortcut)\.(convolution|normalization)"
)
_OUTSIDE = re.compile(r"(?:resnet\.)?embedder\.embedder\.(convolution|normalization)")


def convert(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """``resnet.encoder.stages.0.layers.1.layer.2.convolution`` is our ``layer1.1.conv3``."""
    return renamed(foreign, network, _rename)


def _rename(layer: str) -> str | None:
    if layer == "classifier.1":
        return "fc"
    if found := _OUTSIDE.fullmatch(layer):
        return "conv1" if found[1] == "convolution" else "bn1"
    if (found := _UNIT.fullmatch(layer)) is None:
        return None
    stage, unit, position, kind = found.groups()
    if position is None:
        last = "downsample.0" if kind == "convolution" else "downsample.1"
    else:
        last = f"{'conv' if kind == 'convolution' else 'bn'}{int(position) + 1}"
    return f"layer{int(stage) + 1}.{int(unit)}.{last}"
