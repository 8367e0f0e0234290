"""Arrays in one ``.npz`` file: ``x`` and ``y``, or ``images`` and ``labels``, or Keras' ``x_train``, ``y_train``, ....

Pictures are ``[N, H, W]`` or ``[N, H, W, C]``: uint8, uint16, bool, or floats from 0 to 1. Labels are ``[N]`` whole
numbers or words. An array ``names`` (or ``classes``, ``class_names``) gives the class names in the order of the labels.
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.base.errors import DataError
from striate.data.names import listed, printable
from striate.data.records import ArrayHandle, Classes, Dataset, Split
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, assemble
from striate.data.sources.class_labels import index_labels, picture_contents
from striate.data.targets import class_targets
from striate.pictures.channels import to_bytes
from striate.pictures.remarks import DIM, dim_notice

_WHOLE = (("x", "y"), ("images", "labels"), ("X", "y"), ("data", "target"))
_PARTS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}
_NAMES = ("names", "classes", "class_names")
_EXPECTED = "expected x and y, images and labels, or x_train, y_train, x_test and y_test"


def recognises(path: Path) -> bool:
    """Whether it is an .npz file or a folder with one in it."""
    try:
        return bool(_files(path))
    except OSError:
        return False


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read one .npz file, or the only one in a folder.

    Raises:
        DataError: no such file or several, a damaged file, pickled objects in it, arrays of other names, shapes, types
            or ranges than the module says, labels out of range, fewer than two classes.
    """
    files = _files(path)
    if len(files) != 1:
        what = f"several: {listed([printable(file.name) for file in files])}" if files else "none"
        raise DataError(f"{printable(path)}: expected one .npz file, found {what}")
    content = _load(files[0])
    where = printable(files[0])
    pictures: dict[Split, NDArray[np.uint8]] = {}
    labels: dict[Split, NDArray[Any]] = {}
    keys: dict[Split, str] = {}
    for split, (x, y) in _parts(content, where).items():
        pictures[split] = _pictures(content[x], f"{x} of {where}")
        labels[split] = _labels(content[y], len(pictures[split]), f"{y} of {where}")
        keys[split] = x
    channels = {part.shape[3] if part.ndim == 4 else 1 for part in pictures.values()}
    if len(channels) > 1:
        counts = listed([str(count) for count in sorted(channels)])
        raise DataError(f"{where}: the splits have {counts} channels; expected one number")
    names, targets = index_labels(labels, _class_names(content, where), where=where)
    columns = Columns(
        handles=[ArrayHandle(part, index) for part in pictures.values() for index in range(len(part))],
        targets=class_targets([target for split in pictures for target in targets[split]]),
        contents=[digest for part in pictures.values() for digest in picture_contents(part)],
        names=[f"{printable(files[0].name)}:{keys[s]}[{i}]" for s, part in pictures.items() for i in range(len(part))],
        splits=[split for split, part in pictures.items() for _ in range(len(part))],
    )
    used = {target for part in targets.values() for target in part}
    unused = [name for index, name in enumerate(names) if index not in used]
    notices = [f"no picture is labelled {listed(unused)}"] if unused else []
    wide = [content[key] for key in keys.values() if content[key].dtype == np.uint16]
    if wide and max(array.max() for array in wide) < DIM:
        notices.append(dim_notice(sum(map(len, wide))))
    return assemble(path, "arrays", Classes(names), columns, channels=channels.pop(), notices=notices, task="classify")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.suffix.lower() == ".npz" else []
    return sorted(file for file in path.iterdir() if file.suffix.lower() == ".npz" and not file.name.startswith("."))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{printable(path)} is a single array; {_EXPECTED} in an .npz file (numpy.savez)")
            return {key: archive[key] for key in archive.files}
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if "pickle" in str(error) and zipfile.is_zipfile(path):
            reason = "it holds pickled objects, which are never loaded; save plain arrays (words as dtype str)"
        else:
            reason = f"it is not a sound .npz file ({error}); {_EXPECTED}"
        raise DataError(f"{printable(path)} cannot be read: {reason}") from error


def _parts(content: Mapping[str, object], where: str) -> dict[Split, tuple[str, str]]:
    """The names of the arrays of pictures and labels by split; one unnamed whole counts as train."""
    for x, y in _WHOLE:
        if x in content and y in content:
            return {"train": (x, y)}
    found: dict[Split, tuple[str, str]] = {}
    for part, split in _PARTS.items():
        for x, y in (("x", "y"), ("X", "y"), ("images", "labels")):
            for pair in ((f"{x}_{part}", f"{y}_{part}"), (f"{part}_{x}", f"{part}_{y}")):
                if pair[0] in content and pair[1] in content:
                    found[split] = pair
    if not found:
        raise DataError(f"{where} has the arrays {listed(sorted(content), most=10) or '(none)'}; {_EXPECTED}")
    order: tuple[Split, ...] = ("train", "val", "test")
    return {split: found[split] for split in order if split in found}


def _pictures(array: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Pictures as uint8, scaled from what their type means: 16 bits from 0..65535, floats from 0..1."""
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DataError(f"{where} has the shape {list(array.shape)}; expected pictures, [N, H, W] or [N, H, W, C]")
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] > 8:
        raise DataError(f"{where} has the shape {list(array.shape)}, channels first; transpose it to [N, H, W, C]")
    if array.dtype in (np.uint8, np.bool_, np.uint16):
        return to_bytes(array)
    low, high = array.min(), array.max()
    if array.dtype.kind == "f" and low >= 0 and high <= 1:  # NaN fails both comparisons
        return np.rint(array * 255).astype(np.uint8)
    if array.dtype.kind in "iu" and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    raise DataError(
        f"{where} holds numbers of type {array.dtype} from {low} to {high}; expected uint8, uint16, bool, whole "
        "numbers from 0 to 255, or floats from 0 to 1"
    )


def _labels(array: NDArray[Any], count: int, where: str) -> NDArray[Any]:
    if array.ndim == 2 and array.shape[1] == 1:  # Keras keeps CIFAR's labels as a column
        array = array[:, 0]
    if array.ndim == 2 and len(array) == count:
        raise DataError(f"{where} has the shape {list(array.shape)}; if it is one-hot, save its argmax over axis 1")
    if array.shape != (count,):
        raise DataError(f"{where} has the shape {list(array.shape)}; expected one label for each of {count} pictures")
    if array.dtype.kind == "f" and bool((array == np.rint(array)).all()):
        return array.astype(np.int64)
    return array


def _class_names(content: Mapping[str, NDArray[Any]], where: str) -> tuple[str, ...] | None:
    for key in _NAMES:
        if key in content:
            array = content[key]
            if array.ndim != 1 or array.dtype.kind != "U":
                shape = list(array.shape)
                raise DataError(f"{key} of {where} is {array.dtype} of shape {shape}; expected words, dtype str")
            return tuple(str(name) for name in array)
    return None
