"""The kernels of another commit beside today's: both compiled by the same compiler, unit by unit, and loaded."""

import os
import re
import resource
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accept.commands import REPOSITORY
from striate.base.compiling.levels import Level
from striate.base.compiling.sources import FOLDER, UNITS, flags
from striate.ops.native.library import opened

BEFORE = os.environ.get("STRIATE_KERNELS_BEFORE", "9068f0b")
"""The commit that today's kernels are compared with."""


@dataclass(frozen=True, slots=True)
class Made:
    """A library, and the processor seconds of each of its units."""

    library: Any
    seconds: dict[str, float]


def before(level: Level, folder: Path) -> Made:
    """The library of the commit before."""
    room = "striate/ops/native"
    packed = folder / "before.tar"
    with packed.open("wb") as file:
        subprocess.run(["git", "archive", BEFORE, room], cwd=REPOSITORY, check=True, stdout=file)
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    names = re.search(r"SOURCES = \(([^)]*)\)", (folder / room / "building.py").read_text())
    assert names, "how the units were listed then"
    return _made(folder / room, tuple(re.findall(r'"(\w+\.c)"', names[1])), level, folder / "before")


def today(level: Level, folder: Path) -> Made:
    """The library of the working tree."""
    return _made(FOLDER, UNITS, level, folder / "today")


def _made(sources: Path, units: tuple[str, ...], level: Level, folder: Path) -> Made:
    """Compiled one after the other, alone, since processor time is what is measured; the least of three, since what
    else runs on a machine only ever adds to it."""
    folder.mkdir()
    objects = {unit: folder / f"{unit}.o" for unit in units}
    seconds = {unit: float("inf") for unit in units}
    for unit in units * 3:
        command = ["cc", *flags(unit), *level.flags, "-c", str(sources / unit), "-o", str(objects[unit])]
        start = _children()
        subprocess.run(command, check=True)
        seconds[unit] = min(seconds[unit], _children() - start)
    subprocess.run(["cc", "-shared", *map(str, objects.values()), "-o", str(folder / "kernels.so")], check=True)
    return Made(opened(folder / "kernels.so"), seconds)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
