"""The YAML file of YOLO's data: the classes' names, and where the pictures of each split are."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from striate.base.errors import DataError
from striate.data.names import quoted
from striate.data.records import Split
from striate.data.sources.folder_tree import Folder, walk
from striate.data.sources.text_files import YAML, read_text

_PARTS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}


@dataclass(frozen=True, slots=True)
class YoloConfig:
    """``names`` in the order of their numbers; ``parts`` are folders or lists of pictures, with their ``path:line``.

    ``keypoints`` is how many numbers of points follow each box.
    """

    where: str
    names: tuple[str, ...]
    parts: dict[Split, list[tuple[str, Path]]]
    keypoints: int = 0

    def elsewhere(self, root: Path) -> Folder | None:
        """The folders of ``parts``, with those of their texts, if some are not below ``root``."""
        places = [place for each in self.parts.values() for _, place in each]
        if all(place.is_relative_to(root.resolve()) for place in places):
            return None
        folders = {place if place.is_dir() else place.parent for place in places}
        for parts in [folder.parts for folder in folders]:
            for position in [position for position, part in enumerate(parts) if part == "images"]:
                texts = Path(*parts[:position], "labels", *parts[position + 1 :])
                folders |= {texts} if texts.is_dir() else set()
        tops = sorted(each for each in folders if not folders & {*each.parents})
        trees = [walk(top) for top in tops]
        return trees[0] if len(trees) == 1 else Folder(Path(os.path.commonpath(tops)), folders=trees)


def says_places(start: str) -> bool:
    """Whether a YAML file begins with names of classes and a place of pictures; it is not read for that."""
    return all(re.search(rf"^[\"']?({keys})[\"']?[ \t]*:", start, re.MULTILINE) for keys in ("names", "|".join(_PARTS)))


def read_config(path: Path, where: str) -> YoloConfig | None:
    """What a YAML file says; None if it has no names, and so is about something else.

    A place is looked for from ``path`` in the file, from the file's own folder, and there without the ``../`` that it
    begins with, which data that were moved have.

    Raises:
        DataError: it is not YAML, its names are not a list or numbered from 0, its points are of no shape, or a place
            does not exist.
    """
    try:
        # Words alone: a class may be called "no".
        root = yaml.compose(read_text(path, where, YAML), Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataError(f"{where}:{line}: is not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{where}: is not YAML that can be read: {type(error).__name__}") from error
    if not isinstance(root, yaml.MappingNode):
        return None
    entries = _entries(root, where)
    if "names" not in entries:
        return None
    names = _names(entries["names"], where)
    if "nc" in entries and (count := _word(entries["nc"], where)) != str(len(names)):
        raise DataError(f"{_place(entries['nc'], where)}: nc is {quoted(count)}, but there are {len(names)} names")
    folders = [path.parent]
    if "path" in entries:
        folders.insert(0, path.parent / _word(entries["path"], where))
    parts: dict[Split, list[tuple[str, Path]]] = {}
    for key, split in _PARTS.items():
        if key in entries and not _empty(entries[key]):
            nodes = entries[key].value if isinstance(entries[key], yaml.SequenceNode) else [entries[key]]
            parts.setdefault(split, []).extend(
                (_place(each, where), _existing(_word(each, where), folders, _place(each, where))) for each in nodes
            )
    if [path for _, path in parts.get("val", [])] == [path for _, path in parts.get("train", [])]:
        parts.pop("val", None)  # as who has no split writes it, since others' training asks for both
    return YoloConfig(where, names, parts, _keypoints(entries, where))


def _keypoints(entries: Mapping[str, yaml.Node], where: str) -> int:
    """How many numbers ``kpt_shape``, of points and of numbers for each, says."""
    if (node := entries.get("kpt_shape")) is None:
        return 0
    sides = [_word(each, where) for each in node.value] if isinstance(node, yaml.SequenceNode) else []
    if len(sides) != 2 or sides[1] not in ("2", "3") or not re.fullmatch("[1-9][0-9]{0,3}", sides[0]):
        raise DataError(f"{_place(node, where)}: kpt_shape is no list of how many points, and 2 or 3 numbers for each")
    return int(sides[0]) * int(sides[1])


def _place(node: yaml.Node, where: str) -> str:
    return f"{where}:{node.start_mark.line + 1}"


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null")


def _word(node: yaml.Node, where: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise DataError(f"{_place(node, where)}: expected one word or path here")
    word = str(node.value).strip()
    if any("\ud800" <= character <= "\udfff" for character in word):
        raise DataError(f"{_place(node, where)}: {quoted(word)} has half of a character")
    return word


def _entries(node: yaml.MappingNode, where: str) -> dict[str, yaml.Node]:
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = _word(key, where)
        if name in found:
            raise DataError(f"{_place(key, where)}: {quoted(name)} is there twice; expected each once")
        found[name] = value
    return found


def _names(node: yaml.Node, where: str) -> tuple[str, ...]:
    if isinstance(node, yaml.SequenceNode):
        named = {str(number): each for number, each in enumerate(node.value)}
    elif isinstance(node, yaml.MappingNode):
        named = _entries(node, where)
    else:
        named = {}
    if not named or set(named) != {str(number) for number in range(len(named))}:
        raise DataError(f"{_place(node, where)}: names are not a list, or not numbered from 0 without gaps")
    names: dict[str, str] = {}
    for number in range(len(named)):
        each = named[str(number)]
        if (name := _word(each, where)) in names:
            raise DataError(f"{_place(each, where)}: classes {names[name]} and {number} are both called {quoted(name)}")
        names[name] = str(number)
    return tuple(names)


def _existing(word: str, folders: list[Path], where: str) -> Path:
    words = word.replace("\\", "/")
    bare = words
    while bare.startswith("../"):
        bare = bare[3:]
    for folder in folders:
        for each in (words, bare):
            if os.path.exists(folder / each):  # noqa: PTH110 (too long a name is none)
                return (folder / each).resolve()
    raise DataError(f"{where}: there is no {quoted(word)}, neither from 'path' nor from the file's own folder")
