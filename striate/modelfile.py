"""The self-describing model file: safetensors whose metadata say what the network is and how it answers.

The metadata have one key, ``striate``, a JSON object; see `Description`. Nothing is ever unpickled.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from striate.base.atomic import replace_file
from striate.base.errors import ModelFileError, StriateError
from striate.base.nearest import did_you_mean
from striate.data.records import Classes
from striate.models import build
from striate.models.network import Network
from striate.models.table import MODELS
from striate.pictures.preprocess import Preprocess
from striate.weights.create import create, load_state
from striate.weights.imagenet import imagenet_classes
from striate.weights.pretrained import PRETRAINED

FORMAT = 1
"""The version that this code writes; every older one is read for ever."""

KEY = "striate"


@dataclass(frozen=True, slots=True)
class Description:
    """What a model file says of its weights.

    ``arguments`` are those of the network's builder. ``provenance`` holds, where they are known, ``data`` (the
    fingerprint of what it was trained on), ``split``, ``split_seed``, ``folds``, ``fold``, ``recipe``
    (its hash), ``version`` and ``licence`` (of the weights it started from).
    """

    model: str
    arguments: dict[str, int]
    task: str
    classes: Classes
    preprocess: Preprocess
    calibration: dict[str, float] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)


def save(path: Path, tensors: dict[str, Tensor], description: Description) -> None:
    """Write a model file atomically.

    Raises:
        OutputError: it cannot be written there.
    """
    with replace_file(path) as partial:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            partial,
            metadata={KEY: json.dumps(_as_json(description))},
        )


def describe(path: Path) -> Description:
    """Read only what a model file says of itself.

    Raises:
        ModelFileError: not a model file of ours, damaged, or newer than this version.
    """
    _refuse_foreign(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None
    if KEY not in metadata:
        raise ModelFileError(
            f"{path}: is a safetensors file, but not a model file of Striate (its metadata have no {KEY!r}), so "
            f"what the network is and how its pictures were prepared is not known"
        )
    return _from_json(path, metadata[KEY])


def load(path: Path) -> tuple[Network, Description]:
    """Read a model file: the network in evaluation mode with its weights, and its description.

    Raises:
        ModelFileError: not a model file of ours, damaged, or newer than this version.
    """
    description = describe(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None
    network = build(description.model, **_build_arguments(path, description))
    load_state(network, tensors, source=str(path))
    return network.eval(), description


def open_model(reference: str | Path) -> tuple[Network, Description]:
    """A model file by its path, or the pretrained network of a name such as ``efficientnet_lite0``.

    Raises:
        ModelFileError: neither a file nor such a name.
    """
    path = Path(reference)
    if path.is_dir() and (path / "model.safetensors").is_file():
        path = path / "model.safetensors"
    if path.exists():
        return load(path)
    name = str(reference)
    if name in PRETRAINED:
        network = create(name, weights="pretrained")
        names, ids = imagenet_classes()
        return network.eval(), Description(
            model=name,
            arguments={"classes": len(names), "in_channels": 3},
            task="classify",
            classes=Classes(names, ids),
            preprocess=PRETRAINED[name].preprocess,
            provenance={"licence": PRETRAINED[name].licence},
        )
    if name in MODELS:
        raise ModelFileError(
            f"there are no pretrained weights of {name!r} here; those there are: {', '.join(PRETRAINED)}"
        )
    raise ModelFileError(
        f"{name}: there is no such file, and no pretrained network of that name.{did_you_mean(name, PRETRAINED)} "
        f"Pretrained: {', '.join(PRETRAINED)}"
    )


def _build_arguments(path: Path, description: Description) -> dict[str, int]:
    known = {"classes", "in_channels"}
    if set(description.arguments) - known or not all(isinstance(v, int) for v in description.arguments.values()):
        raise ModelFileError(
            f"{path}: the arguments of the network are {description.arguments}; known: {sorted(known)}"
        )
    return description.arguments


def _as_json(description: Description) -> dict[str, Any]:
    classes = description.classes
    return {
        "format": FORMAT,
        "model": {"name": description.model, "arguments": description.arguments},
        "task": {"name": description.task, "arguments": {}},
        "classes": {"names": list(classes.names), "ids": list(classes.ids) if classes.ids else None},
        "preprocess": description.preprocess.as_dict(),
        "calibration": description.calibration,
        "provenance": description.provenance,
    }


def _from_json(path: Path, text: str) -> Description:
    try:
        values = json.loads(text)
        if values["format"] > FORMAT:
            raise ModelFileError(
                f"{path}: has format {values['format']}, written by a newer Striate; this version reads formats up to "
                f"{FORMAT}. Upgrade with: pip install --upgrade striate"
            )
        ids = values["classes"]["ids"]
        return Description(
            model=values["model"]["name"],
            arguments=dict(values["model"]["arguments"]),
            task=values["task"]["name"],
            classes=Classes(tuple(values["classes"]["names"]), tuple(ids) if ids else None),
            preprocess=Preprocess.from_dict(values["preprocess"]),
            calibration=values["calibration"],
            provenance=dict(values["provenance"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: its description is damaged ({type(error).__name__}: {error})") from None
    except ModelFileError:
        raise
    except StriateError as error:
        raise ModelFileError(f"{path}: its description does not hold together: {error}") from None


def _refuse_foreign(path: Path) -> None:
    """Say what a file is that is not safetensors, by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read as a model file: {error.strerror}") from None
    if not start:
        raise ModelFileError(f"{path}: is empty, not a model file")
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")):
        raise ModelFileError(
            f"{path}: is a PyTorch file, not a model file of Striate (a .safetensors with a description)"
        )
    if start.startswith(b"\x89HDF"):
        raise ModelFileError(f"{path}: is a Keras (HDF5) file, not a model file of Striate")


def _damaged(path: Path, error: Exception) -> ModelFileError:
    return ModelFileError(f"{path}: is not a safetensors file, or is truncated or damaged ({error})")
