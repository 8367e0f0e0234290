"""How much larger the product became when its contracts were widened, less what a later pass found to be too much."""

import re
import subprocess
from collections.abc import Iterator

from accept import Check, at_most
from accept.commands import REPOSITORY
from accept.room.line2 import BEFORE

MORE, WIDENED = 1_500, "2b19d50"
UNTOUCHED, SIMPLER = "47c71b3", "7eb6e1a"
"""The commits between which code was only made simpler."""


def checks() -> Iterator[Check]:
    widened, simpler = _grown(BEFORE, WIDENED), _grown(UNTOUCHED, SIMPLER)
    yield at_most("5.lines", widened + simpler, MORE, f"{widened} from {BEFORE} to {WIDENED}, {simpler} later")


def _grown(before: str, after: str) -> int:
    """Lines of the product that a commit has more than another."""
    product = ("striate/*.py", "striate/**/*.py", "striate/**/*.[ch]")
    command = ["git", "diff", "--shortstat", before, after, "--", *product]
    said = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    added, removed = (int(match[1]) if (match := re.search(rf"(\d+) {word}", said)) else 0 for word in ("ins", "del"))
    return added - removed
