"""The VGG Image Annotator's files, version 1 and 2: a JSON project, its annotations alone, or its CSV.

Regions are rectangles, left, top, width and height in pixels counted from 0; polygons, circles and ellipses (turned by
``theta``, in radians) are taken for the boxes around them. The class is the region's only attribute, or the one with a
name for it. A picture without regions has no objects.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable, quoted
from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources.boxes import Annotated, Annotation, boxed, boxes_dataset, passed_over
from striate.data.sources.picture_index import PictureIndex, glimpse, start_of
from striate.data.sources.text_files import number, parsed_json, read_json, read_rows, read_text

_PROJECT = "_via_img_metadata"
_COLUMNS = ("filename", "region_count", "region_shape_attributes", "region_attributes")
_NAMED = ("class", "label", "name", "category", "type", "object")

_Box = tuple[float, float, float, float]


def recognises(path: Path) -> bool:
    """Whether it is, or the folder has, a JSON or CSV file with the annotator's own words near its beginning."""
    return any(
        f'"{_PROJECT}"' in start
        or "region_shape_attributes" in start
        or ('"regions"' in start and '"filename"' in start)
        for file in glimpse(path, ".json", ".csv")
        for start in [start_of(file)]
    )


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read one file, or the only one of the annotator's in a folder.

    Raises:
        DataError: none or several such files, a region of no shape or class that can be told, and what `boxes_dataset`
            refuses.
    """
    index = PictureIndex(path)
    files = [path] if path.is_file() else index.files(".json", ".csv")
    files = [file for file in files if recognises(file)] or files
    if len(files) != 1:
        what = f"several: {listed([index.where(file) for file in files])}" if files else "none"
        raise DataError(f"{printable(path)}: expected one file of the VGG Image Annotator, found {what}")
    where = index.where(files[0])
    entries = _rows(files[0], where) if files[0].suffix.lower() == ".csv" else _entries(files[0], where)
    pictures: list[Annotated] = []
    outlines: list[str] = []
    for entry in entries:
        found = index.find(entry.name, files[0])
        objects = [
            Annotation(place, _label(attributes, place), _box(shape, place, outlines))
            for place, shape, attributes in entry.regions
        ]
        pictures.append(Annotated(found, entry.where if found else index.missing(entry.where, entry.name), objects))
    notices = passed_over(index, pictures)
    notices += boxed(outlines)
    return boxes_dataset(index, "via", pictures, None, settings, workers, notices=notices)


@dataclass(slots=True)
class _Entry:
    """A picture as the file has it; ``regions`` are place, shape and attributes of each."""

    where: str
    name: str
    regions: list[tuple[str, Any, Any]] = field(default_factory=list)


def _entries(file: Path, where: str) -> list[_Entry]:
    """The pictures of a JSON file."""
    content = read_json(file, where)
    if isinstance(content, dict) and _PROJECT in content:
        content = content[_PROJECT]
    if not isinstance(content, dict):
        raise DataError(f"{where}: is not of the VGG Image Annotator; expected an object with an entry a picture")
    entries = []
    for key, each in content.items():
        place = f"{where}: {printable(key[:60])}"
        regions = each.get("regions") if isinstance(each, dict) else None
        if not isinstance(regions, dict | list) or not isinstance(name := each.get("filename"), str) or not name:
            raise DataError(f"{place}: expected a filename and regions")
        entries.append(entry := _Entry(place, name))
        for number_, region in enumerate(regions.values() if isinstance(regions, dict) else regions):
            if not isinstance(region, dict):
                raise DataError(f"{place}: region {number_} is no object with shape_attributes and region_attributes")
            shape, attributes = region.get("shape_attributes"), region.get("region_attributes")
            entry.regions.append((f"{place}, region {number_}", shape, attributes))
    return entries


def _rows(file: Path, where: str) -> list[_Entry]:
    """The same of a CSV file, a row a region, whose shapes and attributes are JSON in their columns."""
    lines = read_rows(read_text(file, where), where, ",")
    _, columns = next(lines, ("", []))
    if missing := [column for column in _COLUMNS if column not in columns]:
        raise DataError(f"{where}:1: has no columns {', '.join(missing)}")
    entries: dict[tuple[str, str], _Entry] = {}
    counts: dict[tuple[str, str], str] = {}
    for place, words in lines:
        row = dict(zip(columns, words, strict=False))
        if not row.get("filename") or "region_attributes" not in row:
            raise DataError(f"{place}: has fewer columns than the first line, or no filename")
        key = (row["filename"], row.get("file_size", "").strip())  # two files of one name differ in size, as in JSON
        entry = entries.setdefault(key, _Entry(place, row["filename"]))
        count = row["region_count"].strip()
        if (first := counts.setdefault(key, count)) != count:
            raise DataError(f"{place}: region_count is {quoted(count)}, and {quoted(first)} in {entry.where}")
        shape = _json(row, _COLUMNS[2], place)
        if count != "0" or shape:
            entry.regions.append((place, shape, _json(row, _COLUMNS[3], place)))
    for key, entry in entries.items():
        if counts[key] != str(len(entry.regions)):
            has = counted(len(entry.regions), "row with a shape", "rows with a shape")
            raise DataError(
                f"{entry.where}: region_count of {quoted(entry.name)} is {quoted(counts[key])}, and there "
                f"{'is' if len(entry.regions) == 1 else 'are'} {has}; correct the count, or add what is missing"
            )
    return list(entries.values())


def _json(row: Mapping[str, str], column: str, place: str) -> Any:
    try:
        return parsed_json(row[column])
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: {column} is not JSON that can be read") from error


def _box(shape: object, place: str, outlines: list[str]) -> _Box:
    kind = shape.get("name") if isinstance(shape, dict) else None
    if not isinstance(shape, dict) or kind not in ("rect", "polygon", "polyline", "circle", "ellipse"):
        raise DataError(f"{place}: its shape is {quoted(kind)}, which has no box; expected a rect")
    if kind == "rect":
        left, top, width, height = (number(shape.get(key), place, key) for key in ("x", "y", "width", "height"))
        return left, top, left + width, top + height
    outlines.append(place)
    if kind in ("circle", "ellipse"):
        x, y = (number(shape.get(key), place, key) for key in ("cx", "cy"))
        across, down = (number(shape.get(key, shape.get("r")), place, key) for key in ("rx", "ry"))
        if kind == "ellipse" and shape.get("theta"):
            turned = number(shape["theta"], place, "theta")
            cosine, sine = math.cos(turned), math.sin(turned)
            across, down = math.hypot(across * cosine, down * sine), math.hypot(across * sine, down * cosine)
        return x - across, y - down, x + across, y + down
    across_, down_ = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(across_, list) or not isinstance(down_, list) or not across_ or len(across_) != len(down_):
        raise DataError(f"{place}: all_points_x and all_points_y are not two lists of equal length")
    xs, ys = ([number(each, place, "a point") for each in points] for points in (across_, down_))
    return min(xs), min(ys), max(xs), max(ys)


def _label(attributes: object, place: str) -> str:
    given = attributes if isinstance(attributes, dict) else {}
    keys = list(given) if len(given) == 1 else [key for key in given if key.lower() in _NAMED]
    if len(keys) != 1:
        has = f"; it has {listed(sorted(printable(key[:40]) for key in given))}" if given else ""
        raise DataError(
            f"{place}: which attribute is its class cannot be told; expected one alone, or one called "
            f"{', '.join(_NAMED)}{has}"
        )
    value = given[keys[0]]
    chosen = [name for name, on in value.items() if on] if isinstance(value, dict) else [value]
    if len(chosen) != 1 or not isinstance(chosen[0], str) or not chosen[0].strip():
        raise DataError(f"{place}: {printable(keys[0][:40])} is {quoted(value)}; expected one class")
    return chosen[0].strip()
