"""What is compiled: units and headers in C, the flags for all of them, and names that change with any of these."""

import hashlib
from pathlib import Path

from striate.base.compiling.compilers import Compiler
from striate.base.compiling.levels import Level

FOLDER = Path(__file__).resolve().parents[2] / "ops" / "native"
INSTALLED = FOLDER / "built"
"""Where the libraries lie that came with the installation."""

UNITS = (
    *("depthwise5.c", "depthwise7.c", "depthwise3.c", "norm.c", "pooling.c", "chain.c"),
    *("winograd.c", "pointwise.c", "dense.c", "windows.c", "depthwise.c"),
)
"""Those that take the longest first, so that cores are busy until the end."""

HEADERS = ("vectors.h", "depthwise.h", "depthwise_window.h", "panels.h", "products.h", "sweep.h")
FLAGS = ("-fPIC", "-fopenmp", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
LIGHT = frozenset({"depthwise5.c", "depthwise7.c"})
"""Those that ``-O3`` makes no faster: their rows are unrolled by hand, as far as registers go."""


def flags(unit: str) -> tuple[str, ...]:
    """What a unit is compiled with at every level."""
    return ("-O2" if unit in LIGHT else "-O3", *FLAGS)


def library_name(level: Level) -> str:
    """The file name of the library for a level: another version of the sources never takes this one's."""
    return f"{level.name}-{_digest(level, UNITS)}.so"


def unit_name(unit: str, level: Level, compiler: Compiler) -> str:
    """The file name of a compiled unit, which unlike the library's names its compiler: a library is made by one."""
    return f"{Path(unit).stem}-{_digest(level, (unit,), compiler.identity)}.o"


def _digest(level: Level, units: tuple[str, ...], *more: str) -> str:
    digest = hashlib.sha256(repr(([flags(unit) for unit in units], level.machine, level.flags, more)).encode())
    for name in (*units, *HEADERS):
        digest.update((FOLDER / name).read_bytes())
    return digest.hexdigest()[:16]
