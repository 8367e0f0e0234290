"""A network by name, with weights."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from striate.base.errors import WeightsError
from striate.models.building import NO_ARGUMENTS, build, class_count
from striate.models.table import MODELS, architecture
from striate.weights.class_lists import class_list
from striate.weights.fitting import as_window, fit_channels, head_parameters, load_state, misfits
from striate.weights.memory import by_our_names
from striate.weights.pretrained import has_pretrained, none_of, pretrained_name, pretrained_part

if TYPE_CHECKING:
    from torch import Tensor

    from striate.models.network import Network

__all__ = ["create", "load_state"]


def create(
    name: str,
    *,
    classes: int | Sequence[str] | None = None,
    weights: str | Path | None = None,
    in_channels: int | None = None,
    seed: int | None = None,
    arguments: Mapping[str, Any] = NO_ARGUMENTS,
    on_notice: Callable[[str], None] | None = None,
) -> "Network":
    """Build a network for ``classes`` (a number, or their names; None takes its usual number), with or without weights.

    ``weights`` is None (fresh ones), ``"pretrained"``, or a ``.safetensors`` file with the network's own tensors, such
    as a model file, or with those of the same network of another library (see `load_into`; how pictures must be
    prepared for them, `import_weights` can find out). The head is fresh when the weights were made for other classes:
    another number, or names that are not the pretrained ones. The pretrained weights of a head on a backbone are its
    backbone's, unless there are any of the whole. When weights were made for other channels than ``in_channels`` (None
    takes the network's usual ones), each channel of the first convolution gets the sum over the old ones, divided by
    the new number of channels.
    ``seed`` fixes what is fresh, and ``arguments`` are for the network's builder; see `striate.models.build`.
    ``on_notice`` is told before pretrained weights are fetched that are not here yet.

    Raises:
        ModelError: no network has this name, or an argument is unknown or out of range.
        WeightsError: there are no such weights, or they do not fit; every tensor at fault is listed.

    Example:
        >>> network = create("efficientnet_lite0", classes=["daisy", "tulip"], weights="pretrained")
        >>> network.classes
        2
    """
    row = architecture(name)  # a wrong name is said first
    if classes is None:
        classes = row.classes
    number = class_count(name, classes)
    network = build(name, classes=number, in_channels=in_channels, seed=seed, arguments=arguments)
    if weights is None:
        return network
    if weights == "pretrained":
        tensors, fresh_head = _pretrained(name, network, classes, on_notice)
        source = f"the pretrained weights of {pretrained_name(name)}"
    else:
        tensors, source = _from_file(Path(weights), name), str(weights)
        wanted, head = network.state_dict(), head_parameters(network)
        fresh_head = any(n in tensors and tensors[n].shape != wanted[n].shape for n in head)
        if name in MODELS and misfits(network, fit_channels(network, tensors), skip=head if fresh_head else ()):
            tensors, fresh_head = by_our_names(tensors, name, network, Path(weights))
    load_state(network, fit_channels(network, tensors), source=source, skip_head=fresh_head)
    return network


def _pretrained(
    name: str, network: "Network", classes: int | Sequence[str], on_notice: Callable[[str], None] | None
) -> "tuple[Mapping[str, Tensor], bool]":
    """The published tensors by the network's names, and whether its head is to stay fresh."""
    row = pretrained_part(name)
    if row is None or not has_pretrained(name):
        raise WeightsError(f"{none_of(name)}. Start from fresh weights (None), or give a .safetensors file")
    from striate.weights.conversion import pretrained_tensors

    theirs = pretrained_name(name)
    tensors = pretrained_tensors(theirs, on_notice=on_notice)
    if theirs != name:
        # All of them fit the whole backbone; what stood behind the maps that the head reads is not there any more.
        wanted, inside = network.state_dict(), {f"backbone.{path}": tensor for path, tensor in tensors.items()}
        return {path: as_window(tensor, wanted[path]) for path, tensor in inside.items() if path in wanted}, True
    known = class_list(row.classes)
    same = classes == len(known) if isinstance(classes, int) else tuple(classes) in (known.names, known.ids)
    return tensors, not same


def _from_file(path: Path, model: str) -> "Mapping[str, Tensor]":
    from safetensors import SafetensorError

    from striate.weights.tensorfiles import open_tensors

    if path.suffix != ".safetensors":
        out = path.with_name(f"{path.stem}.safetensors")
        raise WeightsError(
            f"{path}: weights are read from .safetensors files; use weights='pretrained' for published ones. A file of "
            f"another framework becomes one by: striate import {quote(str(path))} --model {model} --out "
            f"{quote(str(out))}"
        )
    try:
        with open_tensors(path) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{path}: is not a safetensors file, or is truncated ({error})") from error
