"""Other people's names for the same tensors, as tables."""

from collections.abc import Mapping, Sequence

from striate.base.errors import WeightsError

# lukemelas' EfficientNet-PyTorch and its Lite offspring, outside the units
_LUKEMELAS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}

# a unit that does not expand, and one that does
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def from_lukemelas(name: str, stages: Sequence[int]) -> str:
    """A tensor's name in lukemelas' EfficientNet-PyTorch to ours (timm's, but for the stages).

    ``stages`` are the numbers of units a stage: there, all units stand in one list.

    Raises:
        WeightsError: the name is none of that scheme's.

    Example:
        >>> from_lukemelas("_blocks.2._bn1.bias", stages=(1, 2))
        'stage2.1.bn2.bias'
    """
    layer, _, rest = name.partition(".")
    if layer != "_blocks":
        return f"{_renamed(layer, _LUKEMELAS, name)}.{rest}"
    index, inner, tensor = rest.split(".", 2)
    position = int(index)
    for stage, units in enumerate(stages, start=1):
        if position < units:
            table = _SEPARABLE if stage == 1 else _INVERTED
            return f"stage{stage}.{position}.{_renamed(inner, table, name)}.{tensor}"
        position -= units
    raise WeightsError(f"the tensor {name} belongs to unit {index}; there are {sum(stages)} units")


def _renamed(layer: str, table: Mapping[str, str], name: str) -> str:
    if layer not in table:
        raise WeightsError(f"the tensor {name} has no place in the network; expected one of {', '.join(table)}")
    return table[layer]
