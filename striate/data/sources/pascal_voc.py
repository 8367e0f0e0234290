"""Pascal VOC: an XML file for each picture, with or without the lists of ``ImageSets/Main`` (Everingham et al. 2010).

Its coordinates are pixels, counted from 1, and both ends belong to the box: a whole picture of 4 x 3 pixels is 1, 1, 4,
3. With ``first_pixel`` 0 they are edges, counted from 0, as some programs write them. A picture is found by
``filename``, else by the XML file's own name.
"""

import re
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import composed, counted, listed, printable, quoted
from striate.data.records import Dataset, Split
from striate.data.settings import DataSettings
from striate.data.sources.boxes import Annotated, Annotation, boxes_dataset
from striate.data.sources.picture_index import PictureIndex, glimpse, start_of
from striate.data.sources.text_files import Element, number, read_text, read_xml, whole

CLASS_MASKS, OBJECT_MASKS = "SegmentationClass", "SegmentationObject"
"""Folders of masks, which are no pictures to be annotated."""

_LISTS: dict[str, Split] = {"train": "train", "val": "val", "test": "test", "trainval": "train"}
_FROM_0 = (
    "where a coordinate is 0, the file does not count pixels from 1, as Pascal VOC does, and its boxes lie a pixel "
    "off: say so with --first-pixel 0"
)
_ANNOTATION = re.compile(r"<annotation[\s/>]")
_EDGES = ("xmin", "ymin", "xmax", "ymax")


def recognises(path: Path) -> bool:
    """Whether an XML file in the folder, or in one of its folders, has an element ``annotation``."""
    return path.is_dir() and any(_ANNOTATION.search(start_of(file)) for file in glimpse(path, ".xml"))


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read all XML files below a folder, or those that ``ImageSets/Main`` lists.

    Raises:
        DataError: a file that is not VOC's, an object without a name or numbers, and what `boxes_dataset` refuses.
    """
    if not path.is_dir():
        raise DataError(f"{printable(path)} is a file; Pascal VOC is a folder with an XML file for each picture")
    index = PictureIndex(path, aside=(CLASS_MASKS, OBJECT_MASKS))
    notices: list[str] = []
    renamed: list[str] = []
    files = index.files(".xml")
    if not files:
        raise DataError(f"{printable(path)} holds no XML files; Pascal VOC has one for each picture")
    known = [(file.stem, _picture(index, file, settings, renamed)) for file in files]
    if renamed:
        what = counted(len(renamed), "XML file names", "XML files name")
        notices.append(
            f"{what} a picture that is not there, and is taken for the one of its own name: {listed(renamed)}"
        )
    named = {picture.path for _, picture in known}
    known += [(each.stem, Annotated(each, index.where(each), None)) for each in index.pictures if each not in named]
    pictures = of_lists(index, known, "Main", notices)
    begins = [min(each.xyxy[:2]) for picture in pictures for each in picture.objects or ()]
    hint = _FROM_0 if settings.first_pixel and -1 in begins else ""
    return boxes_dataset(index, "voc", pictures, None, settings, workers, notices=notices, hint=hint)


def _picture(index: PictureIndex, file: Path, settings: DataSettings, renamed: list[str]) -> Annotated:
    where = index.where(file)
    annotation = read_xml(file, where)
    if annotation.name != "annotation":
        raise DataError(f"{where}:{annotation.line}: holds <{printable(annotation.name[:40])}>; expected <annotation>")
    size = None
    if any(annotation.all("size")):
        element = annotation.one("size", where)
        height, width = (whole(element.one(side, where).text, where, side) for side in ("height", "width"))
        size = (height, width)
    objects = [_object(each, where, settings.first_pixel) for each in annotation.all("object")]
    name = annotation.one("filename", where).text if any(annotation.all("filename")) else ""
    path, own = index.find(name, file) if name else None, index.namesake(file)
    if path and own and path != own and path.stem != file.stem:
        raise DataError(
            f"{where}: its filename is {quoted(name)}, and there is a picture of the file's own name, too, "
            f"{index.where(own)}; correct the filename, so that it is known which of them it is about"
        )
    if path is None and own is not None and name:
        renamed.append(f"{where} ({quoted(name)})")
    if path is None and own is None:
        where = index.missing(where, name) if name else f"{where} (no filename)"
    return Annotated(path or own, where, objects, size)


def _object(element: Element, where: str, first: int) -> Annotation:
    place = f"{where}:{element.line}"
    name = element.one("name", where).text
    if not name:
        raise DataError(f"{place}: an object without a name; expected its class in <name>")
    box = element.one("bndbox", where)
    left, top, right, bottom = (
        number(child.text, f"{where}:{child.line}", edge) for edge in _EDGES for child in [box.one(edge, where)]
    )
    difficult = [child.text for child in element.all("difficult")]
    if difficult and difficult[0] not in ("0", "1"):
        raise DataError(f"{place}: difficult is {quoted(difficult[0])}; expected 0 or 1")
    return Annotation(place, name, (left - first, top - first, right, bottom), difficult=difficult == ["1"])


def of_lists(index: PictureIndex, known: list[tuple[str, Annotated]], kind: str, notices: list[str]) -> list[Annotated]:
    """The pictures that the lists of ``ImageSets/<kind>`` name, with their splits; all of them without such lists."""
    lists = [file for file in index.files(".txt") if file.parts[-3:-1] == ("ImageSets", kind) and file.stem in _LISTS]
    if not lists:
        return [picture for _, picture in known]
    if {"train", "val"} <= {file.stem for file in lists}:
        lists = [file for file in lists if file.stem != "trainval"]
    by_name: dict[str, Annotated] = {}
    for name, picture in ((composed(stem), picture) for stem, picture in known):
        if by_name.setdefault(name, picture) is not picture:
            raise DataError(
                f"{picture.where}: lists speak of {quoted(name)}, and {by_name[name].where} is called so, too"
            )
    places: dict[str, str] = {}
    for file in lists:
        for number_, line in enumerate(read_text(file, index.where(file)).splitlines(), start=1):
            where, words = f"{index.where(file)}:{number_}", composed(line.strip())
            if not words:
                continue
            # A name may hold a space; a mark may stand behind it, as in the lists of one class.
            name = words if words in by_name else words.split()[0]
            if name not in by_name:
                raise DataError(f"{where}: there is no picture and no annotation called {quoted(words)}")
            if name in places:
                raise DataError(f"{where}: {quoted(name)} is in {places[name]}, too; expected each picture once")
            places[name] = where
            by_name[name].split = _LISTS[file.stem]
    if left := [picture.where for name, picture in by_name.items() if name not in places]:
        notices.append(f"passed over {counted(len(left), 'picture')} that no list names: {listed(left)}")
    return [by_name[name] for name in places]
