"""Memory: resnet18 at 224, batches of 32, 200 steps; what is resident grows by less than 2 % after step 50."""

import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from accept import Check, noted
from accept.commands import REPOSITORY, STRIATE, CommandError, metrics
from accept.drawing import draw_photographs

STEPS, AFTER, WINDOW = 200, 50, 25  # an epoch has 25 steps, so each window holds a validation and a checkpoint
RECIPE = """
model = "resnet18"
weights = "none"
size = [224, 224]
batch_size = 32
log_every = 1
patience = 0

[[stages]]
epochs = 8
rate = 0.02
"""


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-memory-") as name:
        folder = Path(name)
        data = draw_photographs(folder / "drawn", classes=2, per_class=500)  # 800 of them to train on
        recipe = folder / "recipe.toml"
        recipe.write_text(RECIPE)
        samples = _watched(data, recipe, folder / "run")
    last = max(step for step, _ in samples)
    yield Check("8.steps", f"{STEPS}", str(last), last == STEPS)
    early = [size for step, size in samples if AFTER <= step < AFTER + WINDOW]
    late = [size for step, size in samples if step >= STEPS - WINDOW]
    growth = statistics.median(late) / statistics.median(early) - 1
    size = f"{statistics.median(early) / 2**20:.0f} to {statistics.median(late) / 2**20:.0f} MiB"
    yield Check("8.growth", "< 2 % after step 50", f"{growth:+.2%} ({size})", growth < 0.02)
    peak = max(late) / max(early) - 1
    yield noted("8.growth-of-peaks", f"{peak:+.2%} ({max(early) / 2**20:.0f} to {max(late) / 2**20:.0f} MiB)")


def _watched(data: Path, recipe: Path, run: Path) -> list[tuple[int, int]]:
    """Train, and look four times a second: (steps done in all, resident bytes)."""
    command = [*STRIATE, "train", str(data), "--recipe", str(recipe), "--out", str(run), "--quiet"]
    seen: list[tuple[int, int, int]] = []
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            steps = [line for line in metrics(run) if line["kind"] == "step"]
            size = _resident(process.pid)
            if steps and size:
                seen.append((steps[-1]["epoch"], steps[-1]["step"], size))
            time.sleep(0.25)
        said = process.stderr.read().decode(errors="replace") if process.stderr else ""
    if process.returncode != 0:
        raise CommandError(f"striate train ended with {process.returncode}: {said[-300:]}")
    in_epoch = max(step for _, step, _ in seen)
    return [(epoch * in_epoch + step, size) for epoch, step, size in seen]


def _resident(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/statm").read_text()
    except OSError:  # it ended meanwhile
        return 0
    pages = re.findall(r"\d+", text)
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0
