"""Commands in a fresh clone, on what seems a machine on which nothing of ours was ever run."""

import os
import re
import subprocess
import time
from pathlib import Path

from accept.commands import DATA, REPOSITORY, CommandError


def cloned(folder: Path) -> Path:
    """A clone of what is committed, in this folder."""
    run(["git", "clone", "--quiet", str(REPOSITORY), str(folder / "clone")], folder, folder)
    return folder / "clone"


def run(command: list[str], cwd: Path, folder: Path) -> tuple[float, str]:
    """Seconds and output of a command; caches are below ``folder``."""
    env = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS")}
    env |= {"STRIATE_CACHE": str(folder / "cache"), "STRIATE_TEST_DATA": str(DATA)}
    started = time.monotonic()
    done = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        said = " / ".join((done.stdout + done.stderr).strip().splitlines()[-6:])
        raise CommandError(f"{' '.join(command)} ended with {done.returncode}: {said}")
    return seconds, done.stdout + done.stderr


def closings(said: str) -> list[str]:
    """Pytest's closing lines, without their rules."""
    return [line.strip("= ") for line in said.splitlines() if re.search(r"\d+ passed.* in [\d.]+s", line)]
