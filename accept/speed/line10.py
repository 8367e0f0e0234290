"""A run alone, two at once, and one beside a busy loop: before and today alternated, torch's figures beside them.

"Before" is today's tree with threads that wait as OpenMP has them, and without turns.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from statistics import median, quantiles

from accept import Check, at_least, noted
from accept.commands import REPOSITORY
from accept.speed.stepping import READY

CORES = sorted(os.sched_getaffinity(0))
ROUNDS, SECONDS = 10, 8.0
SELDOM = 2
"""Rounds of what is told for comparison only."""

ALONE, TWO, BUSY = 0.95, 0.8, 0.4  # of one alone before; of one alone; of one alone, beside a busy loop
LOOPS = 0.8 * 0.5  # of one alone, beside a busy loop on each core: a fifth less than the fair share


class Run:
    """A process of `stepping`."""

    def __init__(self, which: str) -> None:
        bare = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "accept.speed.stepping", which],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=bare,
            cwd=REPOSITORY,
        )
        assert self._line() == READY

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def begin(self) -> None:
        assert self._process.stdin is not None
        print(SECONDS, file=self._process.stdin, flush=True)

    def rate(self) -> float:
        """Pictures a second."""
        return float(self._line())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def checks() -> Iterator[Check]:
    rates: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        runs = {}
        for which in ("today", "before", "torch"):
            runs[which] = [Run(which), Run(which)]
            for run in runs[which]:
                stack.callback(run.close)
        for turn in range(ROUNDS):
            # Before all else, in turns: who comes first finds the caches as others left them.
            for which in ("today", "before") if turn % 2 else ("before", "today"):
                rates.setdefault(f"{which} alone", []).append(_together([runs[which][0]]))
            for which, (first, second) in runs.items():
                if which == "torch" and turn < SELDOM:
                    rates.setdefault(f"{which} alone", []).append(_together([first]))
                if which == "today" or turn < SELDOM:
                    rates.setdefault(f"{which} two", []).append(_together([first, second]))
                    for name, cores in (("busy", CORES[:1]), ("loops", CORES)):
                        with _busy_loops(cores):
                            rates.setdefault(f"{which} {name}", []).append(_together([first]))
    for name, values in rates.items():
        low, _, high = quantiles(values, n=4)
        yield noted(f"10.{name}", f"{median(values):.1f} images/s, quartiles {low:.1f} to {high:.1f}")
    ratios = [now / then for now, then in zip(rates["today alone"], rates["before alone"], strict=True)]
    low, _, high = quantiles(ratios, n=4)
    yield at_least("10.alone", median(ratios), ALONE, f"of before, quartiles {low:.2f} to {high:.2f}")
    alone = median(rates["today alone"])
    yield at_least("10.two", median(rates["today two"]) / alone, TWO, "of one alone, together")
    yield at_least("10.busy", median(rates["today busy"]) / alone, BUSY, "of one alone, beside a busy loop on one core")
    yield at_least("10.loops", median(rates["today loops"]) / alone, LOOPS, "of one alone, beside one on each core")


def _together(runs: Sequence[Run]) -> float:
    for run in runs:
        run.begin()
    return sum(run.rate() for run in runs)


@contextlib.contextmanager
def _busy_loops(cores: Sequence[int]) -> Iterator[None]:
    code = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(core)]) for core in cores]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
