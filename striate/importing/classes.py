"""What the outputs of foreign weights are called: a list that is known, plain numbers, or a text file."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from striate.base.errors import DataError
from striate.data.names import counted, printable
from striate.data.records import Classes
from striate.weights.class_lists import ClassList, class_list

LISTS: tuple[ClassList, ...] = tuple(name for name in get_args(ClassList) if name != "none")

_EXPECTED = "expected one name a line, or id and name with a tab or comma between, or a .csv with a header"
_COLUMNS = {"name": ("name", "class", "label"), "id": ("wnid", "id"), "index": ("class_index", "index")}


def classes_from(given: str | int | Path | Sequence[str]) -> Classes:
    """The classes that somebody gave: a list's name, a number of them, a text file, or the names themselves.

    Raises:
        DataError: none of these, or a file that is not a list of classes.

    Example:
        >>> classes_from(3).names
        ('0', '1', '2')
    """
    if isinstance(given, int) or (isinstance(given, str) and re.fullmatch(r"[0-9]{1,7}", given)):
        if int(given) < 1:
            raise DataError(f"classes is {given}; a network answers with 1 class or more")
        return Classes(tuple(str(index) for index in range(int(given))))
    if isinstance(given, str) and given in LISTS:
        return class_list(next(name for name in LISTS if name == given))
    if isinstance(given, str | Path):
        return _from_file(Path(given))
    return _checked([(None, str(name)) for name in given], "the classes given")


def _from_file(path: Path) -> Classes:
    where = printable(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"classes: {where} cannot be read: {error.strerror or error}; expected {', '.join(LISTS)}, a number, or a "
            f"text file of names"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: is not text in UTF-8 (byte {error.start}); {_EXPECTED}") from error
    lines = text.rstrip().splitlines()
    if not lines:
        raise DataError(f"{where}: is empty; {_EXPECTED}")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise DataError(f"{where}: line {number} is empty; {_EXPECTED}")
        if not line.replace("\t", " ").isprintable():
            raise DataError(f"{where}: line {number} holds characters that cannot be printed; {_EXPECTED}")
    table = _table(lines, where)
    return _checked(_pairs(lines) if table is None else table, where)


def _table(lines: list[str], where: str) -> list[tuple[str | None, str]] | None:
    """Ids and names of a .csv with a header, in the order of its index if it has one; None if it has no header."""
    delimiter = "\t" if "\t" in lines[0] else ","
    header = [word.strip().casefold() for word in next(csv.reader(lines[:1], delimiter=delimiter))]
    columns = {what: header.index(word) for what, words in _COLUMNS.items() for word in words if word in header}
    if "name" not in columns or len(header) < 2:
        return None
    rows = list(csv.reader(lines[1:], delimiter=delimiter))
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(f"{where}: line {number} has {counted(len(row), 'field')}, its header {len(header)}")
    if "index" in columns:
        given = [row[columns["index"]].strip() for row in rows]
        if sorted(given) != sorted(str(index) for index in range(len(rows))):
            raise DataError(f"{where}: its indices are not 0 to {len(rows) - 1}, each once")
        rows.sort(key=lambda row: int(row[columns["index"]]))
    return [(row[columns["id"]].strip() if "id" in columns else None, row[columns["name"]].strip()) for row in rows]


def _pairs(lines: list[str]) -> list[tuple[str | None, str]]:
    """Ids and names where every line has both, else names alone."""
    for pattern in (r"([^\t]*\S)\t([^\t]+)", r"([^\s,]+),([^\s,][^,]*)", r"(n[0-9]{8}) +(.+)"):
        found = [re.fullmatch(pattern, line.strip()) for line in lines]
        if all(found):
            return [(match[1].strip(), match[2].strip()) for match in found if match]
    return [(None, line.strip()) for line in lines]


def _checked(rows: list[tuple[str | None, str]], where: str) -> Classes:
    """The rows as classes: every name there, every id once, and without ids every name once."""
    if not rows:
        raise DataError(f"{where}: names no class; {_EXPECTED}")
    ids = [identity for identity, _ in rows if identity]
    if ids and len(ids) != len(rows):
        raise DataError(f"{where}: only {len(ids)} of {len(rows)} classes have an id; all need one, or none")
    if not all(name for _, name in rows):
        raise DataError(f"{where}: {sum(not name for _, name in rows)} of {len(rows)} classes have no name")
    keys = ids or [name for _, name in rows]
    first: dict[str, int] = {}
    for position, key in enumerate(keys):
        if key in first:
            what = "id" if ids else "name"
            mend = "" if ids else "; classes of one name need ids to tell them apart (id, tab, name)"
            raise DataError(
                f"{where}: the {what} {key!r} stands there twice, for the classes {first[key]} and {position}{mend}"
            )
        first[key] = position
    return Classes(tuple(name for _, name in rows), tuple(ids) or None)
