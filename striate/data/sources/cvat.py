"""CVAT's XML for images, version 1.1: polygons, masks, boxes and ellipses in each ``<image>``.

A higher ``z_order`` lies over a lower one. The classes are the labels in the order in which the task has them. Tracks
of videos, whose frames are no files, are refused.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from striate.base.errors import DataError
from striate.data.names import listed, printable, quoted
from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources.boxes import Annotated, Annotation, passed_over
from striate.data.sources.layouts import split_names
from striate.data.sources.picture_index import PictureIndex, glimpse, start_of
from striate.data.sources.shapes import circle, runs_in, shapes_dataset, sides_of, undrawn
from striate.data.sources.text_files import Element, number, read_xml, whole

_STARTS = re.compile(r"<annotations[\s>]")
_LINES = ("polyline", "points", "cuboid", "skeleton")
_OTHERS = ("tag", "attribute")


def recognises(path: Path) -> bool:
    """Whether it is, or the folder has, an XML file with an element ``annotations``."""
    return any(_STARTS.search(start_of(file)) for file in glimpse(path, ".xml"))


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read one file, or all of CVAT's below a folder.

    Raises:
        DataError: a file that is not CVAT's, of a video, or with a shape that is none, and what `shapes_dataset`
            refuses.
    """
    index = PictureIndex(path)
    files = [path] if path.is_file() else index.files(".xml")
    files = [file for file in files if _STARTS.search(start_of(file))] or files
    if not files:
        raise DataError(f"{printable(path)} holds no XML file; CVAT's is called annotations.xml")
    names: dict[str, None] = {}
    pictures: list[Annotated] = []
    lines: list[str] = []
    for file in files:
        where = index.where(file)
        root = read_xml(file, where)
        if root.name != "annotations":
            raise DataError(f"{where}:{root.line}: holds <{printable(root.name[:40])}>; expected <annotations>")
        if track := next(root.all("track"), None):
            raise DataError(
                f"{where}:{track.line}: is of a video, by tracks; export it as 'CVAT for images', with a file a frame"
            )
        names |= dict.fromkeys(_labels(root))
        images = list(root.all("image"))
        splits = split_names(sorted({image.attributes.get("subset", "") for image in images}))
        for image in images:
            picture = _picture(index, file, image, lines)
            picture.split = splits.get(image.attributes.get("subset", ""))
            pictures.append(picture)
    used = {str(each.label): each.where for picture in pictures for each in picture.objects or ()}
    if names and (strange := [name for name in used if name not in names]):
        raise DataError(f"{used[strange[0]]}: the label is {quoted(strange[0])}; the task has {listed([*names])}")
    notices = [*passed_over(index, pictures), *undrawn(lines)]
    return shapes_dataset(index, "cvat", pictures, [*names] or None, settings, workers, notices=notices)


def _labels(root: Element) -> Iterator[str]:
    """The names of the task's labels, without those that are parts of skeletons."""
    for meta in root.all("meta"):
        for of in (*meta.all("task"), *meta.all("project"), *meta.all("job")):
            for labels in of.all("labels"):
                for label in labels.all("label"):
                    if not any(label.all("parent")):
                        yield from (each.text for each in label.all("name") if each.text)


def _picture(index: PictureIndex, file: Path, image: Element, lines: list[str]) -> Annotated:
    where = f"{index.where(file)}:{image.line}"
    name = image.attributes.get("name", "")
    if not name:
        raise DataError(f"{where}: an image without a name; expected the picture's")
    size = sides_of(image.attributes.get("height"), image.attributes.get("width"), where)
    objects = []
    for each in image.children:
        place = f"{index.where(file)}:{each.line}"
        if each.name in _LINES:
            lines.append(place)
        elif each.name not in _OTHERS:
            objects.append(_annotation(each, place, size))
    path = index.find(name, file)
    return Annotated(path, where if path else index.missing(where, name), objects, size)


def _annotation(each: Element, place: str, size: tuple[int, int]) -> Annotation:
    label = each.attributes.get("label", "")
    if not label:
        raise DataError(f"{place}: <{printable(each.name[:40])}> has no label")
    layer = int(number(each.attributes.get("z_order", "0"), place, "z_order"))
    outline = runs_in(_covered(each, place, size)) if each.name == "mask" else [_polygon(each, place)]
    return Annotation(place, label, (0.0, 0.0, 0.0, 0.0), outline=outline, layer=layer)


def _numbers(each: Element, place: str, names: Sequence[str]) -> list[float]:
    return [number(each.attributes.get(name), place, name) for name in names]


def _polygon(each: Element, place: str) -> list[float]:
    """The points of a shape, x and y by turns."""
    if each.name == "polygon":
        points = [point.split(",") for point in each.attributes.get("points", "").split(";")]
        if len(points) < 3 or any(len(point) != 2 for point in points):
            raise DataError(
                f"{place}: points are {quoted(each.attributes.get('points'))}; expected x,y;x,y;x,y and so on"
            )
        return [number(word, place, "a point") for point in points for word in point]
    turn = math.radians(number(each.attributes.get("rotation", "0"), place, "rotation"))
    if each.name == "box":
        left, top, right, bottom = _numbers(each, place, ("xtl", "ytl", "xbr", "ybr"))
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    elif each.name == "ellipse":
        x, y, across, down = _numbers(each, place, ("cx", "cy", "rx", "ry"))
        corners = circle(x, y, across, down)
    else:
        raise DataError(f"{place}: holds <{printable(each.name[:40])}>; expected polygon, mask, box or ellipse")
    centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    points_: list[float] = ((corners - centre) @ rotation + centre).ravel().tolist()
    return points_


def _covered(each: Element, place: str, size: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """The pixels of a mask: run-lengths by rows of a part of the picture, from what is not covered on."""
    sides = ("left", "top", "width", "height")
    left, top, width, height = (whole(each.attributes.get(name), place, name) for name in sides)
    counts = [whole(word, place, "rle") for word in each.attributes.get("rle", "").split(",")]
    inside = min(left, top, width, height, *counts) >= 0 and left + width <= size[1] and top + height <= size[0]
    if not inside or sum(counts) != width * height:
        raise DataError(
            f"{place}: a mask of {width} x {height} at {left}, {top} with runs of {sum(counts)} pixels in a picture of "
            f"{size[1]} x {size[0]}; expected runs for each pixel of a part of it"
        )
    covered = np.zeros(size, dtype=bool)
    part = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
    covered[top : top + height, left : left + width] = part
    return covered
