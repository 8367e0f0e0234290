"""Which picture an annotation means: names in annotation files are often paths of another computer, or names alone."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from striate.base.errors import DataError
from striate.base.nearest import did_you_mean
from striate.data.names import composed, counted, listed, printable, quoted
from striate.data.records import Split
from striate.data.sources.folder_tree import Folder, glimpsed, walk
from striate.data.sources.layouts import split_names
from striate.data.sources.text_files import utf_16

_HINTS = 3  # of 100,000 names each takes a second


class PictureIndex:
    """The pictures below a folder, by name, and the split that each one's folders say.

    ``given`` is what the user named: the folder, or an annotation file in it or in a folder of it; ``tree`` what is to
    be looked at instead, where the file names that. What lies in folders called as one of ``aside`` is none of the
    pictures.
    """

    def __init__(self, given: Path, aside: Sequence[str] = (), tree: Folder | None = None) -> None:
        self.root = tree.path if tree else given if given.is_dir() else given.parent
        self.tree = tree or walk(self.root)
        if not tree and not given.is_dir() and not self.tree.holds_pictures:
            self.root = self.root.parent
            self.tree = walk(self.root)
        self._missed = 0
        self._moved: list[str] = []
        self.pictures = [path for path in self.tree.all_pictures() if path.parent.name not in aside]
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.pictures:
            self._by_name.setdefault(composed(path.name), []).append(path)
            self._by_stem.setdefault(composed(path.stem), []).append(path)
        folders = {part for path in self.pictures for part in self._parts(path)[:-1]}
        self._splits = split_names(sorted(folders))
        self._folders = set(map(composed, folders))

    def where(self, path: Path) -> str:
        """What reports call a file: its path below the folder."""
        return printable(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def find(self, name: str, near: Path) -> Path | None:
        """The picture that ``name`` means in the annotation file ``near``; None if there is none.

        Of several with its last part the one that it leads to, from that file or from the folder of the data, then
        those whose folders agree with more of it, else with where the file lies. `notices` say if it leads elsewhere.

        Raises:
            DataError: it may mean several.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts:
            return None
        path = self._best(_called(self._by_name, parts[-1]), parts, near)
        if path is not None and self._disagrees(path, parts[:-1]) and path not in self._led(parts, near):
            self._moved.append(f"{self.where(near)} ({quoted(name)}, taken: {self.where(path)})")
        return path

    def namesake(self, file: Path) -> Path | None:
        """The picture that is called like an annotation file but for the suffix; raises as `find`."""
        return self._best(_called(self._by_stem, file.stem), (file.stem,), file)

    def notices(self) -> list[str]:
        """A sentence on names that were taken for pictures of other folders, if there are any."""
        what = f"{counted(len(self._moved), 'path names', 'paths name')} a folder where no such picture is"
        return [f"{what}, and one of that name elsewhere is taken: {listed(self._moved)}"] * bool(self._moved)

    def _led(self, parts: Sequence[str], near: Path) -> list[Path]:
        """Where a name leads to, from the file that it stands in and from the folder of the data."""
        return [Path(os.path.normpath(start.joinpath(*parts))) for start in (near.parent, self.root)]

    def _disagrees(self, path: Path, folders: Sequence[str]) -> bool:
        """Whether the folders of a name are not the end of those of a picture, nor the other way round.

        Of a name from another computer they may lie elsewhere, unless a folder of pictures is called so here, too.
        """
        own = self._parts(path)[:-1]
        same = _same_end(own, folders)
        if same == min(len(own), len(folders)):
            return False
        strange = folders[0] in ("/", "..") or folders[0].endswith(":")
        return not strange or composed(folders[-1 - same]) in self._folders

    def _best(self, found: list[Path], parts: Sequence[str], near: Path) -> Path | None:
        if len(found) < 2:
            return found[0] if found else None
        exact = [path for path in self._led(parts, near) if path in found]
        if exact and len(parts) > 1:
            return exact[0]
        about = {word for part in self._parts(near.with_suffix("")) for word in (part, *part.split("_"))}

        def fit(path: Path) -> tuple[int, int]:
            own = self._parts(path)[:-1]
            return _same_end(own, parts[:-1]), sum(folder in about for folder in own)

        best = max(map(fit, found))
        found = [path for path in found if fit(path) == best]
        found = [path for path in exact if path in found][:1] or found
        if len(found) > 1:
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
        return path.relative_to(self.root).parts if path.is_relative_to(self.root) else path.parts


def _called(by: Mapping[str, list[Path]], word: str) -> list[Path]:
    """The pictures of a name or stem: those written by the same characters, else by others that look alike."""
    found = by.get(composed(word), [])
    return [path for path in found if word in (path.name, path.stem)] or found


def _same_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of their last folders are the same."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((count for count, (a, b) in enumerate(pairs) if composed(a) != composed(b)), min(len(one), len(other)))


def glimpse(path: Path, *suffixes: str) -> Iterator[Path]:
    """Files with one of these suffixes: ``path`` itself, or some in that folder and two levels of folders below it."""
    if path.is_file():
        yield from [path] if path.suffix.lower() in suffixes else []
        return
    for folder, names, _ in glimpsed(path):
        found = [name for name in names if os.path.splitext(name)[1].lower() in suffixes]  # noqa: PTH122 (many)
        yield from (folder / name for name in sorted(found) if (folder / name).is_file())


def start_of(path: Path, count: int = 1 << 16) -> str:
    """The first characters of a file, for recognising it; "" where it cannot be read as text."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return ""
        with path.open("rb") as file:
            start = file.read(count)
            # What only its reader may refuse, with the reason, is to be recognised, too.
            return start.decode(utf_16(start) or "utf-8", "replace").lstrip("\ufeff \t\r\n")
    except OSError:
        return ""
