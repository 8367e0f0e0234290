"""What lies in a folder and all below it: pictures, folders, and what is passed over."""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import printable
from striate.pictures.decode import PICTURE_SUFFIXES

_DEPTH = 100  # each takes a few calls in each other
_ENTRIES = 1000  # of a folder, and so many folders of a level, are looked at to recognise a format
_FOLDERS = 100


@dataclass(slots=True, eq=False)
class Folder:
    """What a walk found in one folder; hidden names and files that are no pictures are only listed."""

    path: Path
    pictures: list[Path] = field(default_factory=list)
    folders: list["Folder"] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its own name, without the folders above."""
        return self.path.name

    @property
    def holding(self) -> list["Folder"]:
        """The folders directly in it that hold a picture, however deep."""
        return [folder for folder in self.folders if folder.holds_pictures]

    @property
    def holds_pictures(self) -> bool:
        """Whether a picture lies in it, however deep."""
        return any(folder.pictures for folder in self.all_folders())

    def all_folders(self) -> Iterator["Folder"]:
        """The folder itself and all below it."""
        yield self
        for folder in self.folders:
            yield from folder.all_folders()

    def all_pictures(self) -> list[Path]:
        """Every picture in it, however deep."""
        return [path for folder in self.all_folders() for path in folder.pictures]


def is_picture(name: str) -> bool:
    """Whether a file of this name is taken for a picture: it is not hidden and has a picture's suffix."""
    suffix = os.path.splitext(name)[1]  # noqa: PTH122 (there may be many)
    return not name.startswith(".") and suffix.lower() in PICTURE_SUFFIXES


def any_picture(path: Path | str) -> bool:
    """Whether a folder that can be read holds a picture, however deep; of links to folders those in it are followed."""
    top = os.fspath(path)
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting += [entry.path] if folder == top or not entry.is_symlink() else []
                elif is_picture(entry.name):
                    return True
    return False


def glimpsed(path: Path) -> Iterator[tuple[Path, list[str], list[Path]]]:
    """A folder and some in two levels below it, each with some names in it that are no folder's, and some folders.

    Hidden ones are passed over. Reading so little tells what format data are in at once, however many there are.
    """
    level = [path]
    for _ in range(3):
        below: list[Path] = []
        for folder in level[:_FOLDERS]:
            names: list[str] = []
            folders: list[Path] = []
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in islice(entries, _ENTRIES):
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        folders.append(folder / entry.name)
                    else:
                        names.append(entry.name)
            yield folder, names, folders
            below += folders
        level = sorted(below)


def walk(path: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Folder:
    """List a folder and all below it, sorted by name; links to folders are followed unless they lead back up.

    Raises:
        DataError: a folder that may not be read, a loop of links, or more folders in each other than any data have.
    """
    if len(above) > _DEPTH:
        raise DataError(f"{printable(path)[:200]}... lies more than {_DEPTH} folders deep; move it up, or remove it")
    found = Folder(path)
    try:
        status = path.stat()
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{printable(path)}: {error.strerror}; every folder of the data must be readable") from error
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise DataError(f"{printable(path)} is a symbolic link to a folder that it lies in: an endless loop; remove it")
    for entry in entries:
        child = path / entry.name
        if entry.name.startswith("."):
            found.hidden.append(child)
        elif _is_folder(entry):
            found.folders.append(walk(child, above | {here}))
        elif is_picture(entry.name) and (entry.is_symlink() or entry.is_file()):
            found.pictures.append(child)  # broken links too: the scan reports them with the other unreadable ones
        else:
            found.others.append(child)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP and is_picture(entry.name):
            return False
        raise DataError(f"{printable(entry.path)}: {error.strerror}; remove it or make it readable") from error
