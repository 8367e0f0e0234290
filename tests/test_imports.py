"""Starting is quick: `import striate` and `striate --help` load neither torch nor numpy, and few modules at all."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "numpy"}
# Programs, and how many modules they may load beyond those of Python itself. Nearly all the time that starting takes
# goes into modules, half a millisecond each, and their number is the same on every machine.
PROGRAMS = {
    "import striate": (["-c", "import striate"], 50),
    "striate --help": (["-m", "striate.cli", "--help"], 400),
}
# Rooms whose doorway is passed by people (and by --help) who never touch a tensor.
LIGHT_ROOMS = ("base", "pictures", "data", "tasks", "models.table", "recipe", "models", "weights")


def loaded_by(words: list[str]) -> set[str]:
    """The modules that a program imports, from CPython's own account of it."""
    done = subprocess.run([sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip() for line in lines}


def tops(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


@pytest.fixture(scope="module")
def bare() -> set[str]:
    return loaded_by(["-c", "pass"])


@pytest.mark.parametrize("program", PROGRAMS)
def test_starting_loads_little_and_nothing_heavy(bare: set[str], program: str) -> None:
    words, most = PROGRAMS[program]
    loaded = loaded_by(words) - bare
    assert "striate" in tops(loaded)
    assert tops(loaded) & HEAVY == set()
    assert len(loaded) <= most


def test_the_doorways_do_without_torch() -> None:
    program = "import importlib, sys\n" + "\n".join(
        f"importlib.import_module('striate.{room}'); print('{room}', 'torch' in sys.modules)" for room in LIGHT_ROOMS
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{room} False" for room in LIGHT_ROOMS]


def test_the_script_is_installed() -> None:
    script = Path(sys.executable).parent / "striate"
    done = subprocess.run([str(script), "--help"], capture_output=True, text=True, check=True)
    assert all(verb in done.stdout for verb in ("train", "evaluate", "predict", "models"))


def test_the_account_of_imports_sees_heavy_ones(bare: set[str]) -> None:
    loaded = loaded_by(["-c", "import numpy"]) - bare
    assert "numpy" in tops(loaded) and len(loaded) > PROGRAMS["import striate"][1]
