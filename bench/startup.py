"""Seconds until a command has answered, from a cold interpreter: Striate's, and what other libraries take to import."""

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.environment import PEERS, REPOSITORY, photographs
from bench.section import Section, Settings, Table

ROUNDS = 5

HOW = (
    "Wall seconds of whole processes, files in the system's cache, medians. Imports of other libraries stand beside "
    "them for comparison."
)


@dataclass(frozen=True, slots=True)
class Program:
    label: str
    command: tuple[str, ...]


def programs(picture: Path) -> tuple[Program, ...]:
    own, theirs = sys.executable, str(PEERS)
    return (
        Program("python -c pass", (own, "-c", "pass")),
        Program('python -c "import striate"', (own, "-c", "import striate")),
        Program("striate --help", (own, "-m", "striate.cli", "--help")),
        Program(
            "striate predict efficientnet_lite0, one picture",
            (own, "-m", "striate.cli", "predict", "efficientnet_lite0", str(picture), "--quiet"),
        ),
        Program('python -c "import torch"', (own, "-c", "import torch")),
        Program('python -c "import torchvision"', (theirs, "-c", "import bench.peers.without_operators, torchvision")),
        Program('python -c "import keras", on TensorFlow', (theirs, "-c", "import keras")),
    )


def run(settings: Settings) -> Section:
    with tempfile.TemporaryDirectory(prefix="striate-bench-") as folder:
        data, _ = photographs(Path(folder))
        compared = programs(next(iter(sorted(data.rglob("*.jpg")))))
        taken: dict[str, list[float]] = {program.label: [] for program in compared}
        failures: dict[str, str] = {}
        for turn in range(settings.rounds(ROUNDS) + 1):
            for program in compared:
                started = time.perf_counter()
                failure = _failure(program)
                if failure:
                    failures[program.label] = failure
                elif turn:  # the first run compiles and reads from the disk
                    taken[program.label].append(time.perf_counter() - started)
                    print(f"  round {turn}  {program.label:<70} {taken[program.label][-1]:10.3f} s", flush=True)
    rows = [(label, failures.get(label) or f"{statistics.median(found):.2f}") for label, found in taken.items()]
    return Section("Start-up", HOW, (Table("", ("", "s"), tuple(rows)),), (), {"seconds": taken, "failures": failures})


def _failure(program: Program) -> str | None:
    """Run it; why it failed, if it did."""
    try:
        done = subprocess.run(program.command, cwd=REPOSITORY, capture_output=True, text=True, errors="replace")
    except OSError as error:
        return str(error.strerror)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["failed"])[-1][:200]
