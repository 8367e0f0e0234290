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
from striate.weights.schemes.renaming import move_epsilons, renamed

if TYPE_CHECKING:
    from striate.models.network import Network

_EPSILON = 1e-5  # torch's own

_UNIT = re.compile(r"blocks\.(\d{1,4})\.(\d{1,4})\.(conv_pw|conv_dw|conv_pwl|bn1|bn2|bn3)")
_OUTSIDE = frozenset(("conv_stem", "bn1", "conv_head", "bn2", "classifier"))

_CADENE = {"layer0.conv1": "conv1", "layer0.bn1": "bn1", "last_linear": "fc"}
_CADENE_UNIT = re.compile(r"(layer[1-4]\.\d{1,4}\.)(se_module\.)?(conv[123]|bn[123]|downsample\.[01]|fc[12])")


def efficientnet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """``tf_efficientnet_lite``: the epsilon is the original's, which is ours."""
    return renamed(foreign, network, _staged)


def mobilenet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """MobileNetV1 and V2."""
    return move_epsilons(network, renamed(foreign, network, _staged), theirs=_EPSILON)


def legacy_seresnet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """Residual networks with squeeze-and-excitation, of Cadene and of timm's ``legacy`` names."""
    return move_epsilons(network, renamed(foreign, network, _without_modules), theirs=_EPSILON)


def legacy_xception(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """Xception of Cadene and of timm's ``legacy`` names."""
    tensors = renamed(foreign, network, lambda layer: _CADENE.get(layer, layer))
    return move_epsilons(network, tensors, theirs=_EPSILON)


def _staged(layer: str) -> str | None:
    if layer in _OUTSIDE:
        return layer
    found = _UNIT.fullmatch(layer)
    return f"stage{int(found[1]) + 1}.{int(found[2])}.{found[3]}" if found else None


def _without_modules(layer: str) -> str | None:
    if layer in _CADENE:
        return _CADENE[layer]
    found = _CADENE_UNIT.fullmatch(layer)
    if found is None or bool(found[2]) != found[3].startswith("fc"):
        return None
    return f"{found[1]}{'se.' if found[2] else ''}{found[3]}"
