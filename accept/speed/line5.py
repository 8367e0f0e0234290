"""`striate train flowers`, as it was before this issue and as it is, alternated."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from accept import Check, at_least, at_most, noted
from accept.commands import DATA, REPOSITORY, striate

BEFORE = "667f86e"
"""The last commit before this issue."""
ROUNDS = 2


def checks() -> Iterator[Check]:
    seconds: dict[str, list[float]] = {"before": [], "now": []}
    right: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="striate-before-") as name:
        folder = Path(name)
        subprocess.run(["git", "worktree", "add", "--detach", folder / "tree", BEFORE], cwd=REPOSITORY, check=True)
        try:
            for turn in range(ROUNDS):
                for which, tree in (("before", folder / "tree"), ("now", REPOSITORY)):
                    started = time.monotonic()
                    answer = _train(tree, folder / f"{which}{turn}")
                    seconds[which].append(time.monotonic() - started)
                    right[which] = answer["test"]["top1"]
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder / "tree"], cwd=REPOSITORY, check=True)
    yield noted("5.seconds", f"before {_rounded(seconds['before'])}, now {_rounded(seconds['now'])}")
    yield at_most("5.time", median(seconds["now"]) / median(seconds["before"]), 0.5)
    yield at_least("5.top1", right["now"], right["before"])


def _train(tree: Path, run: Path) -> dict[str, Any]:
    return striate("train", DATA / "flowers", "--out", run, env={"PYTHONPATH": str(tree)}, cwd=tree)


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 1) for value in values]
