"""Data: from a path to batches, in an order and with a randomness that depend on the pictures alone.

Knows nothing of networks, tasks or recipes; decoding and geometry come from `striate.pictures`.
The way: ``open_data -> check_readable -> split (or folds) -> Loader.epoch``. The modules are records, sources, scan,
grouping, splits, augmentation, cache and loading; what they offer is resolved on first use, so that importing costs
nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.data.augmentation import NO_AUGMENTATION as NO_AUGMENTATION
    from striate.data.augmentation import Augmentation as Augmentation
    from striate.data.cache import PictureCache as PictureCache
    from striate.data.loading import Loader as Loader
    from striate.data.records import ArrayHandle as ArrayHandle
    from striate.data.records import Batch as Batch
    from striate.data.records import Classes as Classes
    from striate.data.records import Dataset as Dataset
    from striate.data.records import Record as Record
    from striate.data.records import Sample as Sample
    from striate.data.scan import check_readable as check_readable
    from striate.data.scan import hash_files as hash_files
    from striate.data.scan import skip_unreadable as skip_unreadable
    from striate.data.sources import SOURCES as SOURCES
    from striate.data.sources import open_data as open_data
    from striate.data.splits import fingerprint as fingerprint
    from striate.data.splits import folds as folds
    from striate.data.splits import split as split

_OFFERED = {
    "augmentation": ("NO_AUGMENTATION", "Augmentation"),
    "cache": ("PictureCache",),
    "loading": ("Loader",),
    "records": ("ArrayHandle", "Batch", "Classes", "Dataset", "Record", "Sample"),
    "scan": ("check_readable", "hash_files", "skip_unreadable"),
    "sources": ("SOURCES", "open_data"),
    "splits": ("fingerprint", "folds", "split"),
}
_HOMES = {name: module for module, names in _OFFERED.items() for name in names}

__all__ = [*_HOMES]  # noqa: PLE0604 - all are strings


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
