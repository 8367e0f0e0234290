"""Amounts of memory as words of a command line."""

import re
from typing import TYPE_CHECKING

from striate.base.errors import ModelError
from striate.base.hardware import available_memory
from striate.base.memory import in_words

if TYPE_CHECKING:
    from striate.planning.room import Room

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def room_in(text: str) -> "Room":
    """The room in ``8GB``, ``512 MiB`` or ``auto``, which is what this process can still have.

    Raises:
        ModelError: the text is none of these, or too little for any run.
    """
    from striate.planning.room import INTERPRETER, RESERVE, room_here, room_of  # which load torch

    room = room_here(None) if text == "auto" else room_of(budget_of(text))
    if not room.bytes:
        raise ModelError(
            f"--budget is {text!r}, of which nothing is left for tensors: {in_words(INTERPRETER)} are for Python and "
            f"torch, and {in_words(RESERVE)} for what a run has beside its tensors; give more"
        )
    return room


def memory_in(text: str) -> int:
    """Bytes from ``8GB``, ``512 MiB`` or ``auto``: what this process can still have.

    Raises:
        ModelError: the text is none of these.
    """
    return available_memory() if text == "auto" else budget_of(text)


def budget_of(text: str) -> int:
    """Bytes from ``8GB`` or ``512 MiB``.

    Raises:
        ModelError: the text is no amount.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if found is None or found[2].upper() not in _UNITS:
        raise ModelError(f"--budget is {text!r}; expected an amount of memory, such as 8GB or 512MiB, or auto")
    return int(float(found[1]) * _UNITS[found[2].upper()])
