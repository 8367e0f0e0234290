"""Class folders whose names say nothing of splits, ``root/<class>/**``: taken where the user asks for them by name."""

from pathlib import Path

from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources.class_folders import read_as


def recognises(path: Path) -> bool:
    """Never: what a folder that reads as a split means is for the user to say."""
    return False


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """See `striate.data.sources.class_folders.read`; every folder in ``path`` is a class."""
    return read_as(path, workers, lambda tree: {None: tree})
