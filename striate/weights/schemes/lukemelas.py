"""The names of lukemelas' EfficientNet-PyTorch and of its Lite offspring: ``_blocks.2._depthwise_conv.weight``."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from striate.base.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from striate.models.network import Network
    from striate.weights.foreign import Foreign

# Outside the units.
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}

# A unit that does not expand, and one that does.
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}

_UNIT = re.compile(r"_blocks\.(\d{1,4})\.([^.]*)")


def convert(foreign: "Foreign", network: "Network") -> "dict[str, Tensor]":
    """There, all units stand in one list; ours stand in stages. The epsilon of batch norms is the same."""
    from striate.weights.schemes.renaming import renamed

    stages = [len(list(stage.children())) for name, stage in network.named_children() if name.startswith("stage")]

    def rename(layer: str) -> str | None:
        try:
            return from_lukemelas(f"{layer}.weight", stages).removesuffix(".weight")
        except WeightsError:
            return None

    return renamed(foreign, network, rename)


def from_lukemelas(name: str, stages: Sequence[int]) -> str:
    """A tensor's name in lukemelas' EfficientNet-PyTorch to ours (timm's, but for the stages).

    ``stages`` are the numbers of units a stage: there, all units stand in one list.

    Raises:
        WeightsError: the name is none of that scheme's.

    Example:
        >>> from_lukemelas("_blocks.2._bn1.bias", stages=(1, 2))
        'stage2.1.bn2.bias'
    """
    layer, _, tensor = name.rpartition(".")
    if (found := _UNIT.fullmatch(layer)) is None:
        return f"{_renamed(layer, _OUTSIDE, name)}.{tensor}"
    position = int(found[1])
    for stage, units in enumerate(stages, start=1):
        if position < units:
            table = _SEPARABLE if stage == 1 else _INVERTED
            return f"stage{stage}.{position}.{_renamed(found[2], table, name)}.{tensor}"
        position -= units
    raise WeightsError(f"the tensor {name} belongs to unit {found[1]}; there are {sum(stages)} units")


def _renamed(layer: str, table: Mapping[str, str], name: str) -> str:
    if layer not in table:
        raise WeightsError(f"the tensor {name} has no place in the network; expected one of {', '.join(table)}")
    return table[layer]
