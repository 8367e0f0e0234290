"""The peak of a step of training as planned, as others predict it, and as torch's allocator counts it.

`python -m accept.plan.line8` writes the table of docs/memory.md. Others know torch's operations alone, so all plan what
torch computes: float32, SGD with momentum, channels-last, no kernels of ours.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from accept import Check, at_most, noted
from accept.commands import REPOSITORY
from accept.plan.line3 import NETWORKS

BATCH = 8
TOOLS = ("torchinfo", "torch-kitsune", "MemTracker")
MEDIAN = 0.01
PEERS = REPOSITORY / ".venv-peers" / "bin" / "python"
PAGE = REPOSITORY / "docs" / "memory.md"
HEAD = f"""\
# How true plans are

Made by `python -m accept.plan.line8` (`make setup-peers` before). The peak of a step of training on {BATCH} pictures of
a network's own size, in float32, by SGD with momentum, of all tensors together, as `striate plan` says it before and as
torch's allocator counts it in a real step; and what others say: torchinfo's "estimated total size", torch-kitsune's
prediction (without the 15 % that it adds for CUDA's allocator), and the peak of `torch.distributed`'s MemTracker on
tensors without numbers. Others know torch's operations alone, so kernels of ours are switched off.

What the allocator counts beside tensors are libraries' own requests. oneDNN's copies of weights, whose channels it
fills up to whole vectors, are planned; what it takes for gradients of depthwise windows, and to interpolate, is not.

"""


@dataclass(frozen=True, slots=True)
class Row:
    """A network's true peak in bytes, and how far each is off, as a part of it; None for who said nothing."""

    name: str
    true: int
    off: Mapping[str, float | None]

    @property
    def nearest(self) -> bool:
        """Whether nobody is nearer than we are."""
        others = [abs(off) for tool, off in self.off.items() if tool != "striate" and off is not None]
        return abs(self.off["striate"] or 0.0) <= min(others, default=1.0)


def checks() -> Iterator[Check]:
    found = []
    for row in rows():
        found.append(row)
        yield Check(f"8.{row.name}", "ours the nearest", _said(row), row.nearest)
    yield at_most("8.median", statistics.median(abs(row.off["striate"] or 0.0) for row in found), MEDIAN)
    yield noted("8.nearest", f"in {sum(row.nearest for row in found)} of {len(found)} rows")


def rows() -> Iterator[Row]:
    """All networks, one after the other."""
    for name in NETWORKS:
        step = (sys.executable, "-m", "accept.plan.stepping", name, "sgd", "float32", str(BATCH))
        planned, peak, there = json.loads(_run(*step))
        true = peak + there
        said: dict[str, int | None] = {"striate": planned + there}
        for tool in TOOLS:
            answer = json.loads(
                _run(str(PEERS), "-m", "accept.plan.predicting", tool, name, str(BATCH)).splitlines()[-1]
            )
            said[tool] = answer.get("bytes")
        yield Row(name, true, {who: None if size is None else size / true - 1 for who, size in said.items()})


def page(found: list[Row]) -> str:
    """The table, in Markdown."""
    head = ["network", "true, MB", "striate", *TOOLS]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    lines += [[row.name, f"{row.true / 1e6:,.1f}", *map(_percent, row.off.values())] for row in found]
    return HEAD + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _run(*command: str) -> str:
    environment = {**os.environ, "STRIATE_NATIVE": "off", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, env=environment).stdout


def _said(row: Row) -> str:
    return ", ".join(f"{who} {_percent(off)}" for who, off in row.off.items()) + f" of {row.true / 1e6:,.1f} MB"


def _percent(off: float | None) -> str:
    return "none" if off is None else f"{100 * off:+.2f} %"


if __name__ == "__main__":
    Path(PAGE).write_text(page(list(rows())), encoding="utf-8")
