"""Names of files as text that can be printed, logged and stored whatever bytes they are made of."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path


def printable(name: str | Path) -> str:
    r"""Return the name with bytes that are not UTF-8, and control characters, as escapes.

    Example:
        >>> printable("caf\udce9.jpg")
        'caf\\xe9.jpg'
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in os.fspath(name))


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python carries a byte that is not UTF-8 in a name
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def composed(name: str) -> str:
    r"""A name with each accented letter as one character, as most write it; some computers write two for it.

    Example:
        >>> composed("e\u0301") == "\xe9"
        True
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def unspaced(name: str) -> str:
    """A class's name but for case, spacing, hyphens and underscores: what two that mean one class have in common.

    Example:
        >>> unspaced("Traffic_light"), unspaced("traffic light")
        ('trafficlight', 'trafficlight')
    """
    return "".join(name.casefold().replace("_", " ").replace("-", " ").split())


def quoted(value: object, most: int = 40) -> str:
    """What a file holds where something else was expected: as Python writes it, cut after ``most`` characters.

    Example:
        >>> quoted("cat"), quoted([1, 2, 3], most=4)
        ("'cat'", '[1, ...')
    """
    text = repr(value)
    return printable(text if len(text) <= most else f"{text[:most]}...")


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return the names as one phrase, cut after ``most``: ``a, b, c and 4 more``.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: ``1 picture``, ``2 pictures``.

    Example:
        >>> counted(2, "class", "classes")
        '2 classes'
    """
    return f"{count} {one if count == 1 else many or one + 's'}"
