"""How long the benchmarks take."""

import subprocess
import sys
import time
from collections.abc import Iterator

from accept import Check, at_most, noted
from accept.commands import REPOSITORY, striate


def checks() -> Iterator[Check]:
    started = time.monotonic()
    striate("bench")
    yield at_most("9.striate.bench", time.monotonic() - started, 120, "s")
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "bench"], cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    yield at_most("9.make.bench", (time.monotonic() - started) / 60, 40, "min")
    yield noted("9.make.bench.code", str(done.returncode))
