"""torchvision's networks that are numbered sequences, and timm's VGG, which has torchvision's convolutions.

``features.3.squeeze.weight`` says where a layer stands in a sequence. Numbers rise as the layers run, with gaps for
those that hold no numbers, so the n-th layer of theirs is the n-th of ours: AlexNet, VGG with and without batch norm,
SqueezeNet, and MobileNetV2 in all of its numberings. There the newer torchvision nests each convolution with its norm
(``features.2.conv.0.1.weight``), the older one does not (``features.2.conv.1.weight``), and the file from which that
came, tonylins', ends in ``conv.0``, ``conv.1`` and ``classifier``.

timm's VGG has convolutions where others have the first two dense layers; their numbers are the same in another shape.
"""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from striate.weights.foreign import Foreign
from striate.weights.schemes.renaming import layers_in_order, move_epsilons, renamed, reshaped, units_in_order

if TYPE_CHECKING:
    from striate.models.network import Network

_EPSILON = 1e-5  # torch's own

# The words in these names, as their layers run: sequences, what is inside a fire module, and the dense layers.
_WORDS = (
    *("features", "conv", "squeeze", "expand1x1", "expand3x3"),
    *("pre_logits", "classifier", "head", "fc1", "fc2", "fc"),
)


def convert(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """The n-th layer of the file, by its number, as the n-th of the network."""
    places = {layer: _place(layer) for layer in {name.rpartition(".")[0] for name in foreign.arrays}}
    theirs = sorted((place, layer) for layer, place in places.items() if place is not None)
    table = dict(zip([layer for _, layer in theirs], layers_in_order(network), strict=False))
    wanted = network.state_dict()
    tensors = renamed(foreign, network, table.get)
    tensors = {name: reshaped(tensor, wanted[name]) if name in wanted else tensor for name, tensor in tensors.items()}
    return move_epsilons(network, tensors, theirs=_EPSILON)


def numbered_names(network: "Network") -> dict[str, str]:
    """Our layers by the names that they have in today's torchvision."""
    layers = layers_in_order(network)
    if units := units_in_order(network):  # MobileNetV2
        theirs = ["features.0.0", "features.0.1"]
        for number, unit in enumerate(units, start=1):
            last = sum(layer.startswith(f"{unit}.") for layer in layers) // 2 - 1
            inner = [f"{pair}.{part}" for pair in range(last) for part in (0, 1)] + [str(last), str(last + 1)]
            theirs += [f"features.{number}.conv.{each}" for each in inner]
        theirs += [f"features.{len(units) + 1}.0", f"features.{len(units) + 1}.1", "classifier.1"]
        return dict(zip(layers, theirs, strict=True))
    table: dict[str, str] = {}
    part, number = "features", 0
    for path in (path for block in network.blocks.values() for path in block):
        module = network.get_submodule(path)
        if part == "features" and isinstance(module, nn.Flatten | nn.Dropout):
            part, number = "classifier", 0
        if isinstance(module, nn.Flatten):
            continue
        inside = (layer for layer in layers if layer == path or layer.startswith(f"{path}."))
        table |= {layer: f"{part}.{number}{layer.removeprefix(path)}" for layer in inside}
        number += 2 if isinstance(module, nn.BatchNorm2d) else 1  # ours has its activation in it
    return table


def _place(layer: str) -> tuple[tuple[int, int], ...] | None:
    """Where a layer runs, as something that can be sorted; None for a name that is no such place.

    Example:
        >>> _place("features.10.conv.2") > _place("features.9.conv.3")
        True
    """
    parts = []
    for part in layer.split("."):
        if part in _WORDS:
            parts.append((1, _WORDS.index(part)))
        elif part.isascii() and part.isdigit() and len(part) <= 4:
            parts.append((0, int(part)))
        else:
            return None
    return tuple(parts)
