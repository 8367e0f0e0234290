"""Putting tensors into a network, with every one of them accounted for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from striate.base.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from striate.models.network import Network

_SHOWN = 6


def load_state(network: "Network", tensors: "Mapping[str, Tensor]", *, source: str, skip_head: bool = False) -> None:
    """Copy ``tensors`` (by the network's own names) into the network; all of them fit, or nothing is changed.

    ``skip_head`` leaves the heads (auxiliary ones too) as they are, whatever ``tensors`` hold for them. ``source`` is
    what messages call the tensors. Batch norm's counters ``num_batches_tracked``, which old files lack, may be missing.

    Raises:
        WeightsError: tensors are missing, unexpected or misshapen; lists them.
    """
    if problems := misfits(network, tensors, skip_head=skip_head):
        raise WeightsError(f"{source} does not fit {type(network).__name__}: {'; '.join(problems)}")
    wanted = network.state_dict()
    network.load_state_dict(
        {**wanted, **{name: tensors[name] for name in _expected(network, skip_head) & set(tensors)}}
    )


def misfits(network: "Network", tensors: "Mapping[str, Tensor]", *, skip_head: bool = False) -> list[str]:
    """What keeps ``tensors`` from fitting the network, a phrase for each kind; empty if they do."""
    wanted = network.state_dict()
    expected = _expected(network, skip_head)
    missing = [name for name in wanted if name in expected and name not in tensors]
    missing = [name for name in missing if not name.endswith(".num_batches_tracked")]
    unexpected = [name for name in tensors if name not in wanted]
    misshapen = [
        f"{name} is {list(tensors[name].shape)}, expected {list(wanted[name].shape)}"
        for name in wanted
        if name in expected and name in tensors and tensors[name].shape != wanted[name].shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
    return [f"{len(names)} {kind} ({_listed(names)})" for kind, names in kinds if names]


def head_parameters(network: "Network") -> tuple[str, ...]:
    """The names of the tensors whose shape depends on the classes: those of ``head`` and of auxiliary heads."""
    paths = tuple(f"{path}." for path in (*network.blocks["head"], *network.auxiliary.values()))
    return tuple(name for name in network.state_dict() if name.startswith(paths))


def fit_channels(network: "Network", tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The tensors with the first convolution made for the network's ``in_channels``, if it is for others.

    Each channel gets the sum over the old ones, divided by their new number: a picture whose channels are all alike
    gives the same answer as before, so a grey one what it would give as RGB.
    """
    name = f"{next(iter(network.blocks.values()))[0]}.weight"
    if name not in tensors or tensors[name].dim() != 4 or tensors[name].shape[1] == network.in_channels:
        return dict(tensors)
    together = tensors[name].sum(dim=1, keepdim=True) / network.in_channels
    return {**tensors, name: together.repeat(1, network.in_channels, 1, 1)}


def _expected(network: "Network", skip_head: bool) -> set[str]:
    return set(network.state_dict()) - set(head_parameters(network) if skip_head else ())


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
