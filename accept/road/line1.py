"""A fresh clone in an empty folder: make demo, make test, make test-all, each timed after its set-up.

What is committed is what is cloned. The demo runs without a network where the machine lets us take it away.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from accept import Check, at_least, at_most, noted
from accept.commands import DATA, REPOSITORY, CommandError


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-clone-") as name:
        folder = Path(name)
        clone = folder / "clone"
        _run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], folder, folder)
        seconds, _ = _run(["make", "setup"], clone, folder)
        yield noted("1.setup", f"{seconds:.0f} s")

        offline = _without_network()
        seconds, said = _run([*offline, "make", "demo"], clone, folder)
        yield at_most("1.demo.seconds", seconds, 60, "s, no network" if offline else "s, with a network")
        top1 = re.search(r"digits: held-out top-1 (0\.\d+|1\.0*)", said)
        yield at_least("1.demo.top1", float(top1[1]) if top1 else 0.0, 0.975)
        for photograph in ("china.jpg", "flower.jpg"):
            named = next((line.strip() for line in said.splitlines() if photograph in line), "")
            yield Check(f"1.demo.{photograph}", "a name", named[:52], bool(named))

        seconds, said = _run(["make", "test"], clone, folder)
        yield at_most("1.test.minutes", seconds / 60, 6, _closing(said))
        seconds, _ = _run(["make", "setup-oracle"], clone, folder)
        yield noted("1.setup-oracle", f"{seconds:.0f} s")
        seconds, said = _run(["make", "test-all"], clone, folder)
        yield at_most("1.test-all.minutes", seconds / 60, 25, _closing(said))


def _run(command: list[str], cwd: Path, folder: Path) -> tuple[float, str]:
    """Seconds and output of a command that sees a machine on which nothing of ours was ever run."""
    env = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS")}
    env |= {"STRIATE_CACHE": str(folder / "cache"), "STRIATE_TEST_DATA": str(DATA)}
    started = time.monotonic()
    done = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        said = " / ".join((done.stdout + done.stderr).strip().splitlines()[-6:])
        raise CommandError(f"{' '.join(command)} ended with {done.returncode}: {said}")
    return seconds, done.stdout + done.stderr


def _without_network() -> list[str]:
    """A prefix that runs a command in an empty network namespace, or nothing where that is not allowed."""
    prefix = ["unshare", "--net"]
    allowed = shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    return prefix if allowed else []


def _closing(said: str) -> str:
    """Pytest's closing line, without its rules."""
    lines = [line.strip("= ") for line in said.splitlines() if re.search(r"\d+ passed.* in [\d.]+s", line)]
    return lines[-1] if lines else "no closing line"
