"""How the process gives memory back that it does not need for the moment."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # of mallopt(3), in glibc's malloc.h
_NEVER = 2**31 - 1
_USUAL_TRIM_THRESHOLD, _USUAL_MMAP_THRESHOLD, _USUAL_MMAP_MAX = 128 << 10, 128 << 10, 65536


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within this block freed memory stays with the process, see `keep_freed_memory`; at its end it is given back."""
    keep_freed_memory()
    try:
        yield
    finally:
        _set(_USUAL_TRIM_THRESHOLD, _USUAL_MMAP_MAX)
        if (library := _glibc()) is not None:
            library.malloc_trim(0)


@contextmanager
def freed_memory_returned() -> Iterator[None]:
    """Within this block freed memory goes back to the system at once, so that a process has what it needs and no more.

    Of itself glibc maps only ever larger pieces one by one, once it has seen large ones freed, and the others fragment.
    """
    _set(_USUAL_TRIM_THRESHOLD, _USUAL_MMAP_MAX)
    if (library := _glibc()) is not None:
        library.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP_THRESHOLD)
    yield


def keep_freed_memory() -> None:
    """From now on let freed memory stay with the process, for the next who asks.

    Steps of training free and ask for the same hundreds of megabytes again and again. glibc gives large pieces back
    to the system each time, which must then fill every page with zeros: a tenth of a ResNet-50's step on two cores.
    With other C libraries this does nothing.
    """
    _set(_NEVER, 0)


def _set(trim_threshold: int, mmap_max: int) -> None:
    if (library := _glibc()) is not None:
        library.mallopt(_TRIM_THRESHOLD, trim_threshold)
        library.mallopt(_MMAP_MAX, mmap_max)


def _glibc() -> Any:
    """The C library, if it is glibc."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # there is no such thing as the process' own symbols
        return None
    wanted = ("gnu_get_libc_version", "mallopt", "malloc_trim")
    return library if all(hasattr(library, name) for name in wanted) else None
