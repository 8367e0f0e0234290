"""What schemes of names share: arrays under new names with none of them lost, and our layers in the order they run."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from striate.weights.foreign import Foreign
from striate.weights.layouts import as_tensor, move_epsilon

if TYPE_CHECKING:
    from striate.models.network import Network


def renamed(foreign: Foreign, network: "Network", rename: Callable[[str], str | None]) -> dict[str, Tensor]:
    """Every array as a tensor; ``rename`` takes the layer's name, before the last dot, and gives ours.

    ``rename`` gives None for a layer that the scheme does not know. Such an array keeps its name; if one of ours
    happens to be the same, it is marked, and so is a second array for one place: neither may pass for a fit.
    """
    wanted = network.state_dict().keys()
    tensors: dict[str, Tensor] = {}
    for name, array in foreign.arrays.items():
        layer, dot, leaf = name.rpartition(".")
        ours = rename(layer)
        if ours is None:
            new = f"{name} (not of this scheme)" if name in wanted else name
        else:
            new = f"{ours}{dot}{leaf}"
            new = f"{name} (a second {new})" if new in tensors else new
        tensors[new] = shared_tensor(array)
    return tensors


def by_names(foreign: Foreign, network: "Network", names: Mapping[str, str]) -> dict[str, Tensor]:
    """Every array as a tensor; ``names`` has the names of our layers in the file."""
    ours = {theirs: layer for layer, theirs in names.items()}
    return renamed(foreign, network, ours.get)


def shared_tensor(array: np.ndarray) -> Tensor:
    """The array as a tensor over the same memory where that is possible: networks may have half a gigabyte."""
    if array.flags.writeable and array.flags.c_contiguous:
        return torch.from_numpy(array)
    return as_tensor(array)


def layers_in_order(network: "Network") -> list[str]:
    """The paths of all layers that hold numbers, in the order in which the network runs them; auxiliary heads last.

    Inside a unit the order is that of its definition, which is the order in which our units run.
    """
    paths = [path for block in network.blocks.values() for path in block] + list(network.auxiliary.values())
    found: dict[str, None] = {}  # in order, and a path that is run twice (an activation) only once
    for path in paths:
        for inner, module in network.get_submodule(path).named_modules(prefix=path):
            if any(True for _ in _own_numbers(module)):
                found[inner] = None
    return list(found)


def same_names(network: "Network") -> dict[str, str]:
    """Each of our layers under its own name: so many libraries call theirs."""
    return {layer: layer for layer in layers_in_order(network)}


def units_in_order(network: "Network") -> list[str]:
    """The paths of the units of the modules ``stage1``, ``stage2`` and so on, in their order."""
    return [
        f"{name}.{number}"
        for name, stage in network.named_children()
        if name.startswith("stage") and isinstance(stage, nn.Sequential)
        for number in range(len(stage))
    ]


def reshaped(tensor: Tensor, wanted: Tensor) -> Tensor:
    """The same numbers in the wanted shape, where that is the same layer written another way.

    Axes of one before the wanted ones, of which old Caffe files have up to three, are dropped. A dense layer behind
    maps is the same as a convolution over all of their places: both order their inputs by channel, row, column.
    """
    while tensor.dim() > wanted.dim() and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.numel() == wanted.numel() and tensor.shape[:1] == wanted.shape[:1]:
        return tensor.reshape(wanted.shape)
    return tensor


def move_epsilons(
    network: "Network", tensors: dict[str, Tensor], *, theirs: float, back: bool = False
) -> dict[str, Tensor]:
    """The tensors with batch norms moved from their epsilon to that of our layers; evaluation answers the same.

    ``back`` moves from ours to theirs.
    """
    moved = dict(tensors)
    for path, module in network.named_modules():
        if not isinstance(module, nn.BatchNorm2d) or module.eps == theirs:
            continue
        gamma, variance = tensors.get(f"{path}.weight"), tensors.get(f"{path}.running_var")
        if gamma is None or variance is None or gamma.shape != variance.shape:
            continue  # whoever compares says what is missing
        start, end = (module.eps, theirs) if back else (theirs, module.eps)
        moved[f"{path}.weight"], moved[f"{path}.running_var"] = move_epsilon(gamma, variance, theirs=start, ours=end)
    return moved


def _own_numbers(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)
