"""Data: from a path to batches, in an order and with a randomness that depend on the pictures alone.

Knows nothing of networks, tasks or recipes; decoding and geometry come from `striate.pictures`.
The way: ``open_data -> check_readable -> split (or folds) -> Loader.epoch``. The modules are records, sources, scan,
splits, augmentation, cache and loading; what they offer is resolved on first use, so that importing costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.data.augmentation import NO_AUGMENTATION, Augmentation
    from striate.data.cache import PictureCache
    from striate.data.loading import Loader
    from striate.data.records import ArrayHandle, Batch, Classes, Dataset, Record, Sample
    from striate.data.scan import check_readable, hash_files, skip_unreadable
    from striate.data.sources import SOURCES, open_data
    from striate.data.splits import fingerprint, folds, split

_HOMES = {
    "NO_AUGMENTATION": "augmentation",
    "SOURCES": "sources",
    "ArrayHandle": "records",
    "Augmentation": "augmentation",
    "Batch": "records",
    "Classes": "records",
    "Dataset": "records",
    "Loader": "loading",
    "PictureCache": "cache",
    "Record": "records",
    "Sample": "records",
    "check_readable": "scan",
    "fingerprint": "splits",
    "folds": "splits",
    "hash_files": "scan",
    "open_data": "sources",
    "skip_unreadable": "scan",
    "split": "splits",
}

__all__ = [
    "NO_AUGMENTATION",
    "SOURCES",
    "ArrayHandle",
    "Augmentation",
    "Batch",
    "Classes",
    "Dataset",
    "Loader",
    "PictureCache",
    "Record",
    "Sample",
    "check_readable",
    "fingerprint",
    "folds",
    "hash_files",
    "open_data",
    "skip_unreadable",
    "split",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
