"""dlib's XML, as ImgLab writes it: ``<dataset><images><image file=""><box top left width height><label>``.

Coordinates are pixels counted from 0. What is marked to be ignored becomes a crowd, a region where nobody counted. An
image without boxes has no objects.
"""

from collections.abc import Iterator
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import printable, quoted
from striate.data.records import Dataset, Split
from striate.data.settings import DataSettings
from striate.data.sources.boxes import Annotated, Annotation, boxes_dataset, passed_over
from striate.data.sources.file_splits import file_splits
from striate.data.sources.picture_index import PictureIndex, glimpse, start_of
from striate.data.sources.text_files import Element, number, read_xml, whole

_UNNAMED = "object"
"""The class where dlib's boxes have no labels."""


def recognises(path: Path) -> bool:
    """Whether it is, or the folder has, an XML file with an element ``dataset`` and one ``images``."""
    starts = (start_of(file) for file in glimpse(path, ".xml"))
    return any("<dataset" in start and "<images" in start for start in starts)


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read one file, or all of dlib's files in a folder, which may be called as splits.

    Raises:
        DataError: a file that is not dlib's, several of which some names say a split and others do not, a box without
            its four numbers, labels in some boxes alone, and what `boxes_dataset` refuses.
    """
    index = PictureIndex(path)
    files = [path] if path.is_file() else index.files(".xml")
    files = [file for file in files if recognises(file)] or files
    if not files:
        raise DataError(f"{printable(path)} holds no XML file of dlib's, with <dataset> and <images>")
    splits = file_splits(index, files, "XML", parts=True)
    unnamed: list[str] = []
    pictures = [
        picture for file, split in zip(files, splits, strict=True) for picture in _pictures(index, file, split, unnamed)
    ]
    if unnamed and len(unnamed) < sum(len(picture.objects or ()) for picture in pictures):
        raise DataError(f"{unnamed[0]}: a box without <label>, and others have one; expected labels in all or in none")
    return boxes_dataset(index, "dlib", pictures, None, settings, workers, notices=passed_over(index, pictures))


def _pictures(index: PictureIndex, file: Path, split: Split | None, unnamed: list[str]) -> Iterator[Annotated]:
    """The pictures of a file; the places of boxes without a label are added to ``unnamed``."""
    where = index.where(file)
    dataset = read_xml(file, where)
    if dataset.name != "dataset":
        raise DataError(f"{where}:{dataset.line}: holds <{printable(dataset.name[:40])}>; expected <dataset>")
    for image in dataset.one("images", where).all("image"):
        place = f"{where}:{image.line}"
        name = _attribute(image, "file", place)
        path = index.find(name, file)
        size = None
        if {"height", "width"} <= image.attributes.keys():
            size = (
                whole(image.attributes["height"], place, "height"),
                whole(image.attributes["width"], place, "width"),
            )
        objects = [_box(each, where, unnamed) for each in image.all("box")]
        yield Annotated(path, place if path else index.missing(place, name), objects, size, split)


def _box(box: Element, where: str, unnamed: list[str]) -> Annotation:
    place = f"{where}:{box.line}"
    left, top, width, height = (_number(box, key, place) for key in ("left", "top", "width", "height"))
    label = _UNNAMED
    if not any(box.all("label")):
        unnamed.append(place)
    elif not (label := box.one("label", where).text):
        raise DataError(f"{place}: an empty <label>; expected the name of a class")
    flags = {key: box.attributes.get(key, "0") for key in ("ignore", "difficult")}
    for key, value in flags.items():
        if value not in ("0", "1"):
            raise DataError(f"{place}: {key} is {quoted(value)}; expected 0 or 1")
    return Annotation(
        place,
        label,
        (left, top, left + width, top + height),
        difficult=flags["difficult"] == "1",
        crowd=flags["ignore"] == "1",
    )


def _attribute(element: Element, key: str, place: str) -> str:
    if not (found := element.attributes.get(key, "").strip()):
        raise DataError(f"{place}: <{printable(element.name[:40])}> has no {key}")
    return found


def _number(element: Element, key: str, place: str) -> float:
    return number(_attribute(element, key, place), place, key)
