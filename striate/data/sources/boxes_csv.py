"""A CSV of boxes, a line an object: picture, class, and left, top, right, bottom (or left, top, width, height).

The first line names the columns, by the names in `_MEANINGS`; without such a line they are picture, left, top, right,
bottom, class. Coordinates are the edges, in pixels counted from 0. A picture alone in its line has no objects.
"""

from collections.abc import Iterator
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import listed, printable, quoted
from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources.boxes import Annotated, Annotation, boxes_dataset
from striate.data.sources.picture_index import PictureIndex, glimpse, start_of
from striate.data.sources.text_files import divider, number, read_rows, read_text, whole

_MEANINGS: dict[str, tuple[str, ...]] = {
    "picture": ("filename", "file_name", "file", "image", "image_name", "image_path", "image_id", "path", "img"),
    "class": ("class", "label", "name", "class_name", "category"),
    "left": ("xmin", "x_min", "x1", "left", "x"),
    "top": ("ymin", "y_min", "y1", "top", "y"),
    "right": ("xmax", "x_max", "x2", "right"),
    "bottom": ("ymax", "y_max", "y2", "bottom"),
    "width": ("width", "w", "box_width", "bbox_width"),
    "height": ("height", "h", "box_height", "bbox_height"),
}
_EDGES = ("left", "top", "right", "bottom")
_PLAIN = ("picture", *_EDGES, "class")


def recognises(path: Path) -> bool:
    """Whether it is, or the folder itself has, a CSV file whose first line names a picture, a class and a box."""
    return any(
        file.parent in (path, path.parent) and _columns(start_of(file, 1 << 12).partition("\n")[0])
        for file in glimpse(path, ".csv")
    )


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read one file, or the only such one in a folder.

    Raises:
        DataError: none or several such files, a line with fewer columns or without numbers, and what `boxes_dataset`
            refuses.
    """
    index = PictureIndex(path)
    files = [path] if path.is_file() else sorted(path.glob("*.csv"))
    files = [file for file in files if recognises(file)] or files
    if len(files) != 1:
        what = f"several: {listed([index.where(file) for file in files])}" if files else "none"
        names = ", ".join(_MEANINGS)
        raise DataError(f"{printable(path)}: expected one CSV file with columns for {names}; found {what}")
    pictures: dict[str, Annotated] = {}
    objects: dict[str, list[Annotation]] = {}
    for place, name, size, object_ in _rows(files[0], index.where(files[0])):
        if name not in pictures:
            found = index.find(name, files[0])
            objects[name] = []
            pictures[name] = Annotated(found, place if found else index.missing(place, name), objects[name], size)
        known = pictures[name]
        if size and known.size and size != known.size:
            (height, width), (theirs, other) = size, known.size
            raise DataError(f"{place}: {quoted(name)} is {width} x {height}, and {other} x {theirs} by {known.where}")
        known.size = known.size or size
        if object_ is not None:
            objects[name].append(object_)
    named = {picture.path for picture in pictures.values()}
    others = [Annotated(each, index.where(each), None) for each in index.pictures if each not in named]
    return boxes_dataset(index, "boxes-csv", [*pictures.values(), *others], None, settings, workers)


def _columns(line: str) -> dict[str, int]:
    """Where each meaning stands in the first line; empty if that names no box.

    Beside right and bottom, width and height are the picture's.
    """
    names = [word.strip().strip('"').lower() for word in line.split(divider(line))]
    found = {
        meaning: names.index(name) for meaning, known in _MEANINGS.items() for name in known[::-1] if name in names
    }
    whole = {"right", "bottom"} <= found.keys() or {"width", "height"} <= found.keys()
    return found if whole and {"picture", "class", "left", "top"} <= found.keys() else {}


def _rows(file: Path, where: str) -> Iterator[tuple[str, str, tuple[int, int] | None, Annotation | None]]:
    """Place, picture, the size that is said of it, and object of each line."""
    text = read_text(file, where)
    if not text.strip():
        raise DataError(f"{where} is empty; expected a line a box: {', '.join(_PLAIN)}")
    first = text.partition("\n")[0]
    columns = _columns(first)
    at = columns or {meaning: position for position, meaning in enumerate(_PLAIN)}
    for number_, (place, words) in enumerate(read_rows(text, where, divider(first))):
        if columns and number_ == 0:
            continue
        if len(words) <= max(at.values()) and len(words) > 1:
            raise DataError(f"{place}: has {len(words)} columns; expected {max(at.values()) + 1}, {', '.join(at)}")
        row = {meaning: words[position].strip() for meaning, position in at.items() if position < len(words)}
        if not row.get("picture"):
            raise DataError(f"{place}: names no picture")
        yield place, row["picture"], *_object(row, place)


def _object(row: dict[str, str], place: str) -> tuple[tuple[int, int] | None, Annotation | None]:
    edges = "right" in row
    box = _EDGES if edges else ("left", "top", "width", "height")
    size = None
    if edges and row.get("width") and row.get("height"):
        size = (whole(row["height"], place, "height"), whole(row["width"], place, "width"))
    if not any(row.get(key) for key in (*box, "class")):
        return size, None
    if not row.get("class"):
        raise DataError(f"{place}: a box without a class")
    left, top, right, bottom = (number(row.get(key), place, key) for key in box)
    if not edges:
        right, bottom = left + right, top + bottom
    return size, Annotation(place, row["class"], (left, top, right, bottom))
