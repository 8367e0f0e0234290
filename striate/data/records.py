"""What passes between the rooms of data: records, samples, batches, and the set that holds them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from striate.base.errors import DataError

if TYPE_CHECKING:
    import torch

    from striate.data.targets import Target
    from striate.pictures.geometry import Geometry

Split = Literal["train", "val", "test"]

_EMPTY_FILE = sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class Classes:
    """The ordered class names, with optional ids (ImageNet's wnids); an index never travels without them.

    Names need not be unique (ImageNet has two called "crane"); ids, when there are any, are.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.ids is not None and len(self.ids) != len(self.names):
            raise DataError(f"{len(self.names)} class names came with {len(self.ids)} ids; each class needs one")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class ArrayHandle:
    """One picture inside an array that is already in memory: ``array[index]`` is uint8 ``[H, W]`` or ``[H, W, C]``."""

    array: np.ndarray
    index: int


Handle = Path | ArrayHandle


@dataclass(frozen=True, slots=True)
class Record:
    """One picture of a data set and what is known of it.

    ``target`` is what is known of it (`striate.data.targets`), in the photograph's own upright pixels.
    ``content`` is the sha256 of the file's bytes (or the array's), 32 bytes; empty for a file that cannot be read.
    ``name`` is what reports call it: printable, whatever bytes the file's name is made of. Records of one ``group`` or
    of equal content are never split.
    """

    handle: Handle
    target: "Target"
    content: bytes
    name: str
    split: Split | None = None
    group: bytes | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """All records of one source, in the source's order.

    ``channels`` is the source's own: 1 grey, 3 RGB, or N bands. ``fixed_splits`` says that the folder's names
    decided the splits, ``task`` what the data are for. ``notices`` are sentences for the user (empty class folders,
    hidden files and so on).
    """

    root: Path
    format: str
    classes: Classes
    records: tuple[Record, ...]
    channels: int
    fixed_splits: bool = False
    task: str = "classify"
    notices: tuple[str, ...] = ()

    @property
    def picture_shape(self) -> tuple[int, int] | None:
        """Height and width of the pictures where all have the same (arrays), else None."""
        handle = self.records[0].handle if self.records else None
        return (handle.array.shape[1], handle.array.shape[2]) if isinstance(handle, ArrayHandle) else None

    def of_split(self, split: Split) -> tuple[Record, ...]:
        """The records of one split, in the data set's order."""
        return tuple(record for record in self.records if record.split == split)


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture as the network will get it, but for normalisation: uint8 ``[H, W, C]``, and its target."""

    image: np.ndarray
    target: "Target"
    geometry: "Geometry"


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples put together: ``images`` is uint8 ``[N, C, H, W]``, channels-last in memory, ``targets`` in their pixels.

    What was known before, in the photograph's pixels, is in ``records``.
    """

    images: "torch.Tensor"
    targets: tuple["Target", ...]
    geometries: tuple["Geometry", ...]
    records: Sequence[Record]

    def __len__(self) -> int:
        return len(self.targets)


def occurring_in(records: Sequence[Record]) -> set[int]:
    """The indices of the classes that some record is known to have, without reading any."""
    return {index for record in records for index in record.target.occurring() or ()}


def copies(records: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    """Each record that is a copy of an earlier one, behind the first of them; what cannot be read is not compared."""
    first: dict[bytes, Record] = {}
    for record in records:
        other = first.setdefault(record.content, record)
        if other is not record and record.content not in (b"", _EMPTY_FILE):
            yield other, record
