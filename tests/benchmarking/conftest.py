"""Contenders that sleep instead of computing, and write down when they worked."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from striate.benchmarking.driver import Contender

PROGRAM = """
import json, os, sys, time
from striate.benchmarking.worker import Workload, serve

name, seconds, diary, failure = sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]
count = 0

def step():
    global count
    count += 1
    print("noise on stdout")
    if failure == "step" and count == 3:
        raise ValueError("the third step is too hard")
    if failure == "kill" and count == 3:
        os.kill(os.getpid(), 9)
    if failure == "exit" and count == 3:
        print("gone for good", file=sys.stderr)
        os._exit(3)
    started = time.monotonic()
    time.sleep(seconds)
    with open(diary, "a") as file:
        file.write(json.dumps([name, started, time.monotonic()]) + "\\n")

def build():
    if failure == "module":
        import a_module_that_nobody_has
    if failure == "build":
        raise RuntimeError("no memory\\nand more lines")
    if failure == "hang":
        time.sleep(60)
    return Workload(step, 8, {"precision": "float32"})

serve(build)
"""

Make = Callable[..., Contender]


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary.jsonl"


@pytest.fixture
def worked(diary: Path) -> Callable[[], list[tuple[str, float, float]]]:
    """Who worked, from when to when."""
    return lambda: [tuple(json.loads(line)) for line in diary.read_text().splitlines()]


@pytest.fixture
def sleeper(tmp_path: Path, diary: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A contender whose step sleeps; ``failure`` is where it fails: module, build, hang, step, kill or exit."""
    monkeypatch.setattr("striate.benchmarking.driver.SHORTEST_TURN", 0.1)

    def make(name: str, seconds: float = 0.06, failure: str = "", most_rounds: int | None = None) -> Contender:
        program = tmp_path / "sleeper.py"
        program.write_text(PROGRAM)
        command = (sys.executable, str(program), name, str(seconds), str(diary), failure)
        return Contender(name, name.upper(), command, most_rounds=most_rounds)

    return make
