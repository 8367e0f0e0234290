"""Where things are: the repository, the real pictures, the environments, and the machine in words."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from striate.benchmarking.process import Contender

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("STRIATE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
PEERS = REPOSITORY / ".venv-peers" / "bin" / "python"
DETECTORS = REPOSITORY / ".venv-detectors" / "bin" / "python"
RESULTS = Path(__file__).resolve().parent / "results"
QUIET: Mapping[str, str] = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def peer(
    name: str,
    label: str,
    module: str,
    *words: object,
    environment: Mapping[str, str] | None = None,
    most_rounds: int | None = None,
    python: Path = PEERS,
) -> Contender:
    """A contender in the peers' environment, or another's: `python -m bench.peers.<module> <words>`."""
    command = (str(python), "-m", f"bench.peers.{module}", *map(str, words))
    return Contender(name, label, command, {**QUIET, **(environment or {})}, REPOSITORY, most_rounds)


def here(name: str, label: str, module: str, *words: object) -> Contender:
    """A contender in the project's own environment: `python -m bench.<module> <words>`."""
    return Contender(name, label, (sys.executable, "-m", f"bench.{module}", *map(str, words)), folder=REPOSITORY)


def run(command: list[str], folder: Path = REPOSITORY) -> str:
    """What a command prints.

    Raises:
        RuntimeError: it fails; with the end of what it says.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"{' '.join(command[1:4])} ended with {done.returncode}: {last[:300]}")
    return done.stdout


def photographs(folder: Path) -> tuple[Path, str]:
    """Class folders of photographs, and what they are: the flowers if they are here, else drawn ones."""
    if (DATA / "flowers").is_dir():
        return DATA / "flowers", "600 photographs of flowers"
    from accept.drawing import draw_photographs

    return draw_photographs(folder / "drawn", classes=5, per_class=60), "300 drawn JPEGs of 320x256"
