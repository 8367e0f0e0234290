"""How the process gives memory back that it does not need for the moment."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3), in glibc's malloc.h
_NEVER = 2**31 - 1
_USUAL_TRIM_THRESHOLD, _USUAL_MMAP_MAX = 128 << 10, 65536


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within this block freed memory stays with the process, for the next who asks; at its end it is given back.

    Steps of training free and ask for the same hundreds of megabytes again and again. glibc gives large pieces back
    to the system each time, which must then fill every page with zeros: a tenth of a ResNet-50's step on two cores.
    With other C libraries this does nothing.
    """
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - asks whether this is glibc
        mallopt, trim = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):
        yield
        return
    mallopt(_TRIM_THRESHOLD, _NEVER)
    mallopt(_MMAP_MAX, 0)
    try:
        yield
    finally:
        mallopt(_TRIM_THRESHOLD, _USUAL_TRIM_THRESHOLD)
        mallopt(_MMAP_MAX, _USUAL_MMAP_MAX)
        trim(0)
