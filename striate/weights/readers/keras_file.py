"""Weights that Keras wrote, in each of its formats, by one way of naming: ``<layer>/<variable>``.

- ``save_weights`` of Keras 1 and 2, ``.h5``: the attributes ``layer_names`` and ``weight_names`` say what is what.
- Whole models, ``.h5``: the same in the group ``model_weights``; the attribute ``model_config`` describes the layers.
- Keras 3's ``.weights.h5``: groups by class and number (``layers/conv2d_1/vars/0``); newer ones know the layers' names.
- ``.keras``: a zip of such a file and ``config.json``.

Arrays stay in Keras' layouts. The variables are kernel, bias, gamma, beta, moving_mean, moving_variance,
depthwise_kernel and pointwise_kernel; those of layers not known here keep their own name or number. A layer inside a
model inside the model is called by its own name, or by ``<model>/<layer>`` where two models have one of that name.

Facts: ``layers`` (name: its class and, where a description is there, epsilon, padding and data_format), ``order`` (the
layers with arrays, as they run; without a description as the file has them, Keras 3's class by class), ``ignored``
(what the file has beside weights), ``nested`` (the models inside the model), ``model`` and ``input`` (the model's name,
and the shape of one input), ``keras_version``. What is not known is missing.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.errors import WeightsError
from striate.weights.readers import Contents
from striate.weights.readers.hdf5 import (
    DAMAGE,
    LARGEST_TEXT,
    LARGEST_TOTAL,
    MOST_EXPANSION,
    MOST_OBJECTS,
    Hdf5,
    open_hdf5,
)
from striate.weights.readers.keras_config import (
    Layer,
    by_automatic_name,
    class_of,
    facts_of,
    flattened,
    number_of,
    read_config,
    variable_names,
    without_number,
)

KNOWN = {
    *("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"),
    *("depthwise_kernel", "pointwise_kernel"),
}
KERAS_1 = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")


@dataclass(frozen=True, slots=True)
class Entry:
    """One array: the models that its layer is in, the layer's and the variable's name, and the class if it is known."""

    within: tuple[str, ...]
    layer: str
    variable: str
    array: np.ndarray
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What one format gave: the arrays, what was passed over, the description, and who wrote it."""

    container: str
    entries: list[Entry]
    ignored: list[str]
    config: Layer | None
    version: str | None = None


def read(path: Path) -> Contents:
    """Everything in a Keras file that is weights.

    Raises:
        WeightsError: the file is not one that Keras writes, is damaged, or holds what weights never need
            (links, external storage, arrays larger than what is stored of them).
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(b"PK"):
        found = _read_archive(path)
    else:
        with open_hdf5(path, path.stat().st_size) as hdf5:
            found = _read_hdf5(hdf5)
    if not found.entries:
        raise WeightsError("is a Keras file, but holds no weights of layers")
    return _contents(found)


def _read_archive(path: Path) -> Found:
    try:
        with zipfile.ZipFile(path) as archive:
            config = _unpacked(archive, "config.json", LARGEST_TEXT).decode("utf-8")
            weights = _unpacked(archive, "model.weights.h5", LARGEST_TOTAL)
            others = [name for name in archive.namelist() if name.startswith("assets")][:1]
        described = read_config(config)
    except (zipfile.BadZipFile, zlib.error, struct.error, *DAMAGE) as error:
        raise WeightsError(f"is not a .keras file, or is damaged ({error})") from error
    with open_hdf5(BytesIO(weights), len(weights)) as hdf5:
        found = _read_numbered(hdf5, described)
    return Found("Keras 3 archive", found.entries, [*others, *found.ignored], described)


def _unpacked(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if name not in archive.namelist():
        raise WeightsError(f"is a zip archive without {name}; a .keras file has config.json and model.weights.h5")
    entry = archive.getinfo(name)
    if entry.file_size > limit or entry.file_size > MOST_EXPANSION * max(entry.compress_size, 1):
        raise WeightsError(
            f"is refused: its {name} unpacks from {entry.compress_size} to {entry.file_size} bytes; no weights do"
        )
    with archive.open(entry) as member:
        return member.read(limit)


def _read_hdf5(hdf5: Hdf5) -> Found:
    root = hdf5.root
    if hdf5.texts(root, "layer_names") is not None:
        return _read_named(hdf5, root, "Keras weights, HDF5", None)
    inner = hdf5.member(root, "model_weights")
    if inner is not None and hdf5.texts(inner, "layer_names") is not None:
        text = hdf5.text(root, "model_config")
        found = _read_named(hdf5, inner, "Keras model, HDF5", None if text is None else read_config(text))
        others = [name for name in root if name != "model_weights"]
        return Found(found.container, found.entries, [*others, *found.ignored], found.config, found.version)
    if any(container in root for container in CONTAINERS):
        return _read_numbered(hdf5, None)
    raise WeightsError(
        f"is an HDF5 file, but none of Keras: it has {', '.join(list(root)[:6]) or 'nothing'}; expected the attribute "
        "layer_names, or a group model_weights or layers"
    )


# Keras 1 and 2, and whole models in HDF5: names are listed


def _read_named(hdf5: Hdf5, root: Any, container: str, config: Layer | None) -> Found:
    entries: list[Entry] = []
    names = hdf5.texts(root, "layer_names") or []
    described = {layer.name: layer for layer in config.inner} if config else {}
    seen: set[str] = set()
    for name in names:
        group = hdf5.member(root, name)
        if group is None:
            raise hdf5.refuse(name, "is listed in layer_names, but is not there")
        listed = hdf5.texts(group, "weight_names") or []
        parents = {_split(weight, name)[0] for weight in listed}
        for weight in listed:
            place = f"{name}/{weight}"
            dataset = hdf5.member(group, weight)
            if dataset is None or place in seen or len(seen) > MOST_OBJECTS:
                raise hdf5.refuse(place, "is listed in weight_names, but is not there, or is there twice")
            seen.add(place)
            parent, variable = _split(weight, name)
            within, layer = _place(name, parent, len(parents) > 1, described.get(name))
            entries.append(Entry(within, layer, variable, hdf5.array(dataset)))
    top = hdf5.member(root, "top_level_model_weights")
    ignored = ["top_level_model_weights"] if top is not None and hdf5.texts(top, "weight_names") else []
    return Found(container, entries, ignored, config, hdf5.text(root, "keras_version"))


def _split(weight: str, group: str) -> tuple[str, str]:
    """A listed name to its layer's path and the variable: ``conv1/kernel:0`` of Keras 2, ``conv1_W_1:0`` of Keras 1."""
    path, _, last = re.sub(r":\d+$", "", weight).rpartition("/")
    if last in KNOWN:
        return path, last
    if last.startswith(f"{group}_"):
        last = last.removeprefix(f"{group}_")
    plain = without_number(last)  # a name that was taken gets a number
    if plain in KNOWN or plain in KERAS_1:
        return path, KERAS_1.get(plain, plain)
    return path, last


def _place(group: str, parent: str, several: bool, layer: Layer | None) -> tuple[tuple[str, ...], str]:
    """The models that a layer is in, and its name, from its group and its path there.

    A group with several paths is a model; where the model is described, the path ends in the name of one of its layers.
    """
    if layer is not None and not layer.inner:
        return (), group
    if layer is not None:
        inner = {one.name: (group, *within) for within, one in flattened(layer.inner)}
        steps = parent.split("/")
        ends = ("/".join(steps[start:]) for start in range(len(steps)))
        known = next((end for end in ends if end in inner), None)
        return (inner[known], known) if known is not None else ((group,), parent)
    return ((group,), parent.removeprefix(f"{group}/")) if several else ((), group)


# Keras 3: layers by class and number, variables by number


def _read_numbered(hdf5: Hdf5, config: Layer | None) -> Found:
    container = next((name for name in CONTAINERS if name in hdf5.root), None)
    if container is None:
        raise WeightsError("has no group of layers; of Keras' models, sequences and graphs of layers are read")
    ignored = [name for name in hdf5.names(hdf5.root) if name not in (container, "vars")]
    variables: dict[tuple[str, ...], list[tuple[str, Any]]] = {}
    for path, dataset in hdf5.datasets(hdf5.member(hdf5.root, container)):
        parts = path.split("/")
        if len(parts) < 3 or parts[-2] != "vars" or "seed_generator" in parts:  # the state of dropout's dice
            ignored.append(f"{container}/{path}")
            continue
        steps = tuple(part for part in parts[:-2] if part not in CONTAINERS)
        variables.setdefault(steps, []).append((parts[-1], dataset))
    layers = _matched(list(variables), config.inner if config else ())
    entries: list[Entry] = []
    for steps in sorted(variables, key=lambda steps: [(without_number(step), number_of(step)) for step in steps]):
        within, layer, kind = layers[steps]
        numbered = sorted(variables[steps], key=lambda one: (len(one[0]), one[0]))
        told = hdf5.text(numbered[0][1].parent, "name")
        name = told or (layer.name if layer else steps[-1])
        names = variable_names(kind, layer.settings if layer else {}, len(numbered))
        for variable, (_, dataset) in zip(names, numbered, strict=True):
            entries.append(Entry(within, name, variable, hdf5.array(dataset), kind))
    return Found("Keras 3 weights, HDF5", entries, ignored, config)


Matched = tuple[tuple[str, ...], Layer | None, str]


def _matched(paths: Sequence[tuple[str, ...]], layers: Sequence[Layer]) -> dict[tuple[str, ...], Matched]:
    """For each path of automatic names: the models it leads through, the layer if it is described, and its class."""
    found: dict[tuple[str, ...], Matched] = {}
    table = by_automatic_name(list(dict.fromkeys(path[0] for path in paths)), layers)
    for first in dict.fromkeys(path[0] for path in paths):
        layer = table.get(first)
        deeper = [path[1:] for path in paths if path[0] == first and len(path) > 1]
        name = layer.name if layer else first
        inner = _matched(deeper, layer.inner if layer else ()) if deeper else {}
        found.update({(first, *path): ((name, *within), one, kind) for path, (within, one, kind) in inner.items()})
        if (first,) in paths:
            found[(first,)] = ((), layer, layer.kind if layer else class_of(first))
    return found


# What all formats have in common


def _contents(found: Found) -> Contents:
    described = list(flattened(found.config.inner)) if found.config else []
    places: dict[str, set[tuple[str, ...]]] = {}
    for within, name in [(entry.within, entry.layer) for entry in found.entries]:
        places.setdefault(name, set()).add(within)

    def unique(within: tuple[str, ...], name: str) -> str:
        return "/".join((*within, name)) if len(places.get(name, ())) > 1 else name

    layers = {unique(within, layer.name): facts_of(layer) for within, layer in described}
    arrays: dict[str, dict[str, np.ndarray]] = {name: {} for name in layers}
    for entry in found.entries:
        name = unique(entry.within, entry.layer)
        if entry.variable in arrays.setdefault(name, {}):
            raise WeightsError(f"has two arrays {name}/{entry.variable}")
        arrays[name][entry.variable] = entry.array
        if entry.kind:
            layers.setdefault(name, {"class": entry.kind})
    order = [name for name, variables in arrays.items() if variables]
    facts: dict[str, Any] = {
        "layers": layers,
        "order": order,
        "ignored": found.ignored,
        "nested": sorted({"/".join(entry.within) for entry in found.entries if entry.within}),
    }
    facts.update(_about(found))
    named = {f"{name}/{variable}": array for name in order for variable, array in arrays[name].items()}
    return Contents(found.container, named, facts)


def _about(found: Found) -> Iterator[tuple[str, Any]]:
    if found.version is not None:
        yield "keras_version", found.version
    if found.config is None:
        return
    yield "model", found.config.name
    for _, layer in flattened(found.config.inner):
        shape = layer.settings.get("batch_shape", layer.settings.get("batch_input_shape"))
        if isinstance(shape, list) and len(shape) > 1 and all(isinstance(n, int | None) for n in shape):
            yield "input", shape[1:]
            return
