"""Weights in memory, both ways: anybody's names into a network that is there, and a network's by anybody's names."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.base.errors import WeightsError
from striate.base.nearest import did_you_mean
from striate.models.table import MODELS
from striate.weights.fitting import fit_channels, load_state
from striate.weights.foreign import Foreign, Origin
from striate.weights.readers.choosing import stripped
from striate.weights.schemes import answered_classes, place
from striate.weights.schemes.placing import MEMORY
from striate.weights.schemes.table import NAMINGS, function_at

if TYPE_CHECKING:
    from torch import Tensor

    from striate.models.network import Network


def load_into(network: "Network", state_dict: Mapping[str, Any], *, skip_head: bool = False) -> str:
    """Copy weights by torchvision's, timm's, Keras' or others' names into a network, as `import_weights` knows them.

    ``state_dict`` maps their names to tensors or arrays in their layout: a network's ``state_dict()``, what a file
    holds, or of a Keras model ``{v.path: v.numpy() for v in model.weights}``. All of them fit, or nothing is changed.
    Words that scripts put before every name are taken off, an auxiliary head that is missing stays as it is, and a
    first convolution for other channels is changed as `create` does. ``skip_head`` leaves the layers that answer as
    they are, for other classes. Returns whose names they are, a key of `striate.weights.schemes.SCHEMES`.

    Raises:
        WeightsError: something is missing, left over or misshapen, and listed; or these are weights of another network.

    Example:
        >>> from striate.models import build
        >>> load_into(build("lenet5"), {f"module.{name}": each for name, each in build("lenet5").state_dict().items()})
        'own'
    """
    from striate.weights.layouts import as_tensor

    name, tensors, scheme = network.built_as, _arrays(state_dict, network), "own"
    if name is None or name not in MODELS:  # a network that is no row of the table has its own names alone
        tensors = {key: as_tensor(array) for key, array in tensors.items()}
    else:
        tensors, scheme = _by_our_names(_foreign(tensors, Path("the weights given")), name, network, skip_head)
    load_state(network, fit_channels(network, tensors), source="the weights given", skip_head=skip_head)
    return scheme


def as_named(network: "Network", library: str) -> "dict[str, Tensor]":
    """The network's tensors by the names, and in the layout, that the same network has in a library.

    ``library`` is "torchvision", "timm", "transformers" or "lukemelas"; its own ``load_state_dict(strict=True)`` takes
    them. The tensors are the network's own memory where nothing about them changes. `load_into` takes them back, to the
    bit; but in timm's MobileNetV1 and Xception batch norms have another epsilon, and only what evaluation answers is
    the same.

    Raises:
        WeightsError: the library is not known, or has no network that answers as this one.

    Example:
        >>> from striate.models import build
        >>> list(as_named(build("squeezenet1_1"), "torchvision"))[:3]
        ['features.0.weight', 'features.0.bias', 'features.3.squeeze.weight']
    """
    name = network.built_as
    rows = {library: row for library, each in NAMINGS.items() for row in each if name in row.models}
    if library not in rows:
        has = f"; these have it: {', '.join(rows)}" if rows else ""
        known = (
            "" if library in NAMINGS else f"{did_you_mean(library, NAMINGS)} Written are {', '.join(NAMINGS)}; Keras',"
        )
        known += " Caffe's and darknet's formats are only read" if known else ""
        raise WeightsError(
            f"{name or type(network).__name__} cannot be written by {library}'s names: no network there answers as "
            f"this one{has}.{known}"
        )
    row = rows[library]
    theirs = function_at(row.names)(network)
    tensors = network.state_dict()
    if row.epsilon is not None:
        from striate.weights.schemes.renaming import move_epsilons

        tensors = move_epsilons(network, tensors, theirs=row.epsilon, back=True)
    split = {key: key.rpartition(".") for key in tensors}
    return {f"{theirs[layer]}.{leaf}": tensors[key] for key, (layer, _, leaf) in split.items()}


def by_our_names(
    tensors: Mapping[str, Any], name: str, network: "Network", source: Path
) -> "tuple[dict[str, Tensor], bool]":
    """The tensors of a file by our names, and whether those of the head are for other classes, or not there.

    Raises:
        WeightsError: as `load_into`.
    """
    foreign = _foreign(_arrays(tensors, network), source)
    skip_head = answered_classes(foreign, name) != network.classes
    return _by_our_names(foreign, name, network, skip_head)[0], skip_head


def _by_our_names(foreign: Foreign, name: str, network: "Network", skip_head: bool) -> "tuple[dict[str, Tensor], str]":
    placed = place(foreign, name, classes=network.classes, fresh_head=skip_head)
    if placed.model != name:
        raise WeightsError(
            f"{foreign.path}: {name} in {foreign.origin} files is {placed.model} here, which answers otherwise; load "
            f"them into that: striate.create({placed.model!r})"
        )
    own = network.state_dict()
    return placed.tensors | {key: own[key] for key in placed.fresh}, placed.scheme


def _foreign(arrays: Mapping[str, np.ndarray], source: Path) -> Foreign:
    return Foreign(path=source, origin=_origin(arrays), container=MEMORY, arrays=arrays, sha256="")


def _origin(names: Iterable[str]) -> Origin:
    """Whose format has such names."""
    leaves = {name.rpartition("/")[2] for name in names if "/" in name}
    if not leaves:
        return "torch"
    if all(leaf.isdecimal() for leaf in leaves):
        return "caffe"
    return "darknet" if leaves <= {"weight", "bias", "gamma", "mean", "variance"} else "keras"


def _arrays(state_dict: object, network: "Network") -> dict[str, Any]:
    """The tensors as arrays of the kinds that readers give; what stands before all names goes if it is not ours."""
    import torch

    if not isinstance(state_dict, Mapping):
        what = type(state_dict).__name__
        raise WeightsError(f"the weights given are a {what}; expected names and tensors, as module.state_dict() has")
    found = {}
    for name, value in state_dict.items():
        try:
            tensor = value.detach() if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
            kind = torch.float32 if tensor.is_floating_point() else torch.int64
            found[re.sub(r":\d+$", "", name)] = tensor.to("cpu", kind).contiguous().numpy()
        except (TypeError, ValueError, RuntimeError) as error:
            what = f"{name!r} is a {type(value).__name__}"
            raise WeightsError(f"the weights given: {what}; expected a name and a tensor or an array") from error
    return found if found.keys() <= network.state_dict().keys() else stripped(found)[1]
