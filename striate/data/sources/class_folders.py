"""A folder for each class: ``root/<class>/**`` or ``root/{train,val,test}/<class>/**``.

The class list is fixed here, once: the sorted names of all visible class folders that hold a picture in any split.
Empty and hidden folders are reported and get no index, in every split alike.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from striate.base.errors import DataError, DecodeError
from striate.base.nearest import did_you_mean
from striate.data.names import counted, listed, printable
from striate.data.records import Classes, Dataset, Split
from striate.data.scan import hash_files
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, assemble
from striate.data.targets import class_targets
from striate.pictures.decode import PICTURE_SUFFIXES, read_header

_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_TIFF = frozenset({".tif", ".tiff"})


@dataclass(slots=True, eq=False)
class _Folder:
    """What a walk found in one folder; hidden names and files that are no pictures are only listed."""

    path: Path
    pictures: list[Path] = field(default_factory=list)
    folders: list["_Folder"] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    def all_folders(self) -> Iterator["_Folder"]:
        yield self
        for folder in self.folders:
            yield from folder.all_folders()

    def all_pictures(self) -> list[Path]:
        return [path for folder in self.all_folders() for path in folder.pictures]

    @property
    def holds_pictures(self) -> bool:
        return any(folder.pictures for folder in self.all_folders())


def recognises(path: Path) -> bool:
    """Whether any visible folder in ``path`` holds a picture, however deep."""
    try:
        children = [entry.path for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return False
    return any(_is_picture(name) for child in children for _, _, names in os.walk(child) for name in names)


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read class folders; every file with a picture's suffix becomes a record, readable or not.

    Raises:
        DataError: no class folders, fewer than two classes, a class in val or test that train lacks, a folder that
            may not be read, a loop of links, the same picture under two labels, TIFFs of different page counts.
    """
    if not path.is_dir():
        raise DataError(f"{printable(path)} is a file; class folders are a folder with a folder for each class")
    tree = _walk(path, frozenset())
    tops = _split_folders(tree)
    _check_holds_classes(tree, tops)
    names = _class_names(tops)
    files: list[Path] = []
    indices: list[int] = []
    splits: list[Split | None] = []
    for split, top in tops.items():
        for folder in top.folders:
            if (pictures := folder.all_pictures()) and folder.path.name in names:
                files += pictures
                indices += [names.index(folder.path.name)] * len(pictures)
                splits += [split] * len(pictures)
    columns = Columns(
        handles=files,
        targets=class_targets(indices),
        contents=hash_files(files, root=path, workers=workers),
        names=[printable(file.relative_to(path)) for file in files],
        splits=splits,
    )
    classes = Classes(tuple(printable(name) for name in names))
    return assemble(
        path, "folders", classes, columns, channels=_channels(files), notices=_notices(tree, tops), task="classify"
    )


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES


def _walk(path: Path, above: frozenset[tuple[int, int]]) -> _Folder:
    """List a folder and all below it, sorted by name; links to folders are followed unless they lead back up."""
    found = _Folder(path)
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
            found.folders.append(_walk(child, above | {here}))
        elif _is_picture(entry.name) and (entry.is_symlink() or entry.is_file()):
            found.pictures.append(child)  # broken links too: the scan reports them with the other unreadable ones
        else:
            found.others.append(child)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP and _is_picture(entry.name):
            return False
        raise DataError(f"{printable(entry.path)}: {error.strerror}; remove it or make it readable") from error


def _split_folders(tree: _Folder) -> dict[Split | None, _Folder]:
    """The folders whose children are the classes, by split; only ``None`` if the names decide no splits."""
    holding = [folder for folder in tree.folders if folder.holds_pictures]
    named = [folder for folder in holding if folder.path.name.lower() in _SPLIT_NAMES]
    others = [folder for folder in holding if folder not in named]
    nested = [folder for folder in named if any(child.holds_pictures for child in folder.folders)]
    if not named:
        return {None: tree}
    if others:
        # A class may be called "test"; but split folders beside class folders would make classes out of splits.
        if any(folder.path.name.lower() == "train" and not folder.pictures for folder in nested):
            raise DataError(
                f"{printable(tree.path)} holds both split folders ({listed([f.path.name for f in nested])}) and others "
                f"with pictures ({listed([printable(f.path.name) for f in others])}); keep either train, val and test, "
                "each with a folder for each class, or class folders alone"
            )
        return {None: tree}
    for folder in named:
        if folder not in nested:
            raise DataError(
                f"{printable(folder.path)} holds pictures directly; a folder named train, val or test must hold a "
                f"folder for each class: {folder.path.name}/<class>/"
            )
    tops: dict[Split | None, _Folder] = {}
    for split in _SPLITS:
        for folder in named:
            if _SPLIT_NAMES[folder.path.name.lower()] == split:
                if split in tops:
                    raise DataError(
                        f"{printable(tops[split].path)} and {printable(folder.path)} both mean the split {split}; "
                        "keep one of them"
                    )
                tops[split] = folder
    return tops


def _check_holds_classes(tree: _Folder, tops: dict[Split | None, _Folder]) -> None:
    if any(folder.holds_pictures for top in tops.values() for folder in top.folders):
        return
    if tree.pictures:
        what = f"holds {counted(len(tree.pictures), 'picture')} but no class folders"
    elif tree.folders or tree.others or tree.hidden:
        what = "holds no pictures"
    else:
        what = "is an empty folder"
    raise DataError(f"{printable(tree.path)} {what}; expected a folder for each class with pictures in it")


def _class_names(tops: dict[Split | None, _Folder]) -> list[str]:
    """The classes in order; with a train folder, exactly the classes that have pictures there."""
    held = {split: {f.path.name for f in top.folders if f.holds_pictures} for split, top in tops.items()}
    known = held.get("train")
    for split, names in held.items():
        if known is not None and (strange := sorted(names - known)):
            hint = did_you_mean(strange[0], known)
            raise DataError(
                f"{printable(tops[split].path)} holds {counted(len(strange), 'class', 'classes')} of which "
                f"{printable(tops['train'].path)} has no picture: {listed([printable(n) for n in strange])};{hint} "
                "every class needs pictures in train"
            )
    return sorted(set().union(*held.values()))


def _channels(files: Sequence[Path]) -> int:
    """3, but the number of pages where all files are TIFFs of several pages: pictures of so many bands."""
    if any(file.suffix.lower() not in _TIFF for file in files):
        return 3
    pages: dict[int, Path] = {}
    for file in files:
        try:
            pages.setdefault(read_header(file, name=printable(file)).bands, file)
        except DecodeError:
            continue  # the scan will report it
    if len(pages) > 1 and max(pages) > 4:
        (few, one), (many, other) = min(pages.items()), max(pages.items())
        raise DataError(
            f"the TIFFs differ in their bands: {printable(one)} has {few} and {printable(other)} has {many}; "
            "a network needs the same number in every picture"
        )
    return next(iter(pages)) if len(pages) == 1 else 3


def _notices(tree: _Folder, tops: dict[Split | None, _Folder]) -> list[str]:
    """Sentences on all that was passed over."""
    everything = list(tree.all_folders())
    empty = [folder.path for top in tops.values() for folder in top.folders if not folder.holds_pictures]
    beside = {id(folder): folder for folder in (tree, *tops.values())}
    loose = [path for folder in beside.values() for path in folder.pictures]
    hidden = [path for folder in everything for path in folder.hidden]
    others = [path for folder in everything for path in folder.others]
    found = (
        (empty, "empty class folder", "empty class folders"),
        (loose, "picture beside the class folders", "pictures beside the class folders"),
        (hidden, "hidden file or folder", "hidden files or folders"),
        (others, "file that is not a picture", "files that are not pictures"),
    )
    return [
        f"passed over {counted(len(names), one, many)}: {listed(names)}"
        for paths, one, many in found
        if (names := [printable(path.relative_to(tree.path)) for path in paths])
    ]
