"""Numbers of a list of classes that stand where they would be taken for a part of the name.

A line says what it means in front, ``2 car`` or ``70 130 180 sky``. Where numbers stand behind names, the values of
masks would go by the numbers of lines, and each class would be called by another's name without a word.
"""

import re
from collections.abc import Sequence

from striate.base.errors import DataError
from striate.data.names import quoted
from striate.pictures.geometry import UNKNOWN

_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_IN_FRONT = re.compile(rf"((?:[-+]?(?:{_NUMBER})[\s,]+)+)(\S.*)")
_BEHIND = re.compile(rf"(.*?[^\s,:;=])[\s,:;=]+((?:(?:{_NUMBER})[\s,;]+)*(?:{_NUMBER}))")
_HEX_BEHIND = re.compile(r"(.*?[^\s,:;=])[\s,:;=]+(#[0-9a-fA-F]{6})")
_EXPECTED = "expected a class, as 'sky', '3 sky' or '70 130 180 sky'"


def refuse_in_front(place: str, words: str) -> None:
    """Refuse numbers in front of a name that are no index and no colour.

    Raises:
        DataError: a number below zero, a colour in parts of one, or more numbers than a colour has.
    """
    if not (found := _IN_FRONT.fullmatch(words)):
        return
    numbers = re.split(r"[\s,]+", found[1].strip(" \t,"))
    if numbers[0][0] in "-+":
        raise DataError(f"{place}: the index is {numbers[0]}; expected one from 0 on, and 255 is nobody's in any case")
    if len(numbers) == 3 and any("." in each for each in numbers):
        bytes_of = " ".join(str(min(UNKNOWN, round(float(each) * UNKNOWN))) for each in numbers)
        raise DataError(
            f"{place}: the colour is {quoted(' '.join(numbers))}; expected three numbers from 0 to 255, as "
            f"{quoted(f'{bytes_of} {found[2]}')}"
        )
    if len(numbers) > 3:
        raise DataError(f"{place}: has {len(numbers)} numbers in front of the name; {_EXPECTED}")


def refuse_colour_behind(place: str, name: str) -> None:
    """Refuse a name with a colour behind it: three or four numbers, or a hexadecimal one.

    Raises:
        DataError: it has.
    """
    if hexadecimal := _HEX_BEHIND.fullmatch(name):
        raise DataError(
            f"{place}: {quoted(name)} has its colour behind the name; write it in front, as "
            f"{quoted(f'{hexadecimal[2]} {hexadecimal[1]}')}"
        )
    stem, numbers = _behind(name)
    if len(numbers) > 2:
        front = f"write it in front, as {quoted(' '.join([*numbers, stem]))}" if len(numbers) == 3 else _EXPECTED
        raise DataError(f"{place}: {quoted(name)} has its colour behind the name; {front}")


def refuse_indices_behind(lines: Sequence[tuple[str, str]]) -> None:
    """Refuse a list of names, each with its place, whose indices stand behind the names.

    They are taken for indices where more than half of the lines end in one, no two in the same, few numbers up to the
    largest are missing, and the names without them all differ. So ``class 1`` and ``class 2`` are names, whose numbers
    tell them apart, and so are ``Route 66`` and ``Highway 1``, whose numbers are too far apart.

    Raises:
        DataError: it is such a list.
    """
    ending = [(place, name, *_behind(name)) for place, name in lines]
    found = [each for each in ending if each[3]]
    if len(found) < 2 or 2 * len(found) <= len(lines):
        return
    stems = {stem.casefold() for _, _, stem, _ in found}
    indices = {numbers[0] for *_, numbers in found}
    if len(stems) < len(found) or len(indices) < len(found) or any("." in each for each in indices):
        return
    if max((int(each) for each in indices if int(each) != UNKNOWN), default=0) >= 2 * len(lines):
        return
    place, name, stem, (index, *more) = found[0]
    front = quoted(" ".join([index, stem, *more]))
    raise DataError(
        f"{place}: {quoted(name)} has a number behind the name, as {len(found)} of {len(lines)} lines have; if it is "
        f"the index, write it in front, as {front}; if it belongs to the name, write the index in front of that, as "
        f"{quoted(f'0 {lines[0][1]}')}"
    )


def _behind(name: str) -> tuple[str, list[str]]:
    """A name without the numbers that it ends in, and these."""
    found = _BEHIND.fullmatch(name)
    return (found[1], re.split(r"[\s,;]+", found[2])) if found else (name, [])
