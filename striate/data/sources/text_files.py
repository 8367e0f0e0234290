"""Text files of annotations: read whole, if they fit into memory, and taken apart without trusting them."""

import codecs
import csv
import io
import json
import math
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

from striate.base.errors import DataError
from striate.base.hardware import available_memory
from striate.data.names import printable, quoted

Costs = Mapping[bytes, int]

LINES: Costs = {b"\n": 600, b",": 60, b";": 60, b" ": 60, b"\t": 60}
"""Bytes of memory that what stands for a row, a list, a word or a number takes, with the box that is made of it.

Measured on files of many small boxes and on such as hold nothing but brackets; all else takes its own length twice.
"""
JSON: Costs = {b"{": 300, b"[": 90, b",": 32, b'"': 30}
XML: Costs = {b"<": 240, b"=": 100}
YAML: Costs = {b"\n": 900, b"[": 900, b",": 900, b":": 900}

_SMALL = 1 << 17  # so large a file takes no more than 60 MB, whatever it holds; how much is free takes long to ask
_CHUNK = 1 << 24
_LARGEST = 10**9  # no picture's side is longer
_DEPTH = 32  # of elements in each other; the formats have five
_AT_THE_END = (
    expat.errors.XML_ERROR_NO_ELEMENTS,
    expat.errors.XML_ERROR_UNCLOSED_TOKEN,
    expat.errors.XML_ERROR_PARTIAL_CHAR,
    expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
)
_CUT = "; it ends too soon, as if it had been cut: copy or download the file again, or annotate anew"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # two of them are a character, one is none


def read_text(path: Path, where: str, costs: Costs = LINES) -> str:
    """The text of a file, UTF-8 with or without its mark; ``where`` is what errors call it.

    ``costs`` say how much memory will be taken by what is made of it.

    Raises:
        DataError: it cannot be read, is not UTF-8, or would not fit into the memory that is free once it is read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{where} cannot be read: it is no regular file")  # a pipe would be waited for
        if status.st_size > _SMALL and (memory := _memory_of(path, costs)) > (free := available_memory()):
            raise DataError(
                f"{where} has {status.st_size / 2**20:,.0f} MiB, which would take {memory / 2**20:,.0f} MiB of memory, "
                f"and {free / 2**20:,.0f} MiB are free; close other programs, or cut the file into parts"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        found = f"but {other}" if error.start == 0 and (other := utf_16(error.object)) else f"(byte {error.start})"
        raise DataError(f"{where} is not UTF-8 text {found}; save it as UTF-8") from error
    if "\0" in text:
        raise DataError(
            f"{where} is not UTF-8 text: it holds zeros, as UTF-16 and files of no text do; save it as UTF-8"
        )
    return text


def utf_16(start: bytes) -> str:
    """The name of the encoding by two bytes a character that a text begins as if it had; "" if none."""
    marks = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
    zeros = {(True, False): "UTF-16-BE", (False, True): "UTF-16-LE"}
    return marks.get(start[:2]) or zeros.get((start[:1] == b"\0", start[1:2] == b"\0"), "")


def _memory_of(path: Path, costs: Costs) -> int:
    """About how many bytes of memory a file takes that becomes what ``costs`` are of; not more than a part is held."""
    memory = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            memory += 2 * len(chunk) + sum(chunk.count(sign) * cost for sign, cost in costs.items())
    return memory


def parsed_json(text: str) -> Any:
    """What JSON says.

    Raises:
        RecursionError: it is nested too deeply.
        ValueError: it is not JSON, or has NaN or Infinity, a key twice in an object, or half of a character.
    """

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is no number of JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            raise ValueError(f"an object has the key {quoted(key)} twice")
        return found

    content = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    if _HALF.search(text):
        try:
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{error.object[error.start]!a} is half of a character") from error
    return content


def read_json(path: Path, where: str) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: as `read_text`; it is not JSON, is nested too deeply, or holds what `parsed_json` refuses.
    """
    text = read_text(path, where, JSON)
    try:
        return parsed_json(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}:{error.lineno}: is not JSON: {error.msg} (column {error.colno})") from error
    except RecursionError as error:
        raise DataError(f"{where}: is nested too deeply for an annotation file") from error
    except ValueError as error:  # NaN; a whole number of thousands of digits
        raise DataError(f"{where}: is not JSON that can be read: {error}") from error


@dataclass(slots=True)
class Element:
    """An element of an XML file: its name, its line, and what is in it; ``text`` is its own, without space around."""

    name: str
    line: int
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> Iterator["Element"]:
        """The elements of that name directly in it."""
        return (child for child in self.children if child.name == name)

    def one(self, name: str, where: str) -> "Element":
        """The only element of that name directly in it; raises DataError, with the place in the file ``where``."""
        found = list(self.all(name))
        if len(found) != 1:
            has = f"has {len(found)} <{name}>" if found else f"has no <{name}>"
            raise DataError(f"{where}:{self.line}: <{printable(self.name[:40])}> {has}; expected one")
        return found[0]


def read_xml(path: Path, where: str) -> Element:
    """The outermost element of an XML file.

    Raises:
        DataError: as `read_text`; it is not XML, is nested too deeply, or declares a document type, which annotations
            need not and by which entities blow up or name other files.
    """
    stack = [Element("", 0, {})]
    pieces: list[list[str]] = [[]]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > _DEPTH:
            raise DataError(f"{where}:{parser.CurrentLineNumber}: is nested too deeply for an annotation file")
        element = Element(name, parser.CurrentLineNumber, attributes)
        stack[-1].children.append(element)
        stack.append(element)
        pieces.append([])

    def end(name: str) -> None:
        stack.pop().text = "".join(pieces.pop()).strip()

    def words(text: str) -> None:
        pieces[-1].append(text)

    def refuse(name: str, system: str | None, public: str | None, internal: bool) -> NoReturn:
        raise DataError(
            f"{where}:{parser.CurrentLineNumber}: declares a document type (<!DOCTYPE {printable(name[:40])}>), by "
            "which XML defines entities; annotations need none, so it is not read; remove the declaration"
        )

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = words
    parser.StartDoctypeDeclHandler = refuse
    try:
        # As text, so that a declared encoding that is not the file's own cannot matter.
        parser.Parse(read_text(path, where, XML), True)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        cut = _CUT if what in _AT_THE_END else ""
        raise DataError(f"{where}:{error.lineno}: is not XML: {what} (column {error.offset + 1}){cut}") from error
    return stack[0].children[0]


def read_rows(text: str, where: str, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """The place and the words of each line of CSV; lines without any are passed over.

    Raises:
        DataError: it is not CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for words in reader:
            if words:
                yield f"{where}:{reader.line_num}", words
    except csv.Error as error:
        raise DataError(f"{where}:{reader.line_num}: is not CSV: {error}") from error


def divider(line: str) -> str:
    """What divides the columns of a line of CSV: comma, semicolon or tab."""
    return max(",;\t", key=line.count)


def number(word: object, where: str, what: str) -> float:
    """A finite number from a word or a number of JSON; ``what`` says whose it is.

    Raises:
        DataError: it is none.
    """
    found = math.nan
    if isinstance(word, int | float) and not isinstance(word, bool):
        found = float(word) if abs(word) < 1e300 else math.inf
    elif isinstance(word, str) and _NUMBER.fullmatch(word.strip()):
        found = float(word)
    if not math.isfinite(found):
        raise DataError(f"{where}: {what} is {quoted(word)}; expected a number")
    return found


def whole(word: object, where: str, what: str) -> int:
    """The same, of a side or a run, which is a whole number of pixels."""
    found = number(word, where, what)
    if not found.is_integer() or abs(found) > _LARGEST:
        raise DataError(f"{where}: {what} is {quoted(word)}; expected a whole number of pixels")
    return int(found)
