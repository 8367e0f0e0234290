"""How much larger the product became when its contracts were widened, between two commits."""

import re
import subprocess
from collections.abc import Iterator

from accept import Check, at_most
from accept.commands import REPOSITORY
from accept.room.line2 import BEFORE

MORE, WIDENED = 1_500, "2b19d50"


def checks() -> Iterator[Check]:
    command = [
        "git",
        "diff",
        "--shortstat",
        BEFORE,
        WIDENED,
        "--",
        "striate/*.py",
        "striate/**/*.py",
        "striate/**/*.[ch]",
    ]
    said = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    added, removed = (int(match[1]) if (match := re.search(rf"(\d+) {word}", said)) else 0 for word in ("ins", "del"))
    yield at_most("5.lines", added - removed, MORE, f"lines more at {WIDENED} than at {BEFORE}")
