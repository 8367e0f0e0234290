"""The demo after set-up: fast on an ordinary machine, and bearable pinned to one core beside a busy loop."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from accept import Check, at_most
from accept.commands import REPOSITORY

ORDINARY, PINNED = 60.0, 180.0  # seconds


def checks() -> Iterator[Check]:
    subprocess.run(["make", "setup"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    yield at_most("4.demo", _demo([]), ORDINARY, "s")
    pin = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    loop = subprocess.Popen([*pin, sys.executable, "-c", "while True: pass"])
    try:
        yield at_most("4.demo-pinned", _demo(pin), PINNED, "s")
    finally:
        loop.kill()
        loop.wait()


def _demo(before: list[str]) -> float:
    started = time.monotonic()
    subprocess.run([*before, "make", "demo"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started
