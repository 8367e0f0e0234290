"""The names of Hugging Face transformers' ``ResNetForImageClassification``.

Its units stride in the 3x3 window, as torchvision's; with ``downsample_in_bottleneck`` in its configuration, which its
published networks leave off, they stride in the first 1x1, and the network is one of our ``_2015`` forms.
"""

from typing import TYPE_CHECKING

from torch import Tensor

from striate.weights.foreign import Foreign
from striate.weights.schemes.renaming import layers_in_order, renamed

if TYPE_CHECKING:
    from striate.models.network import Network

_STEM = "resnet.embedder.embedder"
_OUTSIDE = {"conv1": f"{_STEM}.convolution", "bn1": f"{_STEM}.normalization", "fc": "classifier.1"}
_UNIT = {
    **{f"conv{number + 1}": f"layer.{number}.convolution" for number in range(3)},
    **{f"bn{number + 1}": f"layer.{number}.normalization" for number in range(3)},
    "downsample.0": "shortcut.convolution",
    "downsample.1": "shortcut.normalization",
}


def convert(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """``resnet.encoder.stages.0.layers.1.layer.2.convolution`` is our ``layer1.1.conv3``; a body has no ``resnet.``."""
    ours = {theirs: layer for layer, theirs in names(network).items()}
    return renamed(foreign, network, lambda layer: ours.get(layer, ours.get(f"resnet.{layer}")))


def names(network: "Network") -> dict[str, str]:
    """Our layers by the names that they have there."""
    table = dict(_OUTSIDE)
    for layer in layers_in_order(network):
        if layer not in table:
            stage, unit, part = layer.split(".", 2)
            number = int(stage.removeprefix("layer")) - 1
            table[layer] = f"resnet.encoder.stages.{number}.layers.{unit}.{_UNIT[part]}"
    return table
