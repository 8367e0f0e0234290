"""COCO's JSON of instances: images, annotations and categories that refer to each other by ids (Lin et al. 2014).

Boxes are left, top, width, height, in pixels counted from 0. An image without annotations has no objects. Outlines,
polygons or run-lengths, are kept as they stand.
"""

import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable, quoted
from striate.data.records import Classes, Dataset, Split
from striate.data.settings import DataSettings
from striate.data.sources.boxes import Annotated, Annotation, boxes_dataset, passed_over
from striate.data.sources.file_splits import file_splits
from striate.data.sources.picture_index import PictureIndex, glimpse, start_of
from striate.data.sources.text_files import number, read_json, whole

ROUNDING = 0.0101
"""By so much may a box end beyond the border, in pixels: COCO rounds left and width to a hundredth each."""

_LISTS = ("images", "annotations", "categories")
_MARKS = ("iscrowd", "difficult")  # the second is none of COCO's: what is converted from Pascal VOC has it
_LOOKS = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')


def recognises(path: Path) -> bool:
    """Whether it is, or the folder has, a JSON file that begins like COCO's."""
    return any(_LOOKS.search(start) for file in glimpse(path, ".json") if (start := start_of(file)).startswith("{"))


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read one file, or all of COCO's files in a folder (of several those called ``instances...``), one a split.

    Raises:
        DataError: as `annotated`, and what `boxes_dataset` refuses.
    """
    index, pictures, classes, notices = annotated(path)
    return boxes_dataset(index, "coco", pictures, classes, settings, workers, notices=notices, tolerance=ROUNDING)


def annotated(path: Path) -> tuple[PictureIndex, list[Annotated], Classes, list[str]]:
    """The pictures and what is said of them, the classes, and notices.

    Raises:
        DataError: a file that is not COCO's, ids that are twice or nowhere, a class list that differs from file to
            file.
    """
    index = PictureIndex(path)
    files = [path] if path.is_file() else index.files(".json")
    files = [file for file in files if recognises(file)] or files
    if not files:
        raise DataError(f"{printable(path)} holds no JSON file with the lists images, annotations and categories")
    notices = []
    if instances := [file for file in files if file.name.startswith("instances")]:
        if others := [index.where(file) for file in files if file not in instances]:
            notices.append(f"passed over {counted(len(others), 'JSON file')} beside instances: {listed(others)}")
        files = instances
    classes: Classes | None = None
    pictures: list[Annotated] = []
    for file, split in zip(files, file_splits(index, files, "JSON", parts=False), strict=True):
        where = index.where(file)
        content = _lists(read_json(file, where), where)
        found = _Categories(
            content["categories"], where, {str(each.get("category_id")) for each in content["annotations"]}
        )
        notices += found.notices
        if classes is not None and found.classes != classes:
            raise DataError(f"{where}: has other categories than {index.where(files[0])}; expected the same in each")
        classes = found.classes
        pictures += _pictures(index, file, content, found, split)
    notices += passed_over(index, pictures)
    assert classes is not None  # there is a file
    return index, pictures, classes, notices


def _lists(content: object, where: str) -> dict[str, list[dict[str, Any]]]:
    """The three lists, each of objects."""
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in _LISTS):
        raise DataError(f"{where}: is not COCO's JSON; expected an object with the lists {', '.join(_LISTS)}")
    for name in _LISTS:
        for position, each in enumerate(content[name]):
            if not isinstance(each, dict):
                raise DataError(f"{where}: {name}[{position}] is {quoted(each)}; expected an object with an id")
    return {name: content[name] for name in _LISTS}


def _id(entry: Mapping[str, Any], key: str, where: str) -> int | str:
    found = entry.get(key)
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise DataError(f"{where}: {key} is {quoted(found)}; expected a whole number or a word")
    return found


def _short(key: int | str) -> str:
    return printable(str(key)[:40])


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    if not isinstance(found := entry.get(key), str) or not found.strip():
        raise DataError(f"{where}: {key} is {quoted(found)}; expected a name")
    return found.strip()


class _Categories:
    """The categories of a file as `Classes`, by id where these are numbers, and which index each id has.

    Of two with one name that without annotations goes: some programs write the name of the whole set as another class.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], where: str, used: Set[str]) -> None:
        self.notices: list[str] = []
        names: dict[int | str, str] = {}
        owners: dict[str, int | str] = {}
        for position, entry in enumerate(entries):
            key = _id(entry, "id", f"{where}: categories[{position}]")
            name = _text(entry, "name", f"{where}: category {_short(key)}")
            if key in names:
                raise DataError(
                    f"{where}: category {_short(key)} has two names, {quoted(names[key])} and {quoted(name)}; expected "
                    "one"
                )
            if name in owners:
                unused = [each for each in (owners[name], key) if str(each) not in used]
                if not unused:
                    raise DataError(
                        f"{where}: categories {_short(owners[name])} and {_short(key)} are both called {quoted(name)}; "
                        "expected one"
                    )
                self.notices.append(
                    f"{where}: category {_short(unused[0])} left out: it has no annotations, and another one is called "
                    f"{quoted(name)}, too"
                )
                names[key] = name
                names.pop(unused[0])
                owners[name] = key if unused[0] != key else owners[name]
                continue
            names[key], owners[name] = name, key
        order = list(names)
        if all(isinstance(key, int) for key in order):
            order.sort()
        self.classes = Classes(tuple(names[key] for key in order), tuple(map(str, order)))
        self.indices = {key: position for position, key in enumerate(order)}


def _pictures(
    index: PictureIndex,
    file: Path,
    content: Mapping[str, Sequence[Mapping[str, Any]]],
    categories: _Categories,
    split: Split | None,
) -> list[Annotated]:
    where = index.where(file)
    pictures: dict[int | str, Annotated] = {}
    for position, entry in enumerate(content["images"]):
        key = _id(entry, "id", f"{where}: images[{position}]")
        place = f"{where}: image {_short(key)}"
        if key in pictures:
            raise DataError(f"{place}: there are two images of this id; expected one")
        name = _text(entry, "file_name", place)
        path = index.find(name, file)
        size = None
        if "height" in entry and "width" in entry:
            size = (whole(entry["height"], place, "height"), whole(entry["width"], place, "width"))
        pictures[key] = Annotated(path, place if path else index.missing(place, name), [], size, split)
    seen: set[int | str] = set()
    for position, entry in enumerate(content["annotations"]):
        key = _id(entry, "id", f"{where}: annotations[{position}]")
        place = f"{where}: annotation {_short(key)}"
        if key in seen:
            raise DataError(f"{place}: there are two annotations of this id; expected one")
        seen.add(key)
        picture = pictures.get(_id(entry, "image_id", place))
        if picture is None:
            raise DataError(f"{place}: image_id is {quoted(entry['image_id'])}, and there is no image of this id")
        assert picture.objects is not None
        picture.objects.append(_annotation(entry, key, place, categories))
    return list(pictures.values())


def _annotation(entry: Mapping[str, Any], key: int | str, place: str, categories: _Categories) -> Annotation:
    category = _id(entry, "category_id", place)
    if category not in categories.indices:
        known = listed([_short(each) for each in categories.classes.ids or ()])
        raise DataError(
            f"{place}: category_id is {quoted(category)}, and there is no category of this id; there are {known}"
        )
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise DataError(f"{place}: bbox is {quoted(box)}; expected left, top, width and height")
    left, top, width, height = (number(each, place, "bbox") for each in box)
    area = number(entry["area"], place, "area") if entry.get("area") is not None else None
    if area is not None and area < 0:
        raise DataError(f"{place}: area is {area:g}; expected pixels, 0 or more")
    for mark in _MARKS:
        if entry.get(mark, 0) not in (0, 1):
            raise DataError(f"{place}: {mark} is {quoted(entry[mark])}; expected 0 or 1")
    return Annotation(
        place,
        categories.indices[category],
        (left, top, left + width, top + height),
        difficult=bool(entry.get("difficult", 0)),
        crowd=bool(entry.get("iscrowd", 0)),
        id=str(key),
        area=area,
        outline=_outline(entry.get("segmentation"), place),
    )


def _outline(found: object, place: str) -> Any:
    """A list of polygons, a run-length mask, or None."""
    if not found:
        return None
    if isinstance(found, list) and all(
        isinstance(each, list) and len(each) >= 6 and not len(each) % 2 for each in found
    ):
        try:
            if all(bool(np.isfinite(np.array(each, dtype=np.float64)).all()) for each in found):
                return found
        except (TypeError, ValueError):
            pass
    elif isinstance(found, dict) and isinstance(found.get("counts"), list | str) and _is_size(found.get("size")):
        return found
    raise DataError(
        f"{place}: segmentation is neither a list of polygons (x and y by turns, three points or more) nor a "
        "run-length mask with counts and size, height and width"
    )


def _is_size(found: object) -> bool:
    """Whether it is the height and the width of a mask."""
    return isinstance(found, list) and len(found) == 2 and all(type(side) is int and side > 0 for side in found)
