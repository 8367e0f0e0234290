"""The library of kernels in this process: loaded once, compared with torch, or done without; and which it was."""

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from striate.base.errors import OutputError
from striate.ops.native.building import LEVELS, NotBuiltError, forget, level_for, library_file, will_be_compiled

VARIABLE = "STRIATE_NATIVE"
"""Environment variable: "auto" (also unset), "off" for torch alone, or the name of a level."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The kernels, or None, and what a log says of that."""

    library: Any
    said: str


@cache
def loaded() -> Loaded:
    """The library of this process; building it takes seconds, once on a machine."""
    wish = os.environ.get(VARIABLE) or "auto"
    if wish == "off":
        return Loaded(None, f"torch alone ({VARIABLE} is off)")
    if wish != "auto" and wish not in {level.name for level in LEVELS}:
        return Loaded(None, f"torch alone ({VARIABLE} is {wish!r}; it is auto, off or a level of instructions)")
    from striate.ops.native.checking import first_difference

    try:
        level = level_for(wish)
        with library_file(level) as path:
            try:
                library = opened(path)
                difference = first_difference(library)
            except (OSError, AttributeError) as error:
                forget(path)
                return Loaded(None, f"torch alone (the kernels cannot be loaded: {error})")
            if difference:
                forget(path)
                return Loaded(None, f"torch alone (the kernels compute otherwise than torch: {difference})")
    except NotBuiltError as error:
        return Loaded(None, f"torch alone ({error})")
    except OSError as error:
        return Loaded(None, f"torch alone (the kernels cannot be loaded: {error})")
    return Loaded(library, f"kernels of Striate for {level.name}")


def opened(path: Path) -> Any:
    """The library of a file, with what its functions return where that is not an int."""
    library = ctypes.CDLL(str(path))
    for function in (library.pointwise_sums, library.windows_sums, library.winograd_parts):
        function.restype = ctypes.c_int64
    return library


def will_take_seconds() -> bool:
    """Whether the first who asks this process for kernels waits for a compiler."""
    wish = os.environ.get(VARIABLE) or "auto"
    if loaded.cache_info().currsize or wish == "off":
        return False
    try:
        return will_be_compiled(level_for(wish))
    except (NotBuiltError, OSError, OutputError):
        return False


def kernels() -> Any:
    """The loaded library, or None."""
    return loaded().library


def kernels_at_hand() -> Any:
    """The library, or None where there is none without waiting for a compiler."""
    return None if will_take_seconds() else kernels()


def description() -> str:
    """Whose kernels this process computes with, in a few words: what logs and checkpoints say."""
    return loaded().said
