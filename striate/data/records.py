"""What passes between the rooms of data: records, samples, batches, and the set that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from striate.base.errors import DataError

if TYPE_CHECKING:
    import torch

    from striate.pictures.geometry import Geometry

Split = Literal["train", "val", "test"]


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

    ``target`` is what the task wants, in the photograph's own upright pixels (for classification the class index).
    ``content`` is the sha256 of the file's bytes (or the array's), 32 bytes; empty for a file that cannot be read.
    ``name`` is what reports call it: printable, whatever bytes the file's name is made of.
    """

    handle: Handle
    target: int
    content: bytes
    name: str
    split: Split | None = None

    @property
    def key(self) -> int:
        """The number that keys this sample's randomness: from the content, so a renamed copy behaves the same."""
        return int.from_bytes(self.content[:8], "little")


@dataclass(frozen=True, slots=True)
class Dataset:
    """All records of one source, in the source's order.

    ``channels`` is the source's own: 1 grey, 3 RGB, or N bands. ``fixed_splits`` says that the folder's names
    decided the splits. ``notices`` are sentences for the user (empty class folders, hidden files and so on).
    """

    root: Path
    format: str
    classes: Classes
    records: tuple[Record, ...]
    channels: int
    fixed_splits: bool = False
    notices: tuple[str, ...] = ()

    @property
    def picture_shape(self) -> tuple[int, int] | None:
        """Height and width of the pictures where all have the same (arrays), else None."""
        handle = self.records[0].handle if self.records else None
        return (handle.array.shape[1], handle.array.shape[2]) if isinstance(handle, ArrayHandle) else None

    def select(self, split: Split) -> tuple[Record, ...]:
        """The records of one split, in the data set's order."""
        return tuple(record for record in self.records if record.split == split)


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture as the network will get it, but for normalisation: ``image`` is uint8 ``[H, W, C]``."""

    image: np.ndarray
    target: int
    geometry: "Geometry"


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples put together: ``images`` is uint8 ``[N, C, H, W]`` (channels-last in memory)."""

    images: "torch.Tensor"
    targets: tuple[int, ...]
    geometries: tuple["Geometry", ...]
    records: Sequence[Record]

    def __len__(self) -> int:
        return len(self.targets)
