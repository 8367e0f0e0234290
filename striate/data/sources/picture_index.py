"""Which picture an annotation means: names in annotation files are often paths of another computer, or names alone."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from striate.base.errors import DataError
from striate.base.nearest import did_you_mean
from striate.data.names import listed, printable, quoted
from striate.data.records import Split
from striate.data.sources.folder_tree import walk
from striate.data.sources.layouts import split_names

_ENTRIES = 1000  # of a folder, and so many folders of a level, are looked at to recognise a format
_FOLDERS = 100
_HINTS = 3  # of 100,000 names each takes a second


class PictureIndex:
    """The pictures below a folder, by name, and the split that each one's folders say.

    ``given`` is what the user named: the folder, or an annotation file in it or in a folder of it. What lies in folders
    called as one of ``aside`` is none of the pictures.
    """

    def __init__(self, given: Path, aside: Sequence[str] = ()) -> None:
        self.root = given if given.is_dir() else given.parent
        self.tree = walk(self.root)
        if not given.is_dir() and not self.tree.holds_pictures:
            self.root = self.root.parent
            self.tree = walk(self.root)
        self._missed = 0
        self.pictures = [path for path in self.tree.all_pictures() if path.parent.name not in aside]
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.pictures:
            self._by_name.setdefault(path.name, []).append(path)
            self._by_stem.setdefault(path.stem, []).append(path)
        self._splits = split_names(sorted({part for path in self.pictures for part in self._parts(path)[:-1]}))

    def where(self, path: Path) -> str:
        """What reports call a file: its path below the folder."""
        return printable(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def find(self, name: str, near: Path) -> Path | None:
        """The picture that ``name`` means in the annotation file ``near``; None if there is none.

        Of several with its last part those whose folders agree with more of it, else with where the file lies.

        Raises:
            DataError: it may mean several.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        return self._best(self._by_name.get(parts[-1], []), parts[:-1], near) if parts else None

    def namesake(self, file: Path) -> Path | None:
        """The picture that is called like an annotation file but for the suffix; raises as `find`."""
        return self._best(self._by_stem.get(file.stem, []), (), file)

    def _best(self, found: list[Path], folders: Sequence[str], near: Path) -> Path | None:
        if len(found) < 2:
            return found[0] if found else None
        about = {word for part in self._parts(near.with_suffix("")) for word in (part, *part.split("_"))}

        def fit(path: Path) -> tuple[int, int]:
            own = self._parts(path)[:-1]
            same = 0
            while same < min(len(own), len(folders)) and own[-1 - same] == folders[-1 - same]:
                same += 1
            return same, sum(folder in about for folder in own)

        best = max(map(fit, found))
        if len(found := [path for path in found if fit(path) == best]) > 1:
            raise DataError(
                f"{self.where(near)}: its picture may be {listed([self.where(path) for path in found])}; give them "
                "different names, or write the path from the folder of the data into the annotation"
            )
        return found[0]

    def missing(self, where: str, name: str) -> str:
        """A place with the picture that it speaks of and that is not there; the first times with the nearest name."""
        self._missed += 1
        names = [printable(each) for each in self._by_name] if self._missed <= _HINTS else []
        hint = did_you_mean(re.split(r"[\\/]", name[-100:])[-1], names)
        return f"{where} ({quoted(name)}{f'.{hint}' if hint else ''})"

    def split_of(self, path: Path) -> Split | None:
        """The split that the folders of a picture say."""
        return next((self._splits[part] for part in self._parts(path)[:-1] if part in self._splits), None)

    def files(self, *suffixes: str) -> list[Path]:
        """The visible files with one of these suffixes, at any depth."""
        return [path for each in self.tree.all_folders() for path in each.others if path.suffix.lower() in suffixes]

    def _parts(self, path: Path) -> tuple[str, ...]:
        return path.relative_to(self.root).parts


def glimpse(path: Path, *suffixes: str) -> Iterator[Path]:
    """Files with one of these suffixes: ``path`` itself, or some in that folder and two levels of folders below it."""
    if path.is_file():
        yield from [path] if path.suffix.lower() in suffixes else []
        return
    level = [path]
    for _ in range(3):
        below: list[Path] = []
        for folder in level[:_FOLDERS]:
            found: list[Path] = []
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in islice(entries, _ENTRIES):
                    if entry.name.startswith("."):
                        continue
                    if os.path.splitext(entry.name)[1].lower() in suffixes:  # noqa: PTH122 (there may be many)
                        found.append(folder / entry.name)
                    elif entry.is_dir():
                        below.append(folder / entry.name)
            yield from sorted(each for each in found if each.is_file())
        level = sorted(below)


def start_of(path: Path, count: int = 1 << 16) -> str:
    """The first characters of a file, for recognising it; "" where it cannot be read as text."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return ""
        with path.open("rb") as file:
            return file.read(count).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    except OSError:
        return ""
