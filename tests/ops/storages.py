"""Which memory a step takes: the storages that are born in it, in order, and those that live after it."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from striate.models.network import Network


class Births(TorchDispatchMode):
    """Within this block storages are written down that operations make; ``known`` tensors were there before."""

    def __init__(self, *known: Tensor) -> None:
        super().__init__()
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._born: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(given):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage())._cdata not in self._known:
                # A reference keeps the place in memory from being taken by another storage.
                self._born.setdefault(storage._cdata, (StorageWeakRef(storage), storage.nbytes()))
        return given

    @property
    def sizes(self) -> list[int]:
        """Bytes of all storages in the order in which they were born."""
        return [size for _, size in self._born.values()]

    @property
    def alive(self) -> int:
        """Bytes of those that live."""
        return sum(size for reference, size in self._born.values() if not reference.expired())


def born_in(module: nn.Module, images: Tensor, step: Callable[[], Any]) -> tuple[Births, Any]:
    """What is born in a step of a module, and what the step gave."""
    with Births(images, *module.parameters(), *module.buffers()) as births:
        given = step()
    return births, given


def kept(network: Network, images: Tensor, *, by_blocks: bool = False) -> int:
    """Bytes that a forward pass in bfloat16 leaves behind, with its output; ``by_blocks`` checkpoints each block."""

    def forward() -> Tensor:
        x = images
        with torch.autocast("cpu", torch.bfloat16):
            for name in network.blocks:
                block = (lambda x, name=name: network.run(x, name, name)) if by_blocks else None
                x = checkpoint(block, x, use_reentrant=False) if block else network.run(x, name, name)
        return x

    births, output = born_in(network, images, forward)
    assert output.requires_grad  # and lives until now
    return births.alive


def faked(mode: FakeTensorMode, module: nn.Module) -> Any:
    """A copy of a module with the shapes of its tensors and none of their numbers."""
    module = copy.deepcopy(module)
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            tensors.update({name: mode.from_tensor(each) for name, each in tensors.items() if each is not None})
    return module
