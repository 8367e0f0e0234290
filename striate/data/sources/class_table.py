"""Names of the classes of masks, and what stands for each in a picture: ``classes.txt`` and its kin.

A line is ``name`` (its index is the line's number, from 0), ``index name``, or ``red green blue name``. What some
programs write is read as well: ``class_dict.csv`` (name, r, g, b), ``label_colors.txt``, CVAT's ``labelmap.txt``
(``name:r,g,b:parts:actions``), and Roboflow's ``_classes.csv`` (Pixel Value, Class). A class called "void", or by
another of `IGNORED`, is nobody's, as 255 is.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable, quoted, unspaced
from striate.data.sources.misplaced import refuse_colour_behind, refuse_in_front, refuse_indices_behind
from striate.data.sources.text_files import read_rows, read_text
from striate.pictures.geometry import UNKNOWN

FILES = ("classes.txt", "label_colors.txt", "class_dict.csv", "labelmap.txt", "_classes.csv")
IGNORED = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled"})
"""Names, as `unspaced` has them, of what is not counted."""

_COLOUR = re.compile(r"(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\D.*)")
_HEX = re.compile(r"#([0-9a-fA-F]{6})[\s,]+(\S.*)")
_INDEX = re.compile(r"(\d{1,9})[\s,:]+(\S.*)")


@dataclass(frozen=True, slots=True)
class ClassTable:
    """The counted classes in order, and for each what stands for it: a grey value or place, or a colour 0xRRGGBB.

    ``ignored`` are values or colours that are nobody's, with their names. ``where`` is the file.
    """

    where: str
    names: tuple[str, ...]
    values: tuple[int, ...]
    ignored: dict[int, str]
    coloured: bool = False

    @property
    def meaning(self) -> tuple[object, ...]:
        """All but where it stands."""
        return self.names, self.values, sorted(self.ignored), self.coloured


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    name: str
    value: int
    coloured: bool


def read_table(path: Path, where: str) -> ClassTable:
    """The classes that a file names.

    Raises:
        DataError: a line that is none of these, numbers behind names (`misplaced`), a name, index or colour twice, no
            class, or more than 255.
    """
    rows = list(_READERS.get(path.name, _lines)(read_text(path, where), where))
    coloured = [row for row in rows if row.coloured]
    if coloured and len(coloured) < len(rows):
        plain = next(row for row in rows if not row.coloured)
        raise DataError(
            f"{plain.where}: {quoted(plain.name)} has no colour, and other lines have; expected one of each"
        )
    _refuse_repeated(rows, bool(coloured))
    ignored = {row.value: row.name for row in rows if unspaced(row.name) in IGNORED}
    counted_rows = [row for row in rows if row.value not in ignored]
    if not coloured:
        counted_rows.sort(key=lambda row: row.value)
    if not counted_rows:
        raise DataError(f"{where}: names no class; expected a line for each, as {'0 0 0 sky' if coloured else 'sky'}")
    if len(counted_rows) > UNKNOWN:
        raise DataError(f"{where}: names {len(counted_rows)} classes; masks have {UNKNOWN} at most, and 255 for none")
    names = tuple(row.name for row in counted_rows)
    return ClassTable(where, names, tuple(row.value for row in counted_rows), ignored, bool(coloured))


def _refuse_repeated(rows: Sequence[_Row], coloured: bool) -> None:
    by_name: dict[str, _Row] = {}
    by_value: dict[int, _Row] = {}
    for row in rows:
        other = by_name.setdefault(unspaced(row.name), row)
        if other is not row:
            raise DataError(f"{row.where}: {quoted(row.name)} is in {other.where}, too; expected each class once")
        other = by_value.setdefault(row.value, row)
        if other is not row:
            what = f"the colour {shown(row.value)}" if coloured else f"the index {row.value}"
            raise DataError(
                f"{row.where}: {what} belongs to {quoted(row.name)} and, in {other.where}, to {quoted(other.name)}; a "
                "name without an index has the number of its line, from 0"
            )


def shown(colour: int) -> str:
    """A colour as a line of a table has it.

    Example:
        >>> shown(0x804080)
        '128 64 128'
    """
    return f"{colour >> 16} {colour >> 8 & 255} {colour & 255}"


def _lines(text: str, where: str) -> Iterator[_Row]:
    number, plain = -1, []
    for line, words in enumerate(text.splitlines(), start=1):
        words, place = words.strip(), f"{where}:{line}"
        hexadecimal = _HEX.fullmatch(words)
        if not words or (words.startswith("#") and not hexadecimal):
            continue
        number += 1
        refuse_in_front(place, words)
        if hexadecimal:
            yield _Row(place, hexadecimal[2].strip(), int(hexadecimal[1], 16), True)
        elif colour := _COLOUR.fullmatch(words):
            yield _Row(place, colour[4].strip(), _colour(colour.groups()[:3], place), True)
        elif index := _INDEX.fullmatch(words):
            refuse_colour_behind(place, index[2].strip())
            yield _Row(place, index[2].strip(), int(index[1]), False)
        elif re.fullmatch(r"[\d\s,]+", words):
            raise DataError(f"{place}: is {quoted(words)}; expected a class, as 'sky', '3 sky' or '70 130 180 sky'")
        else:
            refuse_colour_behind(place, words)
            plain.append((place, words))
            yield _Row(place, words, number, False)
    refuse_indices_behind(plain)


def _dictionary(text: str, where: str) -> Iterator[_Row]:
    """``class_dict.csv``: a first line that says name, r, g, b."""
    rows = read_rows(text, where, ",")
    place, head = next(rows, (where, []))
    columns = [word.strip().lower() for word in head]
    if columns[:1] != ["name"] or columns[1:4] not in (["r", "g", "b"], ["red", "green", "blue"]):
        raise DataError(
            f"{place}: has the columns {listed([printable(word) for word in head])}; expected name, r, g, b"
        )
    for place, words in rows:
        if len(words) < 4 or not words[0].strip():
            raise DataError(f"{place}: has {counted(len(words), 'column')}; expected name, r, g, b")
        yield _Row(place, words[0].strip(), _colour(words[1:4], place), True)


def _pixel_values(text: str, where: str) -> Iterator[_Row]:
    """``_classes.csv``: a first line that says Pixel Value, Class."""
    rows = read_rows(text, where, ",")
    place, head = next(rows, (where, []))
    if [unspaced(word) for word in head] != ["pixelvalue", "class"]:
        raise DataError(
            f"{place}: has the columns {listed([printable(word) for word in head])}; expected Pixel Value, Class"
        )
    for place, words in rows:
        value, name = (words[0].strip(), words[1].strip()) if len(words) == 2 else ("", "")
        if not name or not (value.isascii() and value.isdecimal()) or len(value) > 5:
            raise DataError(f"{place}: is {quoted(','.join(words))}; expected a pixel's value and a class, as '3, sky'")
        yield _Row(place, name, int(value), False)


def _labelmap(text: str, where: str) -> Iterator[_Row]:
    for line, words in enumerate(text.splitlines(), start=1):
        if words.strip() and not words.lstrip().startswith("#"):
            place = f"{where}:{line}"
            name, *rest = words.strip().split(":")
            if not name.strip() or not rest or rest[0].count(",") != 2:
                raise DataError(f"{place}: is {quoted(words.strip())}; expected name:red,green,blue:parts:actions")
            yield _Row(place, name.strip(), _colour(rest[0].split(","), place), True)


def _colour(words: Sequence[str], place: str) -> int:
    numbers = [int(word) if word.strip().isascii() and word.strip().isdecimal() else 256 for word in words]
    if max(numbers) > 255:
        raise DataError(f"{place}: the colour is {quoted(' '.join(words))}; expected three numbers from 0 to 255")
    return numbers[0] << 16 | numbers[1] << 8 | numbers[2]


_READERS = {"class_dict.csv": _dictionary, "labelmap.txt": _labelmap, "_classes.csv": _pixel_values}
