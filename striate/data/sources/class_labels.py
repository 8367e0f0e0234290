"""Labels of arrays to class names and indices, and pictures of arrays to content hashes."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.base.errors import DataError
from striate.data.names import counted, listed
from striate.data.records import Split


def index_labels(
    labels: Mapping[Split, NDArray[Any]], names: Sequence[str] | None, *, where: str
) -> tuple[tuple[str, ...], dict[Split, list[int]]]:
    """Return the class names in order and, for each split, the class index of each picture.

    With ``names``, labels are indices into them. Without, the classes are the distinct labels in order (of train, if
    there is one): integers by value, words by spelling. ``where`` names the data in messages.

    Raises:
        DataError: labels that are neither whole numbers nor words, a label outside ``names``, or a label in val or
            test that train lacks.

    Example:
        >>> index_labels({"train": np.array([3, 1, 3])}, None, where="x")
        (('1', '3'), {'train': [1, 0, 1]})
    """
    for split, part in labels.items():
        if part.dtype.kind not in "iuU":
            raise DataError(f"{where}: the labels of {split} are of type {part.dtype}; expected whole numbers or words")
    if names is not None:
        for split, part in labels.items():
            if part.dtype.kind == "U" or part.min(initial=0) < 0 or part.max(initial=0) >= len(names):
                strange = "words" if part.dtype.kind == "U" else f"{part.min()} to {part.max()}"
                raise DataError(
                    f"{where}: the labels of {split} are {strange}, but there are "
                    f"{counted(len(names), 'class name')}; expected 0 to {len(names) - 1}"
                )
        return tuple(names), {split: part.tolist() for split, part in labels.items()}
    kinds = {part.dtype.kind == "U" for part in labels.values()}
    if len(kinds) > 1:
        raise DataError(f"{where}: the labels of one split are words and of another numbers; expected one kind")
    known = np.unique(labels["train"] if "train" in labels else np.concatenate(list(labels.values())))
    for split, part in labels.items():
        if strange_labels := sorted(set(part.tolist()) - set(known.tolist())):
            raise DataError(
                f"{where}: {split} has {counted(len(strange_labels), 'label')} out of range, of which train has no "
                f"picture: {listed([str(label) for label in strange_labels])}; train has "
                f"{listed([str(label) for label in known.tolist()], most=10)}"
            )
    indices = {split: np.searchsorted(known, part).tolist() for split, part in labels.items()}
    return tuple(str(label) for label in known.tolist()), indices


def picture_contents(pictures: NDArray[np.uint8]) -> list[bytes]:
    """The sha256 of each picture of ``[N, ...]``, 32 bytes each.

    The bytes alone are hashed, so the same picture has the same hash in an idx file and in an .npz.
    """
    flat = np.ascontiguousarray(pictures).reshape(len(pictures), -1)
    return [sha256(row.data).digest() for row in flat]
