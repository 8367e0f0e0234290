"""YOLO's text: a line for each object, ``class centre-x centre-y width height``, in parts of the picture's sides.

The file of ``images/a.jpg`` is ``labels/a.txt``, or ``a.txt`` beside it; classes count from 0, and their names stand in
a YAML file, or one a line in ``classes.txt``. Splits are those of the YAML file, of darknet's ``obj.data``, or of lists
of pictures that are called so. A picture with an empty file has no objects. A line of more points is an
outline (``class x y x y ...``), which is taken for the box around it (`yolo_outlines` draws it); but where the YAML
file has ``kpt_shape``, points follow the box, and are passed over.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import composed, counted, listed, printable, quoted
from striate.data.records import Classes, Dataset, Split
from striate.data.settings import DataSettings
from striate.data.sources.boxes import Annotated, Annotation, boxed, boxes_dataset, passed_over
from striate.data.sources.picture_index import PictureIndex, glimpse, start_of
from striate.data.sources.text_files import number, read_text
from striate.data.sources.yolo_config import YoloConfig, read_config, says_places
from striate.data.sources.yolo_lists import NAMES, class_list, listed_parts

ROUNDING = 7.6e-7
"""By so much may a box end beyond the border, in parts of a side: six decimals of the centre and of half the width."""

# One way alone to take a number apart: of two, a line of n numbers that is none has 2^n.
_LINE = re.compile(r"\d+(\s+-?(\d+(\.\d*)?|\.\d+)(e-?\d+)?){4,}\s*(\n|$)", re.IGNORECASE | re.ASCII)
_FAR = 2.0
"""Beyond this a number is no part of a side: pixels, most likely."""


def recognises(path: Path) -> bool:
    """Whether a text file in the folder, or in one of its folders, begins with a class and four numbers.

    Or it is a YAML file that names classes and pictures, or that such a text lies beside.
    """
    if not path.is_dir() and path.suffix.lower() not in (".yaml", ".yml"):
        return False
    if not path.is_dir() and says_places(start_of(path)):
        return True
    return any(
        file.name not in NAMES and _LINE.match(start_of(file, 400))
        for file in glimpse(path if path.is_dir() else path.parent, ".txt")
    )


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read the pictures of a folder, or those that its YAML file (``path`` may be that itself) lists, and their texts.

    Raises:
        DataError: as `annotated`, and what `boxes_dataset` refuses.
    """
    outlines: list[str] = []
    index, pictures, names, more = annotated(path, outlines)
    notices = [*boxed(outlines), *more]
    if outlines and len(outlines) == sum(len(each.objects or ()) for each in pictures):
        notices[0] += "; --task segment learns the outlines themselves"
    return boxes_dataset(
        index, "yolo", pictures, Classes(names), settings, workers, notices=notices, tolerance=ROUNDING, relative=True
    )


def annotated(
    path: Path, outlines: list[str], *, drawn: bool = False
) -> tuple[PictureIndex, list[Annotated], tuple[str, ...], list[str]]:
    """The pictures and what is said of them, the classes, and notices; places of outlines are added to ``outlines``.

    Where they are to be ``drawn``, annotations have them, in parts of the sides.

    Raises:
        DataError: no list of classes, or two that differ; a line that is not as the format has it; a text of two
            pictures.
    """
    index, config = _opened(path)
    there = index.files(".txt")
    beside = {composed(str(file)): file for file in there} | {str(file): file for file in there}
    texts = {
        file
        for file in there
        if file.name not in NAMES and ("labels" in file.parts[:-1] or _LINE.match(start_of(file, 400)))
    }
    configs = [config] if config and config.parts else [config, listed_parts(index, texts)]
    said = [each for each in configs if each is not None]
    names = _names(index, said)
    members = _members(index, next((each.parts for each in said if each.parts), {}))
    pictures: list[Annotated] = []
    keypoints = config.keypoints if config else 0
    owners: dict[Path, Path] = {}
    for picture in index.pictures:
        places = [str(place) for place in _places(index, picture)]
        file = next((beside[each] for each in (*places, *map(composed, places)) if each in beside), None)
        texts.discard(file or picture)
        if picture not in members:
            continue
        if file and (other := owners.setdefault(file, picture)) != picture:
            raise DataError(
                f"{index.where(file)} is the text of two pictures, {index.where(other)} and {index.where(picture)}, "
                "which differ in their suffix alone; rename one, and give it a text of its own, or remove it"
            )
        objects = None if file is None else list(_objects(index.where(file), file, names, keypoints, outlines, drawn))
        where = index.where(file or picture)
        pictures.append(Annotated(picture, where, objects, split=members[picture]))
    pictures += [Annotated(None, index.where(file), []) for file in sorted(texts)]
    notices = passed_over(index, pictures)
    if config and keypoints:
        notices.append(f"keypoints passed over, the boxes before them taken (kpt_shape in {config.where})")
    return index, pictures, names, notices


def _places(index: PictureIndex, picture: Path) -> Iterator[Path]:
    """Where the text of a picture may lie: beside it, or in "labels" for the last "images" of its path."""
    yield picture.with_suffix(".txt")
    parts = picture.relative_to(index.root).parts
    for position in reversed([position for position, part in enumerate(parts[:-1]) if part == "images"]):
        yield index.root.joinpath(*parts[:position], "labels", *parts[position + 1 :]).with_suffix(".txt")


def _opened(path: Path) -> tuple[PictureIndex, YoloConfig | None]:
    """The pictures, and the only YAML file there is that has names; the pictures are where that says."""
    if not path.is_dir():
        config = read_config(path, printable(path.name))
        return PictureIndex(path, tree=config.elsewhere(path.parent) if config else None), config
    index = PictureIndex(path)
    found = [
        config for file in index.files(".yaml", ".yml") if (config := read_config(file, index.where(file))) is not None
    ]
    if len(found) > 1:
        shown = listed([config.where for config in found])
        raise DataError(f"{printable(index.root)} holds several YAML files with names ({shown}); give one of them")
    if found and (tree := found[0].elsewhere(index.root)):
        index = PictureIndex(path, tree=tree)
    return index, found[0] if found else None


def _names(index: PictureIndex, configs: Sequence[YoloConfig]) -> tuple[str, ...]:
    """The classes, by the YAML file, ``obj.data`` or a list of names; where there are several, they must agree."""
    found = [(config.where, config.names) for config in configs if config.names]
    lists = [file for file in index.files(".txt", ".names", ".labels") if file.name in NAMES]
    found += [(index.where(file), class_list(file, index.where(file))) for file in lists]
    if not found:
        raise DataError(
            f"{printable(index.root)}: what its classes are called is not said; write their names into a file "
            "classes.txt there, one a line, in the order of their numbers, or give the YAML file that has them"
        )
    (where, names), *others = found
    for other, theirs in others:
        if theirs != names:
            raise DataError(f"{where} and {other} name the classes differently; remove one of the two")
    return names


def _members(index: PictureIndex, parts: Mapping[Split, Sequence[tuple[str, Path]]]) -> dict[Path, Split | None]:
    """The pictures that belong to the data, and their splits: by what names these, or all of them."""
    if not parts:
        return dict.fromkeys(index.pictures)
    members: dict[Path, Split | None] = {}
    for split, places in parts.items():
        for where, place in places:
            found = [*_listed(index, where, place)]
            if not found:
                raise DataError(f"{where}: there is no picture in {printable(place)}; expected a folder of pictures")
            for picture in found:
                if members.setdefault(picture, split) != split:
                    raise DataError(
                        f"{where}: {index.where(picture)} is in {members[picture]}, too; expected one split"
                    )
    return members


def _listed(index: PictureIndex, where: str, place: Path) -> Iterator[Path]:
    """The pictures of a folder, or of a text file that lists them."""
    if place.is_dir():
        for folder in index.tree.all_folders():
            if folder.path.resolve().is_relative_to(place):
                yield from folder.pictures
        return
    if place.is_relative_to(root := index.root.resolve()):
        place = index.root / place.relative_to(root)
    for line, words in enumerate(read_text(place, where).splitlines(), start=1):
        if name := words.strip():
            if (picture := index.find(name, place)) is None:
                raise DataError(index.missing(f"{index.where(place)}:{line}: there is no such picture", name))
            yield picture


def _objects(
    where: str, file: Path, names: tuple[str, ...], keypoints: int, outlines: list[str], drawn: bool
) -> Iterator[Annotation]:
    """The objects of a text; places of outlines are added to ``outlines``."""
    for line, text in enumerate(read_text(file, where).splitlines(), start=1):
        words, place = text.split(), f"{where}:{line}"
        if not words:
            continue
        if keypoints and len(words) != 5 + keypoints:
            raise DataError(
                f"{place}: has {counted(len(words), 'word')}; expected a class, four numbers and {keypoints} of "
                "points, as kpt_shape says"
            )
        words = words[:5] if keypoints else words
        if len(words) < 5 or len(words) == 6 or (len(words) > 5 and len(words) % 2 == 0):
            hint = " (the sixth may be a score: these would be answers of a network)" if len(words) == 6 else ""
            more = ", or x and y by turns" if len(words) > 6 else ""
            raise DataError(
                f"{place}: has {counted(len(words), 'word')}{hint}; expected a class and four numbers{more}"
            )
        if not (words[0].isascii() and words[0].isdecimal()):
            raise DataError(f"{place}: class {quoted(words[0])} is no whole number; expected 0 to {len(names) - 1}")
        if len(words[0]) > 9 or int(words[0]) >= len(names):
            raise DataError(
                f"{place}: class {words[0][:40]}, but there are {counted(len(names), 'class', 'classes')}, "
                f"0 to {len(names) - 1}; classes count from 0"
            )
        numbers = [number(word, place, "a coordinate") for word in words[1:]]
        if far := [each for each in numbers if abs(each) > _FAR]:
            raise DataError(
                f"{place}: {far[0]:g} is no part of a picture's side; expected numbers from 0 to 1, no pixels"
            )
        outline = None
        if len(numbers) == 4:
            x, y, width, height = numbers
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        else:
            outlines.append(place)
            outline = [numbers] if drawn else None
            box = (min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2]))
        yield Annotation(place, int(words[0]), box, outline=outline)
