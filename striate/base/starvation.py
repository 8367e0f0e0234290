"""How much of the processor time that this process asks for it gets, by the kernel's own accounts."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds: on the clock, of threads that computed, and of threads that could have but found no core free."""

    wall: float
    computed: float
    queued: float

    @property
    def share(self) -> float:
        """The part of what was asked for that was had, 0 to 1; 1 where nothing was asked for."""
        asked = self.computed + self.queued
        return self.computed / asked if asked else 1.0


class Account:
    """What the threads of this process use, from one look to the next. Nothing is seen of threads that have ended."""

    def __init__(self, *, proc: Path = Path("/proc"), now: Callable[[], float] = time.monotonic) -> None:
        self._tasks, self._now = proc / "self" / "task", now
        self._at, self._before = now(), self._threads()

    def elapsed(self) -> float:
        """Seconds since the last look."""
        return self._now() - self._at

    def look(self) -> Usage:
        """What was used since the last look; nothing where the system does not tell."""
        at, threads = self._now(), self._threads()
        none = (0, 0)
        computed, queued = (
            sum(max(0, told[which] - self._before.get(name, none)[which]) for name, told in threads.items()) / 1e9
            for which in (0, 1)
        )
        usage = Usage(at - self._at, computed, queued)
        self._at, self._before = at, threads
        return usage

    def _threads(self) -> dict[str, tuple[int, int]]:
        """Nanoseconds of each thread on a core and waiting for one, from ``/proc/self/task/*/schedstat``."""
        threads = {}
        try:
            for task in self._tasks.iterdir():
                words = (task / "schedstat").read_text(encoding="ascii").split()
                threads[task.name] = (int(words[0]), int(words[1]))
        except (OSError, ValueError, IndexError):  # no such accounts here, or a thread that ended this moment
            pass
        return threads
