"""Processes that want the same cores compute one after the other, step by step, instead of all at once.

The threads of a step wait for each other some hundred times. Where another process lies between them, each of these
times may take a slice of the scheduler's: two runs at once together make a quarter of what one makes alone, or two
thirds where waiting threads sleep soon; in turns it is nine tenths.
"""

import contextlib
import functools
import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

from striate.base.hardware import cores

_PATIENCE = 60.0
"""Seconds after which a holder is passed by: it may have been stopped, or one step of it may take that long."""

_NOTHING = 0.001
"""Seconds that a turn may take to come if nobody else has it."""

_MOMENTS = (0.0001, 0.001)
"""Seconds between two looks at a lock that is another's: at first, and later."""

_LONGEST = 1.0
"""Seconds: who had to wait may take so many steps of its own as fit into the time that it waited, up to this.

So who has long steps gets no more of the cores than who has short ones.
"""

_PAUSE = 0.02
"""Seconds between two such steps, to fetch pictures; who needs longer lets others in meanwhile."""


class Turns:
    """The turns of this process among those of one user that may use the same cores.

    Two locks, which fall with their holder: who has the first is next, who has the second computes, so that of two
    processes neither gets two turns in a row against the other's wish. A holder that keeps the others waiting for
    ``patience`` seconds is passed by, and not waited for again until it has let go.
    """

    def __init__(self, following: int, computing: int, patience: float = _PATIENCE) -> None:
        self._following, self._computing, self._patience = following, computing, patience
        self._guard = threading.RLock()
        self._inside = 0  # threads of this process, all of which compute in its one turn
        self._held = self._gave_up = False
        self._until = 0.0
        self._closing: threading.Timer | None = None
        self.waited = 0.0
        """Seconds in all, until turns came."""

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Compute within; what is computed by other threads meanwhile, or by a listener within, needs no own turn."""
        try:
            with self._guard:
                self._inside += 1
                self._enter()
            yield
        finally:
            with self._guard:
                self._inside -= 1
                if not self._inside:
                    self._leave()

    def _enter(self) -> None:
        if self._closing:
            self._closing.cancel()
            self._closing = None
        if self._held:
            return
        started = time.monotonic()
        until = started if self._gave_up else started + self._patience
        if _locked(self._following, until):
            self._held = _locked(self._computing, until)
            fcntl.flock(self._following, fcntl.LOCK_UN)
        self._gave_up = not self._held
        if self._held:
            now = time.monotonic()
            took = now - started
            self.waited += took
            self._until = now + min(took, _LONGEST) if took > _NOTHING else now

    def _leave(self) -> None:
        """Let the next one in, now or, while there is time left, soon."""
        if self._held and time.monotonic() < self._until:
            self._closing = threading.Timer(_PAUSE, self._let_go)
            self._closing.daemon = True
            self._closing.start()
        else:
            self._let_go()

    def _let_go(self) -> None:
        with self._guard:
            if self._held and not self._inside:
                self._held = False
                fcntl.flock(self._computing, fcntl.LOCK_UN)


def turns(threads: int) -> Turns | None:
    """The turns of this process, by files in the system's folder for temporary ones; to be asked for once, not a step.

    None where it takes none: its threads take half of the cores or less, so that two of its kind fit, or there are no
    such locks here.
    """
    if not _HAS_LOCKS or not hasattr(os, "sched_getaffinity") or 2 * threads <= cores():
        return None
    these = hashlib.sha256(repr(sorted(os.sched_getaffinity(0))).encode()).hexdigest()[:12]
    return opened(Path(os.environ.get("TMPDIR") or "/tmp") / f"striate-{os.getuid()}-{these}")


@functools.cache
def opened(place: Path) -> Turns | None:
    """The turns of this process by the files ``place.next`` and ``place.now``, or None if they cannot be had."""
    with contextlib.ExitStack() as files:
        try:
            following, computing = (_own_file(place.with_suffix(role), files) for role in (".next", ".now"))
        except OSError:
            return None
        files.pop_all()
        return Turns(following, computing)


def _own_file(path: Path, files: contextlib.ExitStack) -> int:
    """Open a file for locking that is this user's; nobody else's could be trusted to let go of it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    files.callback(os.close, descriptor)
    found = os.fstat(descriptor)
    if found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode):
        raise PermissionError(path)
    _descriptors.append(descriptor)
    return descriptor


def _locked(descriptor: int, until: float) -> bool:
    """Lock a file as soon as nobody else has; False if that is too late, or the file system has no locks."""
    moment, later = _MOMENTS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(moment)
            moment = min(2 * moment, later)
        except OSError:
            return False
        else:
            return True


_descriptors: list[int] = []


def _forget() -> None:
    """A forked process shares its parent's locks, and would hold them after the parent's end: it opens its own."""
    opened.cache_clear()
    while _descriptors:
        os.close(_descriptors.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
