"""`python -m tests.ops.native.sanitize`: a fuzz of all kernels by programs that notice what kernels must not do.

Three kinds of program are built of the kernels as they are, and of the cases beside this file. One has its memory end
at pages that cannot be touched, and is compiled as the library is: it sees every instruction. The address sanitizer
sees single bytes and undefined behaviour, but not what AVX-512 reads and writes under a mask. The thread sanitizer sees
races; OpenMP is done by `openmp.c` there, since it does not understand libgomp. Faults that are planted on purpose show
first that a program is not blind.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from striate.base.compiling.levels import Level, possible
from striate.base.compiling.sources import UNITS, flags
from striate.base.hardware import cores

HERE = Path(__file__).parent
KERNELS = Path(__file__).resolve().parents[4] / "striate" / "ops" / "native"
PARTS = ("main", "memory", "openmp", "planted")
SECONDS = 600.0  # for one program: what takes them on any machine hangs


@dataclass(frozen=True)
class Kind:
    """One kind of program: how it is compiled, how many cases it has time for, and what it must be able to find.

    ``masked`` says that it also sees what is read and written under a mask.
    """

    name: str
    flags: tuple[str, ...]
    cases: int
    finds: frozenset[str]
    masked: bool


PAGES = Kind("guard pages", (), 5000, frozenset({"read", "write", "write_ahead", "forgotten"}), True)
ADDRESS = Kind(
    "address, undefined",
    ("-O1", "-g", "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"),
    4000,
    frozenset({"read", "write", "write_ahead", "forgotten", "overflow"}),
    False,
)
THREAD = Kind("thread", ("-O1", "-g", "-fsanitize=thread"), 1000, frozenset({"race", "forgotten"}), True)


@dataclass(frozen=True)
class Answer:
    """How a program fared; ``wrong`` is empty if all is well."""

    kind: Kind
    level: Level
    cases: int
    seconds: float
    wrong: str


def plan() -> list[tuple[Kind, Level]]:
    """Each level as it is shipped; sanitizers for the best and, where masks blind them, for the plainest one."""
    levels = possible()
    ends = (*levels[:1], *levels[1:][-1:])
    return [*((PAGES, level) for level in levels), *((ADDRESS, level) for level in ends), (THREAD, levels[0])]


def build(kind: Kind, level: Level, folder: Path) -> Path:
    """The program.

    Raises:
        RuntimeError: it cannot be compiled; the text is what the compiler says.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("there is no gcc")
    every = [*level.flags, *kind.flags, f"-I{KERNELS}"]
    program, objects = folder / "fuzz", []
    cases = [HERE / f"{Path(unit).stem}_cases.c" for unit in UNITS]
    # The units without cases of their own are those that another one calls.
    sources = [case if case.exists() else KERNELS / unit for case, unit in zip(cases, UNITS, strict=True)]
    parts = [HERE / f"{part}.c" for part in PARTS]
    for unit, source in [*((part.name, part) for part in parts), *zip(UNITS, sources, strict=True)]:
        objects.append(folder / f"{source.stem}.o")
        _compile([compiler, *flags(unit), *every, "-c", str(source), "-o", str(objects[-1])])
    # Without -fopenmp: nothing of libgomp shall be in it.
    _compile([compiler, *kind.flags, *map(str, objects), "-lpthread", "-lm", "-o", str(program)])
    return program


def _compile(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[-3:])}: {done.stderr.strip()[:2000]}")


def fuzz(kind: Kind, level: Level, seed: int, share: float = 1.0) -> Answer:
    """Build a program and let it run."""
    started, cases = time.monotonic(), max(1, round(kind.cases * share))
    with tempfile.TemporaryDirectory(prefix="striate-sanitize-") as name:
        try:
            program = build(kind, level, Path(name))
            wrong = "; ".join([*_blindness(program, kind, level), *_findings(program, seed, cases)])
        except RuntimeError as error:
            wrong = str(error)
    return Answer(kind, level, cases, time.monotonic() - started, wrong)


def _blindness(program: Path, kind: Kind, level: Level) -> Iterator[str]:
    """The planted faults that the program does not find."""
    unseen = set() if kind.masked or "avx512" not in level.name else {"write"}  # it is written under a mask
    for fault in sorted(kind.finds - unseen):
        if _run([str(program), "planted", fault]).returncode == 0:
            yield f"the planted fault {fault!r} is not found"


def _findings(program: Path, seed: int, cases: int) -> Iterator[str]:
    done = _run([str(program), str(seed), "0", str(cases)])
    if done.returncode != 0 or done.stderr.strip():
        yield f"ended with {done.returncode}:\n{done.stderr.strip()[:6000]}"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -1, "", f"did not end within {SECONDS:.0f} s")


def main() -> int:
    """Run all programs; print a row for each."""
    parser = argparse.ArgumentParser(prog="sanitize", description="Fuzz the kernels where nothing goes unnoticed.")
    parser.add_argument("--cases", type=float, default=1.0, help="share of the usual number of cases")
    seed = 0 if os.environ.get("CI") else random.randrange(1 << 20)
    parser.add_argument("--seed", type=int, default=seed)
    given = parser.parse_args()
    _say(f"seed {given.seed}")
    _say(f"{'program':<20} {'level':<12} {'cases':>6} {'seconds':>8}")
    wrong = 0
    with ThreadPoolExecutor(cores()) as pool:
        for answer in pool.map(lambda pair: fuzz(pair[0], pair[1], given.seed, given.cases), plan()):
            row = f"{answer.kind.name:<20} {answer.level.name:<12} {answer.cases:>6} {answer.seconds:>8.1f}"
            _say(f"{row}  {answer.wrong or 'clean'}")
            wrong += bool(answer.wrong)
    return 1 if wrong else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
