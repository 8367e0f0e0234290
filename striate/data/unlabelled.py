"""Pictures of which nothing is known: found below a folder while they are asked for."""

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR

from striate.base.errors import DataError
from striate.data.names import printable
from striate.data.sources.folder_tree import is_picture
from striate.pictures.decode import path_of


def pictures_in(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """The picture files below a folder, sorted within each, hidden ones left out; found while they are asked for.

    Links to folders are followed, as in training, but for those that lead back up, of which all is found already. What
    is not a folder is itself the one picture, as far as can be told before it is read.

    Raises:
        DataError: there is none, a folder cannot be read, or its path is empty.
    """
    folder = path_of(folder)

    def refuse(error: OSError) -> None:
        raise DataError(f"{printable(error.filename)}: cannot be read: {error.strerror}")

    if not is_folder(folder):
        yield folder
        return
    found = False
    above: dict[Path, frozenset[tuple[int, int]]] = {}  # of each folder those that it lies in, by device and number
    for path, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        place = Path(path)
        status, those = place.stat(), above.pop(place, frozenset())
        here = (status.st_dev, status.st_ino)
        if here in those:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        above |= {place / name: those | {here} for name in folders}
        for name in sorted(names):
            if is_picture(name):
                found = True
                yield place / name
    if not found:
        raise DataError(f"{printable(folder)}: holds no pictures")


def is_folder(path: Path) -> bool:
    """Whether there is a folder, as far as can be told."""
    try:
        return S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):  # whoever reads it will say why
        return False
