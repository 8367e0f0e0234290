"""Pascal VOC: ``JPEGImages``, ``Annotations`` and, where there are splits, ``ImageSets/Main``.

Coordinates count from 1 and both ends belong to the box; to a millionth of a pixel, whole ones are written as such.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from striate.base.errors import DataError
from striate.data.names import counted, listed, quoted
from striate.data.records import Classes
from striate.data.targets import Boxes
from striate.data.writers.converting import Picture
from striate.data.writers.numbers import word

_NO_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RETURN = {"\r": "&#13;"}
"""What would be read as the end of a line."""


def place(picture: Picture) -> str:
    """``JPEGImages/NAME``."""
    return f"JPEGImages/{picture.name}"


def write(folder: Path, pictures: Sequence[Picture], classes: Classes) -> list[str]:
    """An XML file a picture. A crowd becomes difficult; classes without objects, outlines and areas are lost."""
    for name in classes.names:
        if sign := _NO_XML.search(name):
            raise DataError(
                f"the class {quoted(name)} cannot be written as Pascal VOC: XML knows no {quoted(sign[0])}; rename the "
                "class, or write another format"
            )
    (folder / "Annotations").mkdir()
    for picture in pictures:
        lines = "\n".join(_lines(picture, classes.names))
        (folder / "Annotations" / f"{picture.stem}.xml").write_text(lines + "\n", encoding="utf-8", newline="")
    splits = {picture.split for picture in pictures if picture.split}
    for split in splits:
        (folder / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        stems = [f"{picture.stem}\n" for picture in pictures if picture.split == split]
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(stems), encoding="utf-8", newline="")
    occurring = {index for picture in pictures for index in picture.boxes.occurring()}
    notices = []
    if crowds := sum(int(picture.boxes.crowd.sum()) for picture in pictures):
        notices.append(f"{counted(crowds, 'crowd')} written as difficult, since Pascal VOC knows no crowds")
    if lost := [name for index, name in enumerate(classes.names) if index not in occurring]:
        what = counted(len(lost), "class", "classes")
        notices.append(f"{what} without an object not written, since Pascal VOC has no list of classes: {listed(lost)}")
    if thin := sum(_thin(picture.boxes) for picture in pictures):
        what = counted(thin, "box", "boxes")
        notices.append(f"{what} less than a pixel wide or high made that wide, since Pascal VOC counts whole ones")
    if any(picture.boxes.outlines for picture in pictures):
        notices.append("outlines not written, since Pascal VOC has no place for them")
    return notices


def _lines(picture: Picture, names: Sequence[str]) -> Iterator[str]:
    yield "<annotation>"
    yield f"  <filename>{escape(picture.name)}</filename>"
    yield f"  <size><width>{picture.width}</width><height>{picture.height}</height><depth>3</depth></size>"
    boxes = picture.boxes
    for box, index, hard in zip(boxes.xyxy.tolist(), boxes.classes, boxes.difficult | boxes.crowd, strict=True):
        edges = map(word, _edges(box, (picture.width, picture.height)))
        yield "  <object>"
        yield f"    <name>{escape(names[index], _RETURN)}</name>"
        yield f"    <difficult>{int(hard)}</difficult>"
        tags = zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
        yield f"    <bndbox>{''.join(f'<{tag}>{edge}</{tag}>' for tag, edge in tags)}</bndbox>"
        yield "  </object>"
    yield "</annotation>"


def _edges(box: Sequence[float], size: tuple[int, int]) -> list[float]:
    """Left, top, right, bottom, of which the last two are not before the first, as they would be of a thin box."""
    first = [min(edge + 1, max(1, side)) for edge, side in zip(box[:2], size, strict=True)]
    return [*first, *map(max, first, box[2:])]


def _thin(boxes: Boxes) -> int:
    """How many have no whole pixel in them."""
    return int((boxes.xyxy[:, 2:] - boxes.xyxy[:, :2] < 1).any(1).sum())
