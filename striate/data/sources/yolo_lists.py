"""Lists beside YOLO's texts: of classes, of the pictures of a split, and darknet's ``obj.data``, which names both.

It says ``train = data/train.txt``, ``valid = ...`` and ``names = ...``, from darknet's own folder.
"""

import os
from collections.abc import Sequence, Set
from pathlib import Path, PurePosixPath

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable, quoted
from striate.data.records import Split
from striate.data.sources.folder_tree import is_picture
from striate.data.sources.layouts import split_names
from striate.data.sources.picture_index import PictureIndex, start_of
from striate.data.sources.text_files import read_text
from striate.data.sources.yolo_config import YoloConfig

NAMES = ("classes.txt", "obj.names", "_darknet.labels")
"""What lists of classes are called."""

_PARTS: dict[str, Split] = {"train": "train", "valid": "val", "test": "test"}
_KEYS = {*_PARTS, "names", "classes", "backup", "eval", "results"}


def class_list(file: Path, where: str) -> tuple[str, ...]:
    """The classes that a file names, one a line; raises DataError for one that is empty or twice."""
    named: dict[str, None] = {}
    for position, name in enumerate(map(str.strip, read_text(file, where).rstrip().splitlines()), start=1):
        if not name or name in named:
            what = f"{quoted(name)} once more" if name else "an empty name"
            raise DataError(f"{where}:{position}: {what}; expected another class in each line")
        named[name] = None
    return tuple(named)


def listed_parts(index: PictureIndex, texts: Set[Path]) -> YoloConfig | None:
    """What the only ``obj.data`` says, else the lists of pictures that are called as splits; None if there are none.

    ``texts`` are those of pictures, and so no lists.

    Raises:
        DataError: what it names is not there, or lists of other splits and none to train on.
    """
    said = [found for file in index.files(".data") if (found := _darknet(index, file)) is not None]
    if len(said) > 1:
        shown = listed([config.where for config in said])
        raise DataError(f"{printable(index.root)} holds several files that name lists ({shown}); keep one of them")
    if said:
        return said[0]
    lists = [
        file
        for file in index.files(".txt")
        if file not in texts and file.name not in NAMES and _lists_pictures(start_of(file, 1 << 12))
    ]
    splits = split_names([file.stem for file in lists])
    if {"train", "val"} <= {splits.get(file.stem) for file in lists if file.stem != "trainval"}:
        splits.pop("trainval", None)
    parts: dict[Split, list[tuple[str, Path]]] = {}
    for file in lists:
        if file.stem in splits:
            parts.setdefault(splits[file.stem], []).append((index.where(file), file))
    if parts and "train" not in parts:
        shown = listed([where for places in parts.values() for where, _ in places])
        raise DataError(
            f"{printable(index.root)}: {shown} lists pictures of a split, and nothing those to train on; call their "
            "list train.txt, or remove what is there"
        )
    return YoloConfig("", (), parts) if parts else None


def _lists_pictures(start: str) -> bool:
    return is_picture(PurePosixPath(start.partition("\n")[0].strip().replace("\\", "/")).name)


def _darknet(index: PictureIndex, file: Path) -> YoloConfig | None:
    """What an ``obj.data`` says; None if the file is none."""
    if not all("=" in line or not line.strip() for line in start_of(file, 1 << 12).splitlines()):
        return None
    where = index.where(file)
    entries: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(read_text(file, where).splitlines(), start=1):
        key, _, word = (each.strip() for each in line.partition("="))
        if key in _KEYS and word:
            entries[key] = (f"{where}:{number}", word)
    if not {"train", "names"} & entries.keys():
        return None
    folders = (file.parent, index.root)
    parts: dict[Split, list[tuple[str, Path]]] = {
        split: [(entries[key][0], _found(entries[key], folders))] for key, split in _PARTS.items() if key in entries
    }
    names: tuple[str, ...] = ()
    if "names" in entries:
        path = _found(entries["names"], folders)
        names = class_list(path, index.where(path))
        if "classes" in entries and (count := entries["classes"])[1] != str(len(names)):
            raise DataError(
                f"{count[0]}: classes is {quoted(count[1])}, but {index.where(path)} has {counted(len(names), 'name')}"
            )
    return YoloConfig(where, names, parts)


def _found(entry: tuple[str, str], folders: Sequence[Path]) -> Path:
    """The file that an entry means, whose path may begin in folders above those of the data."""
    where, word = entry
    parts = PurePosixPath(word.replace("\\", "/")).parts
    for first in range(len(parts)):
        for folder in folders:
            if os.path.isfile(path := folder.joinpath(*parts[first:])):  # noqa: PTH113 (too long a name is none)
                return path
    raise DataError(f"{where}: there is no {quoted(word)}, neither beside the file nor below {printable(folders[-1])}")
