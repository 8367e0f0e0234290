"""A network by name, with weights."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from striate.base.errors import ModelError, WeightsError
from striate.models.table import architecture, build
from striate.weights.class_lists import class_list
from striate.weights.fitting import fit_channels, head_parameters, load_state
from striate.weights.pretrained import PRETRAINED, by_name, none_of

if TYPE_CHECKING:
    from torch import Tensor

    from striate.models.network import Network

__all__ = ["create", "load_state"]


def create(
    name: str,
    *,
    classes: int | Sequence[str] = 1000,
    weights: str | Path | None = None,
    in_channels: int | None = None,
    seed: int | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> "Network":
    """Build a network for ``classes`` (a number, or their names), with fresh or given weights.

    ``weights`` is None (fresh ones), ``"pretrained"``, or a ``.safetensors`` file with the network's own tensors, such
    as a model file. The head is fresh when the weights were made for other classes: another number, or names that
    are not the pretrained ones. When they were made for other channels than ``in_channels`` (None takes the network's
    usual ones), each channel of the first convolution gets the sum over the old ones, divided by the new number of
    channels. ``seed`` fixes what is fresh; see `striate.models.build`. ``on_notice`` is told before pretrained weights
    are fetched that are not here yet.

    Raises:
        ModelError: no network has this name, or an argument is out of range.
        WeightsError: there are no such weights, or they do not fit; every tensor at fault is listed.

    Example:
        >>> network = create("efficientnet_lite0", classes=["daisy", "tulip"], weights="pretrained")
        >>> network.classes
        2
    """
    architecture(name)  # a wrong name is said first
    if isinstance(classes, str):
        raise ModelError(f"classes is {classes!r}, a single word; give the number of classes or a list of their names")
    number = classes if isinstance(classes, int) else len(classes)
    network = build(name, classes=number, in_channels=in_channels, seed=seed)
    if weights is None:
        return network
    if weights == "pretrained":
        tensors, source = _pretrained(name, on_notice), f"the pretrained weights of {name}"
        theirs = class_list(PRETRAINED[name].classes)
        same = number == len(theirs) if isinstance(classes, int) else tuple(classes) in (theirs.names, theirs.ids)
        fresh_head = not same
    else:
        tensors, source = _from_file(Path(weights)), str(weights)
        wanted = network.state_dict()
        fresh_head = any(n in tensors and tensors[n].shape != wanted[n].shape for n in head_parameters(network))
    load_state(network, fit_channels(network, tensors), source=source, skip_head=fresh_head)
    return network


def _pretrained(name: str, on_notice: Callable[[str], None] | None) -> "Mapping[str, Tensor]":
    if name not in by_name():
        raise WeightsError(f"{none_of(name)}. Start from fresh weights (None), or give a .safetensors file")
    from striate.weights.conversion import pretrained_tensors

    return pretrained_tensors(name, on_notice=on_notice)


def _from_file(path: Path) -> "Mapping[str, Tensor]":
    from safetensors import SafetensorError

    from striate.weights.tensorfiles import open_tensors

    if path.suffix != ".safetensors":
        raise WeightsError(
            f"{path}: weights are read from .safetensors files; use weights='pretrained' for published ones, and "
            "striate import for files of other frameworks"
        )
    try:
        with open_tensors(path) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{path}: is not a safetensors file, or is truncated ({error})") from error
