"""Processes that want the same cores compute one after the other, step by step, instead of all at once.

The threads of a step wait for each other some hundred times. Where another process lies between them, each of these
times may take a slice of the scheduler's: two runs at once together make a quarter of what one makes alone, or two
thirds where waiting threads sleep soon; in turns it is nine tenths.
"""

import contextlib
import hashlib
import itertools
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from striate.base.hardware import cores

_PATIENCE = 60.0
"""Seconds after which a holder is passed by: it may have been stopped, or one step of it may take that long."""

_MOMENT = 0.001
"""Seconds between two looks at a lock that is another's."""

_SHORTEST, _LONGEST = 0.1, 1.0
"""Seconds that a turn of short steps lasts: as long as it was waited for, so that who has long steps gets no more."""

Item = TypeVar("Item")


def in_turns(
    items: Iterable[Item],
    threads: int,
    on_wait: Callable[[float], None] = lambda seconds: None,
    *,
    folder: Path | None = None,
    patience: float = _PATIENCE,
) -> Iterator[Item]:
    """The items, made and used (until the next is asked for) in turns of this process, one or more in each.

    Whose threads take half of the cores or less takes no turns, since two of its kind fit. Turns are taken among the
    processes of one user that may use the same cores, by locks in ``folder`` (the system's for temporary files), which
    fall with their holder. ``on_wait`` is told each time how many seconds it took until the turn came. A holder that
    keeps the others waiting for more than ``patience`` seconds is not waited for again.
    """
    door = _Door.of_these_cores(folder or Path(tempfile.gettempdir()), patience) if 2 * threads > cores() else None
    if door is None:
        yield from items
        return
    iterator = iter(items)
    with contextlib.closing(door):
        done = False
        while not done:
            on_wait(waited := door.enter())
            until = time.monotonic() + min(max(waited, _SHORTEST), _LONGEST)
            try:
                while not done and time.monotonic() < until:
                    one = list(itertools.islice(iterator, 1))
                    done = not one
                    yield from one
            finally:
                door.leave()


class _Door:
    """Two locks: who has the first is next, who has the second computes. So who has left comes after all others."""

    inside = False
    """Whether this process has a turn: what is computed within it, by a listener say, needs none of its own."""

    def __init__(self, following: int, computing: int, patience: float, opened: contextlib.ExitStack) -> None:
        self._following, self._computing, self._patience = following, computing, patience
        self.close = opened.close
        self._entered = False

    @classmethod
    def of_these_cores(cls, folder: Path, patience: float) -> "_Door | None":
        """The door for the cores that this process may use, or None where the system or the folder has none."""
        if not hasattr(os, "sched_getaffinity"):
            return None
        these = hashlib.sha256(repr(sorted(os.sched_getaffinity(0))).encode()).hexdigest()[:12]
        with contextlib.ExitStack() as opened:
            try:
                following, computing = (
                    _own_file(folder / f"striate-{os.getuid()}-{these}.{role}", opened) for role in ("next", "now")
                )
            except OSError:
                return None
            return cls(following, computing, patience, opened.pop_all())

    def enter(self) -> float:
        """Wait for a turn, at most as long as patience lasts; returns the seconds that it took."""
        started = time.monotonic()
        if _Door.inside or self._patience <= 0:
            return 0.0
        until = started + self._patience
        if _locked(self._following, until):
            self._entered = _Door.inside = _locked(self._computing, until)
            _unlock(self._following)
        if not self._entered:
            self._patience = 0.0
        return time.monotonic() - started

    def leave(self) -> None:
        """Let the next one in."""
        if self._entered:
            self._entered = _Door.inside = False
            _unlock(self._computing)


def _own_file(path: Path, opened: contextlib.ExitStack) -> int:
    """Open a file for locking that is this user's; nobody else's could be trusted to let go of it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    opened.callback(os.close, descriptor)
    found = os.fstat(descriptor)
    if found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode):
        raise PermissionError(path)
    return descriptor


def _locked(descriptor: int, until: float) -> bool:
    """Lock a file as soon as nobody else has; False if that is too late, or the file system has no locks."""
    import fcntl

    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(_MOMENT)
        except OSError:
            return False
        else:
            return True


def _unlock(descriptor: int) -> None:
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_UN)
