"""Labelme's JSON: a file for each picture, with its shapes; polygons, rectangles, circles and masks are drawn.

Shapes of one label and one group are one object. ``_background_`` is the background, ``__ignore__`` is nobody's.
"""

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from striate.base.errors import DataError
from striate.data.names import counted, printable, quoted
from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources.boxes import Annotated, Annotation
from striate.data.sources.faults import Fault
from striate.data.sources.picture_index import PictureIndex, glimpse, start_of
from striate.data.sources.shapes import circle, runs_in, shapes_dataset, sides_of, undrawn
from striate.data.sources.text_files import number, read_json

_ALONE = Fault(
    "annotation has no picture beside it", "annotations have no pictures beside them", "put the pictures there"
)
_EMBEDDED = replace(_ALONE, mend=f"{_ALONE.mend}, as files; those within the JSON (imageData) are not read")

_LINES = ("line", "linestrip", "point", "points")


def recognises(path: Path) -> bool:
    """Whether it is, or the folder has, a JSON file with Labelme's words near its beginning."""
    return any(_is_labelmes(file) for file in glimpse(path, ".json"))


def _is_labelmes(file: Path) -> bool:
    start = start_of(file)
    return start.startswith("{") and '"shapes"' in start and ('"imagePath"' in start or '"shape_type"' in start)


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read one file, or all of Labelme's below a folder.

    Raises:
        DataError: a file that is not Labelme's, a shape that is none, and what `shapes_dataset` refuses.
    """
    index = PictureIndex(path)
    files = [path] if path.is_file() else index.files(".json")
    files = [file for file in files if _is_labelmes(file)] or files
    if not files:
        raise DataError(f"{printable(path)} holds no JSON file; Labelme has one for each picture")
    lines: list[str] = []
    embedded: list[str] = []
    pictures = [_picture(index, file, lines, embedded) for file in files]
    if path.is_dir():
        named = {picture.path for picture in pictures}
        pictures += [Annotated(each, index.where(each), None) for each in index.pictures if each not in named]
    missing = _EMBEDDED if embedded else _ALONE
    return shapes_dataset(index, "labelme", pictures, None, settings, workers, notices=undrawn(lines), missing=missing)


def _picture(index: PictureIndex, file: Path, lines: list[str], embedded: list[str]) -> Annotated:
    """What a file says; places of lines, and of pictures that the file alone has, are added to the lists."""
    where = index.where(file)
    content = read_json(file, where)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise DataError(f"{where}: is not Labelme's JSON; expected an object with a list of shapes")
    height, width = content.get("imageHeight"), content.get("imageWidth")
    size = None if height is None or width is None else sides_of(height, width, where)
    name = content.get("imagePath")
    path = (index.find(name, file) if isinstance(name, str) and name else None) or index.namesake(file)
    objects: list[Annotation] = []
    groups: dict[tuple[str, Any], list[list[float]]] = {}
    for position, shape in enumerate(content["shapes"]):
        place = f"{where}: shapes[{position}]"
        if not isinstance(shape, dict):
            raise DataError(f"{place} is {quoted(shape)}; expected an object with label and points")
        if (kind := shape.get("shape_type") or "polygon") in _LINES:
            lines.append(place)
            continue
        label = shape.get("label")
        if not isinstance(label, str) or not label.strip():
            raise DataError(f"{place}: label is {quoted(label)}; expected a class")
        points = _points(shape.get("points"), place)
        if kind == "mask":
            outline: Any = _runs(shape.get("mask"), points, size, place)
        else:
            outline = [_polygon(str(kind), points, place)]
            group = (label, shape.get("group_id"))
            if isinstance(group[1], int):
                if group in groups:
                    groups[group] += outline
                    continue
                groups[group] = outline
        objects.append(Annotation(place, label.strip(), (0.0, 0.0, 0.0, 0.0), outline=outline))
    if path is None:
        embedded += [where] * bool(content.get("imageData"))
        where = index.missing(where, name if isinstance(name, str) and name else file.stem)
    return Annotated(path, where, objects, size)


def _points(found: object, place: str) -> list[list[float]]:
    if not isinstance(found, list) or not all(isinstance(point, list) and len(point) == 2 for point in found):
        raise DataError(f"{place}: points are {quoted(found)}; expected a list of pairs, x and y")
    return [[number(each, place, "a point") for each in point] for point in found]


def _polygon(kind: str, points: Sequence[Sequence[float]], place: str) -> list[float]:
    """The points of a shape, x and y by turns."""
    least = {"polygon": 3, "rectangle": 2, "circle": 2}.get(kind)
    if least is None or len(points) < least or (least == 2 and len(points) > 2 and kind == "circle"):
        raise DataError(
            f"{place}: a {quoted(kind)} of {counted(len(points), 'point')}; expected a polygon of three or more, a "
            "rectangle of two corners, a circle of its centre and a point on it, or a mask"
        )
    if kind == "circle":
        (x, y), (other, below) = points
        radius = float(np.hypot(other - x, below - y))
        drawn: list[float] = circle(x, y, radius, radius).ravel().tolist()
        return drawn
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return [each for point in points for each in point]


def _runs(found: object, points: Sequence[Sequence[float]], size: tuple[int, int] | None, place: str) -> dict[str, Any]:
    """The run-lengths of a mask: a PNG, in base64, of the part of the picture from the first point on."""
    left, top = (round(each) for each in points[0]) if points else (-1, -1)
    if size is None or min(left, top) < 0:
        raise DataError(f"{place}: a mask without imageHeight and imageWidth, or without the point where it begins")
    covered = np.zeros(size, dtype=bool)
    try:
        with Image.open(io.BytesIO(base64.b64decode(str(found), validate=True)), formats=("PNG",)) as image:
            if left + image.width > size[1] or top + image.height > size[0] or len(image.getbands()) > 1:
                raise DataError(
                    f"{place}: its mask reaches out of its picture of {size[1]} x {size[0]}, or is in colours"
                )
            covered[top : top + image.height, left : left + image.width] = np.array(image) > 0
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{place}: its mask is no PNG in base64") from error
    return runs_in(covered)
