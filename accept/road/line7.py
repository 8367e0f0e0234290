"""Starting: `import striate` and `striate --help`, seconds by the clock, and what they load."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from accept import Check, at_most
from accept.commands import REPOSITORY

PROGRAMS = {"import": ["-c", "import striate"], "help": ["-m", "striate.cli", "--help"]}


def checks() -> Iterator[Check]:
    for name, words in PROGRAMS.items():
        _seconds(words)
        yield at_most(f"7.{name}.seconds", statistics.median(_seconds(words) for _ in range(9)), 0.3, "median of 9")
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
        heavy = sorted(loaded & {"torch", "numpy"})
        yield Check(f"7.{name}.loads", "neither torch nor numpy", ", ".join(heavy) or "neither", not heavy)


def _seconds(words: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, check=True)
    return time.perf_counter() - started
