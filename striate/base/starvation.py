"""How much of the processor time that this process asks for it gets, by the kernel's own accounts."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds on the clock, and by threads: that computed, and that could have but found no core free.

    ``idle`` are those of the cores that this process may use, when they had nothing to do.
    """

    wall: float
    computed: float
    queued: float
    idle: float

    @property
    def share(self) -> float:
        """The part of what was asked for that was had, 0 to 1; 1 where nothing was asked for."""
        asked = self.computed + self.queued
        return self.computed / asked if asked else 1.0


class Account:
    """What the threads of this process use, from one look to the next. Nothing is seen of threads that have ended."""

    def __init__(self, *, proc: Path = Path("/proc"), now: Callable[[], float] = time.monotonic) -> None:
        self._proc, self._now = proc, now
        self._at, self._before, self._idle = now(), self._threads(), self._idleness()

    def elapsed(self) -> float:
        """Seconds since the last look."""
        return self._now() - self._at

    def look(self) -> Usage:
        """What was used since the last look; nothing where the system does not tell."""
        at, threads, idle = self._now(), self._threads(), self._idleness()
        none = (0, 0)
        computed, queued = (
            sum(max(0, told[which] - self._before.get(name, none)[which]) for name, told in threads.items()) / 1e9
            for which in (0, 1)
        )
        usage = Usage(at - self._at, computed, queued, idle - self._idle)
        self._at, self._before, self._idle = at, self._before | threads, idle
        return usage

    def _threads(self) -> dict[str, tuple[int, int]]:
        """Nanoseconds of each thread on a core and waiting for one, from ``/proc/self/task/*/schedstat``."""
        threads = {}
        try:
            tasks = list((self._proc / "self" / "task").iterdir())
        except OSError:  # this system keeps no such accounts
            return {}
        for task in tasks:
            try:
                words = (task / "schedstat").read_text(encoding="ascii").split()
                threads[task.name] = (int(words[0]), int(words[1]))
            except (OSError, ValueError, IndexError):  # it ended this moment
                continue
        return threads

    def _idleness(self) -> float:
        """Seconds that the cores of this process had nothing to do, from ``/proc/stat``."""
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
        ticks = 0
        try:
            for line in (self._proc / "stat").read_text(encoding="ascii").splitlines():
                name, *words = line.split() or [""]
                if name in {f"cpu{core}" for core in cores}:
                    ticks += int(words[3]) + int(words[4])  # nothing to do, and nothing but a disk to wait for
            return ticks / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return 0.0
