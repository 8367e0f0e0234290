"""One process at a time: a lock that falls with its holder, and is passed by where its holder does not get on."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from striate.base.compiling.compilers import each_moment


@contextmanager
def turn(path: Path, patience: float, on_wait: Callable[[], None], mode: int = 0o600) -> Iterator[Callable[[], None]]:
    """Wait until nobody else has the lock; gives what to call to show those who wait that one gets on.

    The lock is the kernel's. Where the file system has none, or its holder has not shown for ``patience`` seconds that
    it gets on, more than one goes ahead. ``mode`` says who may wait: a file that others may not write is none for them.

    Raises:
        OSError: the lock's file cannot be made.
    """
    import fcntl

    descriptor, held = _opened(path, mode), False
    try:
        seen, since = -1, time.monotonic()
        for now in each_moment():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            except OSError:  # this file system has no locks, so the file is nobody's
                held = True
                break
            else:
                if held := os.fstat(descriptor).st_nlink > 0:
                    break
                os.close(descriptor)  # its holder has removed it, so others wait for another file
                descriptor = _opened(path, mode)
                continue
            if (beat := os.fstat(descriptor).st_mtime_ns) != seen:
                seen, since = beat, now
            elif now - since > patience:
                break
            on_wait()
        os.utime(descriptor)
        yield lambda: os.utime(descriptor)
    finally:
        if held:  # while it is still ours
            with suppress(OSError):
                path.unlink()
        os.close(descriptor)


def _opened(path: Path, mode: int) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, mode)
