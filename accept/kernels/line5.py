"""All of CI in a fresh clone, pinned to one core beside a busy loop: about an hour."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check, at_most, noted
from accept.clones import cloned, closings, run

TEST, ALL = 25.0, 75.0  # minutes


def checks() -> Iterator[Check]:
    pin = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    loop = subprocess.Popen([*pin, sys.executable, "-c", "while True: pass"])
    try:
        with tempfile.TemporaryDirectory(prefix="striate-pinned-") as name:
            seconds, said = run([*pin, ".ci/run"], cloned(Path(name)), Path(name))
    finally:
        loop.kill()
        loop.wait()
    test, *_, rest = closings(said)
    yield at_most("5.test.minutes", _seconds(test) / 60, TEST, test)
    yield at_most("5.ci.minutes", seconds / 60, ALL, rest)
    yield noted("5.pace", next(line for line in said.splitlines() if "processor time of an ordinary one" in line))


def _seconds(closing: str) -> float:
    found = re.search(r" in ([\d.]+)s", closing)
    assert found
    return float(found[1])
