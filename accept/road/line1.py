"""A fresh clone in an empty folder: make demo, make test, make test-all, each timed after its set-up.

What is committed is what is cloned. The demo runs without a network where the machine lets us take it away.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check, at_least, at_most, noted
from accept.clones import cloned, closings, run


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-clone-") as name:
        folder = Path(name)
        clone = cloned(folder)
        seconds, _ = run(["make", "setup"], clone, folder)
        yield noted("1.setup", f"{seconds:.0f} s")

        offline = _without_network()
        seconds, said = run([*offline, "make", "demo"], clone, folder)
        yield at_most("1.demo.seconds", seconds, 60, "s, no network" if offline else "s, with a network")
        top1 = re.search(r"digits: held-out top-1 (0\.\d+|1\.0*)", said)
        yield at_least("1.demo.top1", float(top1[1]) if top1 else 0.0, 0.975)
        for photograph in ("china.jpg", "flower.jpg"):
            named = next((line.strip() for line in said.splitlines() if photograph in line), "")
            yield Check(f"1.demo.{photograph}", "a name", named[:52], bool(named))

        seconds, said = run(["make", "test"], clone, folder)
        yield at_most("1.test.minutes", seconds / 60, 6, closings(said)[-1])
        seconds, _ = run(["make", "setup-oracle"], clone, folder)
        yield noted("1.setup-oracle", f"{seconds:.0f} s")
        seconds, said = run(["make", "test-all"], clone, folder)
        yield at_most("1.test-all.minutes", seconds / 60, 25, closings(said)[-1])


def _without_network() -> list[str]:
    """A prefix that runs a command in an empty network namespace, or nothing where that is not allowed."""
    prefix = ["unshare", "--net"]
    allowed = shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    return prefix if allowed else []
