"""Starting is quick: `import striate` and `striate --help` load neither torch nor numpy and take under 0.3 s."""

import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "numpy"}
SECONDS = 0.3

PROGRAMS = {
    "import striate": ["-c", "import striate"],
    "striate --help": ["-m", "striate.cli", "--help"],
}
# Rooms whose doorway is passed by people (and by --help) who never touch a tensor.
LIGHT_ROOMS = ("base", "pictures", "data", "tasks", "models.table", "recipe")


def loaded_by(words: list[str]) -> set[str]:
    """The top-level modules that a program imports, from CPython's own account of it."""
    done = subprocess.run([sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


def seconds_of(words: list[str]) -> float:
    """Processor seconds of one run: what it takes on an idle machine, also when this one is busy with other tests."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


@pytest.mark.parametrize("program", PROGRAMS)
def test_starting_loads_nothing_heavy(program: str) -> None:
    loaded = loaded_by(PROGRAMS[program])
    assert "striate" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("program", PROGRAMS)
def test_starting_is_quick(program: str) -> None:
    seconds_of(PROGRAMS[program])  # once to compile what was just installed
    assert statistics.median(seconds_of(PROGRAMS[program]) for _ in range(5)) < SECONDS


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_the_doorways_do_without_torch(room: str) -> None:
    assert "torch" not in loaded_by(["-c", f"import striate.{room}"])


def test_the_script_is_installed() -> None:
    script = Path(sys.executable).parent / "striate"
    done = subprocess.run([str(script), "--help"], capture_output=True, text=True, check=True)
    assert all(verb in done.stdout for verb in ("train", "evaluate", "predict", "models"))


def test_the_account_of_imports_sees_heavy_ones() -> None:
    assert loaded_by(["-c", "import numpy"]) >= {"numpy"}
