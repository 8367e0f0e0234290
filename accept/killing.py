"""Killing a run with SIGKILL at random moments and going on with it, and whether it ends as one that never was killed.

Half of the kills come at a random moment, half as soon as a file is seen half-written.
"""

import contextlib
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from accept import Check, noted
from accept.commands import REPOSITORY, STRIATE, CommandError, figures, metrics, same_weights

KILLS = 20


def survived(
    line: int, data: Path, recipe: Path, folder: Path, workers: Sequence[int], times: int = KILLS
) -> Iterator[Check]:
    """A run in ``folder`` that nobody kills, and for each number of workers one that is killed, compared with it."""
    whole = folder / "whole"
    startup, training = _uninterrupted(Run(data, recipe, whole, workers=0))
    yield noted(f"{line}.uninterrupted", f"{training:.0f} s of steps, {startup:.0f} s before the first")
    for number in workers:
        run = Run(data, recipe, folder / f"killed-workers{number}", number)
        lines = len(metrics(whole))
        kills, writing = _killed(run, times, lines, startup, training / lines)
        row = f"{line}.workers{number}"
        yield Check(f"{row}.kills", str(times), f"{kills}, {writing} of them mid-write", kills >= times)
        left = sorted(path.name for path in run.out.glob(".*.partial"))
        yield Check(f"{row}.left-behind", "nothing half-written", ", ".join(left) or "nothing", not left)
        for file in ("model.safetensors", "last.safetensors"):
            different = same_weights(whole / file, [run.out / file])
            yield Check(f"{row}.{file.split('.')[0]}", "torch.equal", different or "equal", not different)
        same = figures(run.out) == figures(whole)
        yield Check(f"{row}.metrics", "equal figures", "equal" if same else "they differ", same)


@dataclass(frozen=True)
class Run:
    """A run that can be started, and gone on with once its folder has a recipe."""

    data: Path
    recipe: Path
    out: Path
    workers: int

    def start(self) -> subprocess.Popen[bytes]:
        how = ["--resume"] if (self.out / "recipe.toml").exists() else ["--recipe", str(self.recipe), "--force"]
        words = ["train", str(self.data), "--out", str(self.out), "--workers", str(self.workers), "--quiet", *how]
        quiet = subprocess.DEVNULL
        return subprocess.Popen([*STRIATE, *words], cwd=REPOSITORY, stdin=quiet, stdout=quiet, stderr=quiet)

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        if process.wait() != 0:
            raise CommandError(f"striate train --out {self.out.name} ended with {process.returncode}")

    def writes_since(self, moment: float) -> bool:
        """Whether a file is half-written that was begun after ``moment`` (a killed life may have left older ones)."""
        with contextlib.suppress(FileNotFoundError):  # it was finished between the list and the look
            return any(path.stat().st_mtime > moment for path in self.out.glob(".*.partial"))
        return False


def _uninterrupted(run: Run) -> tuple[float, float]:
    """Seconds before the first step is logged, and seconds from there to the end."""
    started = time.monotonic()
    process = run.start()
    while not metrics(run.out) and process.poll() is None:
        time.sleep(0.05)
    first = time.monotonic()
    run.finish(process)
    return first - started, time.monotonic() - first


def _killed(run: Run, times: int, lines: int, startup: float, step: float) -> tuple[int, int]:
    """Kill and go on so many times, then let it end; how many kills, how many while a file was written.

    ``lines`` is how many lines of metrics the whole run has, ``startup`` the seconds before its first step, ``step``
    those of a step. A life may add a random number of lines, at most 1.4 times its share of what is left, so that the
    run outlives its kills however fast the machine is at the moment; a life of none is killed before its first step.
    """
    chance = random.Random(run.workers)
    kills = writing = 0
    while kills < times:
        written = len(metrics(run.out))
        left = lines - written
        share = chance.randint(0, max(1, min(left - 3, round(1.4 * left / (times - kills)))))
        born = time.time()
        process = run.start()
        if share == 0:
            time.sleep(chance.uniform(0.2, 1.0) * startup)
        else:
            while process.poll() is None and len(metrics(run.out)) < written + share:
                time.sleep(0.002)
            limit = time.time() + chance.uniform(0.0, step)
            if kills % 2:  # every other one waits for a file that is being written, for some steps at most
                limit += 2 * step
            while process.poll() is None and time.time() < limit and not (kills % 2 and run.writes_since(born)):
                time.sleep(0.001)
        if process.poll() is not None:
            run.finish(process)
            return kills, writing
        process.kill()
        process.wait()
        kills += 1
        writing += run.writes_since(born)
    run.finish(run.start())
    return kills, writing
