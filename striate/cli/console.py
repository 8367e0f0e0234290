"""What a person at a terminal sees; the only room that prints.

Everything but the answer goes to stderr, so that stdout is the answer alone.
"""

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from striate.data import names


def say(text: str) -> None:
    """One line for the person, on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def answer(text: str) -> None:
    """One line of the answer, on stdout."""
    print(names.printable(text), flush=True)


def picture(lines: Sequence[str]) -> None:
    """A picture on stdout, of characters that are ours, colours and all."""
    print("\n".join(lines), flush=True)


def answer_json(value: Mapping[str, Any]) -> None:
    """The answer as the one JSON object on stdout; names that are not UTF-8 come out escaped."""
    print(json.dumps(_plain(value), allow_nan=False), flush=True)


def print_error(text: str, words: Sequence[str]) -> None:
    """An error as one paragraph on stderr, and with ``--json`` as the object on stdout too."""
    say(f"striate: {text}")
    if "--json" in words:
        answer_json({"error": printable(text)})


def printable(text: str) -> str:
    """The text, lines as they are, with what no terminal should be sent (names may hold any byte) escaped."""
    return "\n".join(names.printable(line) for line in text.split("\n"))


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: no infinity, and texts in UTF-8 (for control characters it has escapes)."""
    match value:
        case str():
            return re.sub("[\ud800-\udfff]", lambda found: names.printable(found[0]), value)
        case Mapping():
            return {key: _plain(each) for key, each in value.items()}
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [_plain(each) for each in value]
    return value
