"""What a person at a terminal sees; the only room that prints.

Everything but the answer goes to stderr, so that stdout is the answer alone.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def say(text: str) -> None:
    """One line for the person, on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def answer(text: str) -> None:
    """One line of the answer, on stdout."""
    print(printable(text), flush=True)


def answer_json(value: Mapping[str, Any]) -> None:
    """The answer as the one JSON object on stdout; names that are not UTF-8 come out escaped."""
    print(json.dumps(value), flush=True)


def print_error(text: str, words: Sequence[str]) -> None:
    """An error as one paragraph on stderr, and with ``--json`` as the object on stdout too."""
    say(f"striate: {text}")
    if "--json" in words:
        answer_json({"error": printable(text)})


def printable(text: str) -> str:
    """The text with what no terminal can show (names that are not UTF-8) escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
