"""darknet's layers, which have no names: the n-th of the file is the n-th of the network.

That is enough for networks that are one chain of layers, such as the VGG-16 of darknet's ``vgg-16.cfg``; its
``alexnet.cfg`` has one tower of the paper's widths, which no network here has. A convolution pairs with a convolution
and a dense layer with a dense layer; from the first pair that does not, all layers keep their names.

Batch norms belong to their convolution there. Their epsilon is 1e-5, as a square root's summand, in darknet's code for
graphics processors, with which such files are trained; its code for processors adds 1e-6 to the root instead.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from striate.weights.foreign import Foreign
from striate.weights.schemes.renaming import layers_in_order, move_epsilons, shared_tensor

if TYPE_CHECKING:
    from striate.models.network import Network

_EPSILON = 1e-5

_NORM = {"bias": "bias", "gamma": "weight", "mean": "running_mean", "variance": "running_var"}


def convert(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """Layers paired in their order, with the batch norm behind a convolution where the file has one."""
    ours = _layers(network)
    tensors: dict[str, Tensor] = {}
    paired = True
    for position, (layer, arrays) in enumerate(foreign.layers().items()):
        paired = paired and position < len(ours) and ours[position].takes(arrays)
        for leaf, array in arrays.items():
            place = ours[position].name(leaf, "gamma" in arrays) if paired else None
            tensors[place or f"{layer}/{leaf}"] = shared_tensor(array)
        if paired and "gamma" in arrays and ours[position].biased:
            # A bias behind which a mean is taken away is none; darknet leaves it out.
            tensors[f"{ours[position].path}.bias"] = torch.zeros(arrays["weight"].shape[0])
    return move_epsilons(network, tensors, theirs=_EPSILON)


class _Layer:
    """A convolution or dense layer of ours, with the batch norm behind it."""

    def __init__(self, path: str, module: nn.Module, norm: str | None) -> None:
        self.path, self.norm = path, norm
        self.dimensions = module.get_parameter("weight").dim()
        self.biased = getattr(module, "bias", None) is not None

    def takes(self, arrays: dict[str, np.ndarray]) -> bool:
        """Whether a layer of the file is of this kind."""
        return "weight" in arrays and arrays["weight"].ndim == self.dimensions

    def name(self, leaf: str, normalised: bool) -> str | None:
        """Our name for an array of the layer; None if there is no place for it."""
        if leaf == "weight":
            return f"{self.path}.weight"
        if not normalised:
            return f"{self.path}.{leaf}" if leaf == "bias" else None
        return None if self.norm is None or leaf not in _NORM else f"{self.norm}.{_NORM[leaf]}"


def _layers(network: "Network") -> list[_Layer]:
    heads = tuple(f"{path}." for path in network.auxiliary.values())
    paths = [path for path in layers_in_order(network) if not path.startswith(heads)]
    found: list[_Layer] = []
    for path, after in zip(paths, [*paths[1:], None], strict=True):
        module = network.get_submodule(path)
        if isinstance(module, nn.BatchNorm2d):
            continue
        behind = None if after is None else network.get_submodule(after)
        found.append(_Layer(path, module, after if isinstance(behind, nn.BatchNorm2d) else None))
    return found
