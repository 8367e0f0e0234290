"""Putting tensors into a network, with every one of them accounted for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.base.errors import WeightsError
from striate.data.names import listed

if TYPE_CHECKING:
    from torch import Tensor

    from striate.models.network import Network

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Misfits:
    """The tensors that keep a set from fitting a network, by name; misshapen ones with both shapes.

    It is false if there are none; its text has a phrase for each kind.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)

    def __str__(self) -> str:
        kinds = (("missing", self.missing), ("unexpected", self.unexpected), ("misshapen", self.misshapen))
        return "; ".join(f"{len(names)} {kind} ({listed(names, most=_SHOWN)})" for kind, names in kinds if names)


def load_state(network: "Network", tensors: "Mapping[str, Tensor]", *, source: str, skip_head: bool = False) -> None:
    """Copy ``tensors`` (by the network's own names) into the network; all of them fit, or nothing is changed.

    ``skip_head`` leaves the heads (auxiliary ones too) as they are, whatever ``tensors`` hold for them. ``source`` is
    what messages call the tensors. Batch norm's counters ``num_batches_tracked``, which old files lack, may be missing.

    Raises:
        WeightsError: tensors are missing, unexpected or misshapen; lists them.
    """
    skipped = head_parameters(network) if skip_head else ()
    if problems := misfits(network, tensors, skip=skipped):
        raise WeightsError(f"{source} does not fit {type(network).__name__}: {problems}")
    own = network.state_dict()
    network.load_state_dict(
        {name: tensors[name] if name in tensors and name not in skipped else own[name] for name in own}
    )


def misfits(network: "Network", tensors: "Mapping[str, Tensor]", *, skip: Collection[str] = ()) -> Misfits:
    """What keeps ``tensors`` from fitting the network, whatever there is for the names in ``skip``."""
    wanted = network.state_dict()
    expected = {name: tensor.shape for name, tensor in wanted.items() if name not in skip}
    return Misfits(
        tuple(name for name in expected if name not in tensors and not name.endswith(".num_batches_tracked")),
        tuple(name for name in tensors if name not in wanted),
        tuple(
            f"{name} is {list(tensors[name].shape)}, expected {list(shape)}"
            for name, shape in expected.items()
            if name in tensors and tensors[name].shape != shape
        ),
    )


def head_parameters(network: "Network") -> tuple[str, ...]:
    """The names of the tensors whose shape depends on the classes: those of ``head`` and of auxiliary heads."""
    paths = tuple(f"{path}." for path in (*network.blocks["head"], *network.auxiliary.values()))
    return tuple(name for name in network.state_dict() if name.startswith(paths))


def as_window(tensor: "Tensor", wanted: "Tensor") -> "Tensor":
    """A dense layer's weight ``[out, C * h * w]`` as that of the convolution ``[out, C, h, w]`` that stands for it.

    All others are as they are; so is what has other numbers, of which misfits are said.
    """
    dense = tensor.dim() == 2 and wanted.dim() == 4 and tensor.numel() == wanted.numel()
    return tensor.reshape(wanted.shape) if dense else tensor


def fit_channels(network: "Network", tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The tensors with the first convolution made for as many channels as the network's reads, if it is for others.

    Each channel gets the sum over the old ones, divided by their new number: a picture whose channels are all alike
    gives the same answer as before, so a grey one what it would give as RGB.
    """
    name = f"{next(iter(network.blocks.values()))[0]}.weight"
    wanted = network.state_dict().get(name)
    if wanted is None or name not in tensors or tensors[name].dim() != 4 or tensors[name].shape[1] == wanted.shape[1]:
        return dict(tensors)
    channels = wanted.shape[1]
    together = tensors[name].sum(dim=1, keepdim=True) / channels
    return {**tensors, name: together.repeat(1, channels, 1, 1)}
