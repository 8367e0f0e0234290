"""The names of lukemelas' EfficientNet-PyTorch and of its Lite offspring: ``_blocks.2._depthwise_conv.weight``."""

from typing import TYPE_CHECKING

from torch import Tensor

from striate.weights.foreign import Foreign
from striate.weights.schemes.renaming import by_names, units_in_order

if TYPE_CHECKING:
    from striate.models.network import Network

_OUTSIDE = {
    "conv_stem": "_conv_stem",
    "bn1": "_bn0",
    "conv_head": "_conv_head",
    "bn2": "_bn1",
    "classifier": "_fc",
}
# A unit that does not expand, and one that does.
_SEPARABLE = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
_INVERTED = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}


def convert(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """The epsilon of batch norms is the same."""
    return by_names(foreign, network, names(network))


def names(network: "Network") -> dict[str, str]:
    """Our layers by the names that they have there, where all units stand in one list; ours stand in stages."""
    table = dict(_OUTSIDE)
    for number, unit in enumerate(units_in_order(network)):
        parts = _SEPARABLE if unit.startswith("stage1.") else _INVERTED
        table |= {f"{unit}.{ours}": f"_blocks.{number}.{theirs}" for ours, theirs in parts.items()}
    return table
