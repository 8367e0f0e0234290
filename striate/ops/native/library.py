"""The library of kernels in this process: loaded once, compared with torch, or done without; and which it was."""

import _ctypes
import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from striate.base.compiling import building, providing
from striate.base.compiling.levels import Level, NoKernelsError, possible, wished
from striate.base.errors import OutputError
from striate.ops.native.tensors import is_fake, will_be_differentiated
from striate.ops.own_state import one_thread_in_children

Count = building.Count

_on_unit: ContextVar[Count] = ContextVar("on_unit", default=building.silent)
"""Who hears of a build that starts in the middle of other work."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The kernels, or None, and what a log says of that."""

    library: Any
    said: str


def prepare(on_unit: Count) -> str:
    """Load the kernels, built first where there are none; ``on_unit`` is told how far that is.

    Gives what `description` says.
    """
    token = _on_unit.set(on_unit)
    try:
        return description()
    finally:
        _on_unit.reset(token)


@cache
def loaded() -> Loaded:
    """The library of this process, for good; building it takes up to a minute or two, once on a machine."""
    try:
        levels = possible(wished())
        return _found(levels) or _built(levels[0])
    except (NoKernelsError, OutputError) as error:
        return Loaded(None, f"torch alone ({error})")
    except OSError as error:
        return Loaded(None, f"torch alone (no kernels: {error})")


def _found(levels: Sequence[Level]) -> Loaded | None:
    """The best of the libraries that there are, None if none of them is of use."""
    for level, path in providing.there(levels, _loader()):
        with suppress(NoKernelsError):
            return _compared(level, path)
    return None


def _built(level: Level) -> Loaded:
    """A library built now and kept for whoever comes next.

    Raises:
        NoKernelsError: there can be none, or it is of no use.
    """
    return _compared(level, providing.built(level, loader=_loader(), on_unit=_on_unit.get()))


def _loader() -> str:
    return f"torch {torch.__version__}"


def _compared(level: Level, path: Path) -> Loaded:
    """The library of a file, if it computes what torch does; that it does not is remembered.

    Raises:
        NoKernelsError: it cannot be loaded, or computes otherwise.
    """
    from striate.ops.native.checking import first_difference

    library = None
    try:
        library = opened(path)
        difference = first_difference(library)
        said = f"the kernels compute otherwise than torch: {difference}" if difference else ""
    except (OSError, AttributeError) as error:
        said = f"the kernels cannot be loaded: {error}"
    if not said:
        return Loaded(library, f"kernels of Striate for {level.name}")
    providing.reject(level, path, _loader(), said)
    if library is not None:  # a library that is built in its place has the same name, and would not be opened
        _ctypes.dlclose(library._handle)
    raise NoKernelsError(said)


def opened(path: Path) -> Any:
    """The library of a file, with what its functions return where that is not an int."""
    one_thread_in_children()  # the kernels and torch share OpenMP's threads
    library = ctypes.CDLL(str(path))
    for function in (library.pointwise_sums, library.windows_sums, library.winograd_parts):
        function.restype = ctypes.c_int64
    return library


_left_to_torch: ContextVar[bool] = ContextVar("left_to_torch", default=False)


@contextmanager
def left_to_torch() -> Iterator[None]:
    """Within this block, and in this thread alone, torch computes all, as where there are no kernels."""
    token = _left_to_torch.set(True)
    try:
        yield
    finally:
        _left_to_torch.reset(token)


def kernels() -> Any:
    """The loaded library, or None where there is none, or torch is to compute all."""
    return None if _left_to_torch.get() else loaded().library


def kernels_without_waiting(*tensors: Tensor | None) -> Any:
    """`kernels` for a call with these; who only answers gets them where he need not wait for a compiler."""
    if _left_to_torch.get():
        return None
    return kernels() if will_be_differentiated(*tensors) or loaded.cache_info().currsize else kernels_at_hand()


def kernels_for(tensor: Tensor) -> Any:
    """`kernels`; for a fake tensor such as compute nothing. Only who has seen that there are some asks."""
    return _Silent(kernels()) if is_fake(tensor) else kernels()


class _Silent:
    """A library that knows how much room is needed, and otherwise says that all went well."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name) if name in _SIZES else lambda *_: 0


_SIZES = ("pointwise_sums", "windows_sums", "windows_threads", "winograd_parts")


@cache
def kernels_at_hand() -> Any:
    """The library, or None where there was none without waiting for a compiler when this process first asked.

    It stays so: whatever others build meanwhile, a process answers the same question alike.
    """
    try:
        found = _found(possible(wished()))
    except (NoKernelsError, OSError):
        return None
    return found.library if found else None


def description() -> str:
    """Whose kernels this process computes with, in a few words: what logs and checkpoints say."""
    return loaded().said
