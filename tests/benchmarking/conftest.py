"""Contenders that compute nothing: their clock goes on by a step's seconds, and they write down when they worked."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from striate.benchmarking.process import Contender

GUARD = 600.0
"""Seconds: only against hanging; no outcome may depend on it."""

PROGRAM = """
import json, os, sys, time
from striate.benchmarking.worker import Workload, serve

name, seconds, diary, failure = sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]
count, clock = 0, 0.0

def step():
    global count, clock
    count += 1
    print("noise on stdout")
    if failure == "step" and count == 3:
        raise ValueError("the third step is too hard")
    if failure == "kill" and count == 3:
        os.kill(os.getpid(), 9)
    if failure == "exit" and count == 3:
        print("gone for good", file=sys.stderr)
        os._exit(3)
    if failure == "stall" and count == 5:
        time.sleep(3600)
    started = time.monotonic()
    clock += seconds
    with open(diary, "a") as file:
        file.write(json.dumps([name, started, time.monotonic(), seconds]) + "\\n")

def build():
    if failure == "module":
        import a_module_that_nobody_has
    if failure == "build":
        raise RuntimeError("no memory\\nand more lines")
    if failure == "hang":
        time.sleep(3600)
    return Workload(step, 8, {"precision": "float32", "operations": 8})

serve(build, now=lambda: clock)
"""

Make = Callable[..., Contender]


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    path = tmp_path / "diary.jsonl"
    path.touch()
    return path


@pytest.fixture
def worked(diary: Path) -> Callable[[], list[tuple[str, float, float]]]:
    """Who worked, from when to when."""
    return lambda: [tuple(json.loads(line)[:3]) for line in diary.read_text().splitlines()]


@pytest.fixture
def clock(diary: Path) -> Callable[[], float]:
    """A clock that goes on only while contenders work, by what they say they take."""
    return lambda: sum(json.loads(line)[3] for line in diary.read_text().splitlines())


@pytest.fixture
def worker_of(tmp_path: Path, diary: Path) -> Make:
    """A contender whose step takes so many of its own seconds.

    ``failure`` is where it fails: module, build, hang, step, kill, exit, or stall, which is in its second round.
    """

    def make(
        name: str, seconds: float = 0.3, failure: str = "", most_rounds: int | None = None, memory: int = 0
    ) -> Contender:
        program = tmp_path / "worker.py"
        program.write_text(PROGRAM)
        command = (sys.executable, str(program), name, str(seconds), str(diary), failure)
        return Contender(name, name.upper(), command, most_rounds=most_rounds, memory=memory)

    return make
