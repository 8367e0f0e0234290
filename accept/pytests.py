"""Acceptance that is a set of tests: run them, and tell how many passed in how long."""

import os
import re
import subprocess
import sys
import time

from accept import Check
from accept.commands import REPOSITORY


def all_pass(id: str, *words: str, seconds: float | None = None) -> Check:
    """Whether the tests that ``words`` name all pass, none skipped, in at most ``seconds``."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", *words]
    started = time.monotonic()
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=dict(os.environ))
    took = time.monotonic() - started
    lines = [line for line in done.stdout.splitlines() if re.search(r" in [\d.]+s", line)]
    closing = lines[-1] if lines else "no result"
    good = done.returncode == 0 and "skipped" not in closing and (seconds is None or took <= seconds)
    wanted = "all pass" + (f" in {seconds:.0f} s" if seconds else "")
    return Check(id, wanted, f"{closing.strip('= ')}, {took:.0f} s in all", good)
