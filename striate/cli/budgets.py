"""Amounts of memory as words of a command line."""

import re

from striate.base.errors import ModelError
from striate.base.hardware import available_memory

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def budget_of(text: str) -> int:
    """Bytes from ``8GB``, ``512 MiB`` or ``auto``: what this process can still have.

    Raises:
        ModelError: the text is none of these.
    """
    if text == "auto":
        return available_memory()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if found is None or found[2].upper() not in _UNITS:
        raise ModelError(f"--budget is {text!r}; expected an amount of memory, such as 8GB or 512MiB, or auto")
    return int(float(found[1]) * _UNITS[found[2].upper()])
