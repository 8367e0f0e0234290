"""The names of timm, and those of Cadene's pretrained-models, from which timm has its older networks.

- EfficientNet-Lite, MobileNetV1 and V2: as ours, but for ``blocks.0.1``, which is our ``stage1.1``. Of timm's two
  families of EfficientNet-Lite only ``tf_efficientnet_lite`` pads as the original and as ours does;
  ``efficientnet_lite`` has the same names and symmetric paddings, and would lose some points here.
- MobileNetV1: timm's paddings are symmetric, so it is our ``mobilenet_v1_symmetric``.
- ``legacy_seresnet``: the first layers are called ``layer0``, gates ``se_module``, the last layer ``last_linear``.
  timm's newer ``seresnet50`` and larger ones stride in the 3x3 windows and are other networks; its ``seresnet18`` and
  ``seresnet34`` have gates of at least 8 channels where the paper's sixteenth of 64 is 4.
- ``legacy_xception``: as ours. Its pools pad symmetrically, ours SAME; they agree at 295x295, and differ at 299x299 in
  one pool.

The epsilon of batch norms is 1e-5 in all but ``tf_efficientnet_lite``; where ours is another, the norms' numbers are
changed so that evaluation answers the same.
"""

import re
from typing import TYPE_CHECKING

from torch import Tensor

from striate.weights.foreign import Foreign
from striate.weights.schemes.renaming import by_names, layers_in_order, move_epsilons, renamed, same_names

if TYPE_CHECKING:
    from striate.models.network import Network

EPSILON = 1e-5  # torch's own

_CADENE = {"conv1": "layer0.conv1", "bn1": "layer0.bn1", "fc": "last_linear"}


def efficientnet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """``tf_efficientnet_lite``: the epsilon is the original's, which is ours."""
    return by_names(foreign, network, staged_names(network))


def mobilenet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """MobileNetV1 and V2."""
    return move_epsilons(network, efficientnet(foreign, network), theirs=EPSILON)


def legacy_seresnet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """Residual networks with squeeze-and-excitation, of Cadene and of timm's ``legacy`` names."""
    return move_epsilons(network, by_names(foreign, network, cadene_names(network)), theirs=EPSILON)


def legacy_xception(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """Xception of timm's ``legacy`` names, and of Cadene's, whose last layer is called otherwise."""
    ours = {**same_names(network), "last_linear": "fc"}
    return move_epsilons(network, renamed(foreign, network, ours.get), theirs=EPSILON)


def staged_names(network: "Network") -> dict[str, str]:
    """Our layers by timm's names: ``stage1.1`` is ``blocks.0.1``."""
    unit = re.compile(r"stage(\d+)\.")
    return {layer: unit.sub(lambda found: f"blocks.{int(found[1]) - 1}.", layer) for layer in layers_in_order(network)}


def cadene_names(network: "Network") -> dict[str, str]:
    """Our layers by Cadene's names, which timm kept in its ``legacy_seresnet``."""
    return {layer: _CADENE.get(layer, layer.replace(".se.", ".se_module.")) for layer in layers_in_order(network)}
