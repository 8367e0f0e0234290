"""The self-describing model file: safetensors whose metadata say what the network is and how it answers.

The metadata have one key, ``striate``, a JSON object; see `Description`. Nothing is ever unpickled.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, isfinite

from striate.base.atomic import replace_file
from striate.base.errors import ModelError, ModelFileError, StriateError
from striate.base.fields import annotated, plain, refuse_unknown, validated
from striate.base.nearest import did_you_mean
from striate.data.names import counted, listed
from striate.data.records import Classes
from striate.data.settings import USUAL, DataSettings
from striate.models import build
from striate.models.network import Network
from striate.models.table import architecture, is_model
from striate.pictures.preprocess import Preprocess
from striate.weights.class_lists import class_list
from striate.weights.create import create, load_state
from striate.weights.pretrained import PRETRAINED, by_name, none_of
from striate.weights.tensorfiles import open_tensors

FORMAT = 1
"""The version that this code writes; every older one is read for ever."""

KEY = "striate"

NUMBERS = {"float32", "float64", "float16", "bfloat16", "int64"}
"""What the tensors of a model file may be; int64 counts the steps of norms."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a model file says of its weights.

    ``arguments`` are those of the network's builder, ``task_arguments`` those of the task, and ``data`` say how the
    pictures were read that it was trained on.
    ``provenance`` holds, where they are known, ``data`` (their fingerprint), ``split``, ``split_seed``,
    ``fixed_splits`` (whether folders decided it instead), ``folds``, ``fold``, ``recipe`` (its hash), ``version`` and
    ``licence`` (of the weights it started from); of weights that were imported also ``origin``, ``container``,
    ``scheme``, ``source`` (the file's name), ``source_sha256`` and ``fresh`` (the tensors that are random, since the
    file had none for them).
    """

    model: str
    arguments: Mapping[str, Any]
    task: str
    classes: Classes
    preprocess: Preprocess
    task_arguments: Mapping[str, Any] = field(default_factory=dict)
    data: DataSettings = USUAL
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
            metadata=metadata_of(description),
        )


def metadata_of(description: Description, *, prefix: str = "") -> dict[str, str]:
    """The metadata that make a safetensors file a model file; its weights are the tensors whose names have the prefix.

    So a checkpoint, which holds other tensors too, answers like a model file.
    """
    return {KEY: json.dumps(_as_json(description) | ({"prefix": prefix} if prefix else {}))}


def describe(path: Path) -> Description:
    """Read only what a model file says of itself.

    Raises:
        ModelFileError: not a model file of ours, damaged, or newer than this version.
    """
    return _described(path)[0]


def _described(path: Path) -> tuple[Description, str]:
    """What a model file says of itself, and what the names of its weights begin with."""
    _refuse_foreign(path)
    try:
        with open_tensors(path) as file:
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
    description, prefix = _described(path)
    try:
        with open_tensors(path) as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 - not a mapping
            tensors = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None
    if strange := {str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()} - NUMBERS:
        raise ModelFileError(f"{path}: is damaged: it holds {listed(sorted(strange))}, where weights are floats")
    if broken := [name for name, tensor in tensors.items() if not isfinite(tensor).all()]:
        raise ModelFileError(f"{path}: is damaged: {listed(broken)} hold numbers that are not finite")
    further = dict(description.arguments)
    classes, channels = further.pop("classes"), further.pop("in_channels")
    try:
        network = build(description.model, classes=classes, in_channels=channels, arguments=further)
    except ModelError as error:
        raise ModelFileError(f"{path}: its description does not hold together: {error}") from None
    if network.size is not None and network.size != description.preprocess.size:
        raise ModelFileError(
            f"{path}: its description does not hold together: pictures of {description.preprocess.size} for a network "
            f"of {network.size}"
        )
    load_state(network, tensors, source=str(path))
    return network.eval(), description


def open_model(reference: str | Path, *, on_notice: Callable[[str], None] | None = None) -> tuple[Network, Description]:
    """A model file by its path, or the pretrained network of a name such as ``efficientnet_lite0``.

    ``on_notice`` is told before pretrained weights are fetched.

    Raises:
        ModelFileError: neither a file nor such a name.
        WeightsError: the pretrained weights are not here and cannot be fetched.
    """
    name = str(reference)
    if path := _file_meant(Path(reference)):
        return load(path)
    if name in by_name():
        row = PRETRAINED[name]
        classes = class_list(row.classes)
        network = create(name, classes=len(classes), weights="pretrained", on_notice=on_notice)
        return network.eval(), Description(
            model=name,
            arguments={"classes": len(classes), "in_channels": row.preprocess.count},
            task=architecture(name).task,
            classes=classes,
            preprocess=row.preprocess,
            provenance={"origin": row.origin, "licence": row.licence, "source_sha256": row.sha256},
        )
    if is_model(name):
        raise ModelFileError(none_of(name))
    raise ModelFileError(
        f"{name}: there is no such file, and no pretrained network of that name.{did_you_mean(name, by_name())} "
        f"Pretrained: {', '.join(by_name())}"
    )


def _file_meant(path: Path) -> Path | None:
    """The model file that a path means: itself, or the one in a run's folder; None if it must be a network's name."""
    try:
        if not S_ISDIR(path.stat().st_mode):
            return path
        if (best := path / "model.safetensors").is_file():
            return best
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read as a model file: {error.strerror}") from None
    if is_model(str(path)):
        return None
    raise ModelFileError(f"{path}: is a folder without {best.name}; expected a model file, or the folder of a run")


def _as_json(description: Description) -> dict[str, Any]:
    classes = description.classes
    return {
        "format": FORMAT,
        "model": {"name": description.model, "arguments": dict(description.arguments)},
        "task": {"name": description.task, "arguments": dict(description.task_arguments)},
        "classes": {"names": list(classes.names), "ids": list(classes.ids) if classes.ids else None},
        "preprocess": description.preprocess.as_dict(),
        "data": plain(description.data),
        "calibration": description.calibration,
        "provenance": description.provenance,
    }


def _from_json(path: Path, text: str) -> tuple[Description, str]:
    try:
        values = json.loads(text)
        if type(values["format"]) is not int or values["format"] < 1:
            raise TypeError(f"its format is {values['format']!r}")
        if values["format"] <= FORMAT:
            description = _description(values)
            if contradiction := _contradiction(description):
                raise ModelFileError(contradiction)
            prefix = values.get("prefix", "")
            if not isinstance(prefix, str):
                raise TypeError(f"its prefix is {prefix!r}, not a text")
            return description, prefix
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise ModelFileError(f"{path}: its description is damaged ({type(error).__name__}: {error})") from None
    except StriateError as error:
        raise ModelFileError(f"{path}: its description does not hold together: {error}") from None
    raise ModelFileError(
        f"{path}: has format {values['format']}, written by a newer Striate; this version reads formats up to "
        f"{FORMAT}. Upgrade with: pip install --upgrade striate"
    )


def _description(values: dict[str, Any]) -> Description:
    names, ids = values["classes"]["names"], values["classes"]["ids"]
    if not isinstance(values["model"]["name"], str):
        raise TypeError(f"the network's name is {values['model']['name']!r}, not a text")
    if not isinstance(names, list):
        raise TypeError(f"the names of the classes are {names!r}, not a list")
    settings = values.get("data", {})  # which the first files did not have
    refuse_unknown(settings, annotated(DataSettings), "data")
    return Description(
        model=values["model"]["name"],
        arguments=dict(values["model"]["arguments"]),
        task=values["task"]["name"],
        classes=Classes(tuple(names), tuple(ids) if ids else None),
        preprocess=Preprocess.from_dict(values["preprocess"]),
        task_arguments=dict(values["task"]["arguments"]),
        data=validated(DataSettings, settings, "data"),
        calibration=values["calibration"],
        provenance=dict(values["provenance"]),
    )


def _contradiction(description: Description) -> str | None:
    """What in a description cannot be, in words, or None."""
    classes, arguments, preprocess = description.classes, description.arguments, description.preprocess
    architecture(description.model)
    if not all(type(arguments.get(name)) is int for name in ("classes", "in_channels")):
        return f"the network's arguments are {arguments}; expected whole numbers for classes and in_channels"
    if not all(isinstance(text, str) for text in (description.task, *classes.names, *(classes.ids or ()))):
        return "the task and the names and ids of classes must be texts"
    if len(classes) != arguments["classes"]:
        return f"{counted(len(classes), 'class name')} for a network of {arguments['classes']} classes"
    if preprocess.count != arguments["in_channels"]:
        return f"pictures of {preprocess.count} channels for a network of {arguments['in_channels']}"
    return _lost_split(description.provenance)


def _lost_split(provenance: dict[str, Any]) -> str | None:
    """What is missing to split the data again as the run did, in words, or None."""
    if "data" not in provenance:
        return None
    kinds = {"split": list, "split_seed": int, "folds": int}
    wrong = [name for name, kind in kinds.items() if type(provenance.get(name)) is not kind]
    fold = provenance.get("fold")
    if not wrong and fold is not None and not (type(fold) is int and 1 <= fold <= provenance["folds"]):
        wrong = ["fold"]
    if not wrong and not _are_shares(provenance["split"]):
        wrong = ["split"]
    return f"the provenance has data, but no right {listed(wrong)}" if wrong else None


def _are_shares(split: list[Any]) -> bool:
    """Whether a run can have been split so: three shares of 1, with some to train and to validate with."""
    numbers = len(split) == 3 and all(type(share) in (int, float) and 0 <= share <= 1 for share in split)
    return numbers and split[0] > 0 and split[1] > 0 and abs(sum(split) - 1) < 1e-6


def _refuse_foreign(path: Path) -> None:
    """Say what a file is that is not safetensors, by its first bytes."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ModelFileError(f"{path}: is not a file; expected a model file, or the folder of a run")
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read as a model file: {error.strerror}") from None
    if not start:
        raise ModelFileError(f"{path}: is empty, not a model file")
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")):
        raise ModelFileError(
            f"{path}: is a PyTorch file or another archive, not a model file of Striate (a .safetensors with a "
            f"description)"
        )
    if start.startswith(b"\x89HDF"):
        raise ModelFileError(f"{path}: is a Keras (HDF5) file, not a model file of Striate")


def _damaged(path: Path, error: Exception) -> ModelFileError:
    return ModelFileError(f"{path}: is not a safetensors file, or is truncated or damaged ({error})")
