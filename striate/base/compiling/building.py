"""A library for a level, built once in a folder whoever asks for it, in units that outlive an interrupted build.

The library has a plain C interface and includes neither torch nor Python, so one file serves every version of both. It
leaves the functions of OpenMP to be found in the process: torch brings them, and its threads are then ours, too.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from striate.base.compiling.compilers import Compiler, Limits, RefusedError, first, run_all, with_version
from striate.base.compiling.keeping import (
    is_whole,
    keep,
    library_in,
    maker_of,
    remember,
    remembered,
    remove,
    sweep,
    useless,
)
from striate.base.compiling.levels import Level, NoKernelsError
from striate.base.compiling.locking import turn
from striate.base.compiling.sources import FOLDER, UNITS, flags, library_name, unit_name

Count = Callable[[int, int], None]
"""Is told how many units are compiled, and of how many."""


def silent(done: int, units: int) -> None:
    """Nobody is told."""


def library(
    level: Level, folder: Path, *, loader: str = "", limits: Limits | None = None, on_unit: Count = silent
) -> Path:
    """The library for a level in a folder, built if it does not lie there yet.

    Of processes that ask at once one builds, the others wait for it.

    Args:
        level: the set of instructions.
        folder: where it is kept; see `places.obstacle`.
        loader: who will load it; one that is remembered as of no use to it is built again, by another compiler.
        limits: when a compiler, or a process that is waited for, is given up.
        on_unit: is told how far it is, every second, also while another process builds.

    Raises:
        NoKernelsError: there is no compiler, it fails (which is remembered for a day), or the disk is full.
    """
    if found := _useful(level, folder, loader):
        return found
    limits = limits or Limits()
    try:
        by = _compiler(level, folder, limits, on_unit)
        path = folder / library_name(level)
        names = {unit: folder / "units" / unit_name(unit, level, by) for unit in UNITS}
        with turn(path.with_name(f".{path.name}.lock"), limits.patience, lambda: _tell(names, on_unit)) as gets_on:
            if found := _useful(level, folder, loader):
                return found
            _refuse_again(level, folder, by.identity, f"{by.digest} {loader}")
            with tempfile.TemporaryDirectory(prefix=".building-", dir=folder, ignore_cleanup_errors=True) as private:
                _Build(level, by, names, Path(private), limits, gets_on, on_unit).library(path)
    except RefusedError as error:
        if found := _useful(level, folder, loader):  # somebody who was passed by has got on
            return found
        remember(folder, level, by.identity, str(error))
        raise
    except BrokenPipeError:  # whoever is told is gone
        raise
    except OSError as error:
        raise NoKernelsError(f"kernels cannot be kept in {folder}: {error.strerror or error}") from error
    for unit in names.values():
        remove(unit)
    sweep(folder)
    return path


def _useful(level: Level, folder: Path, loader: str) -> Path | None:
    found = library_in(folder, level)
    return found if found and not useless(folder, level, maker_of(found), loader) else None


def _compiler(level: Level, folder: Path, limits: Limits, on_unit: Count) -> Compiler:
    """The compiler, unless it is remembered that it does not answer."""
    found = first()
    _refuse_again(level, folder, found.identity)
    try:
        return with_version(found, limits, lambda: on_unit(0, len(UNITS)))
    except RefusedError as error:
        remember(folder, level, found.identity, str(error))
        raise NoKernelsError(str(error)) from error


def _refuse_again(level: Level, folder: Path, *causes: str) -> None:
    for cause in causes:
        if said := remembered(folder, level, cause):
            raise NoKernelsError(f"{said}; that is remembered for a day, `striate bench` tries again")


def _tell(names: dict[str, Path], on_unit: Count) -> None:
    on_unit(sum(path.exists() for path in names.values()), len(names))


@dataclass(frozen=True, slots=True)
class _Build:
    """One build: in a folder of its own, from which whole files go where they are kept.

    Others may build at the same time, and remove the kept units when they are through.
    """

    level: Level
    by: Compiler
    names: dict[str, Path]
    private: Path
    limits: Limits
    gets_on: Callable[[], None]
    on_unit: Count

    def library(self, path: Path) -> None:
        """Compile what is missing, link all of it, and keep the result."""
        self._compile()
        made = self.private / "library.so"
        objects = [str(self._object(unit)) for unit in self.names]
        self._run({"link": [*self.by.command, "-shared", *objects, "-o", str(made)]}, lambda name: self._check(made))
        keep(made, path, self.by.digest)

    def _compile(self) -> None:
        """Compile the units that are not there; those that memory was short for once more, one by one."""
        next(iter(self.names.values())).parent.mkdir(mode=0o755, exist_ok=True)
        each = [*self.level.flags, "-pipe", f"-I{FOLDER}", "-c"]
        missing = {}
        for unit, path in self.names.items():
            if is_whole(path):
                shutil.copyfile(path, self._object(unit))
            else:
                command = [*self.by.command, *flags(unit), *each]
                missing[unit] = [*command, str(FOLDER / unit), "-o", str(self._object(unit))]
        _tell(self.names, self.on_unit)
        starved = self._run(missing, self._done, alone=False)
        self._run({unit: missing[unit] for unit in starved}, self._done)

    def _object(self, unit: str) -> Path:
        return self.private / f"{unit}.o"

    def _done(self, unit: str) -> None:
        self._check(self._object(unit))
        if unit_name(unit, self.level, self.by) != self.names[unit].name:
            raise NoKernelsError("the sources have changed while they were compiled")
        copy = self.private / self.names[unit].name
        shutil.copyfile(self._object(unit), copy)
        keep(copy, self.names[unit])
        self.gets_on()
        _tell(self.names, self.on_unit)

    def _check(self, made: Path) -> None:
        if not made.exists():
            raise RefusedError(f"the C compiler {self.by.command[0]} ends well and writes nothing")

    def _run(
        self, commands: dict[str, list[str]], on_done: Callable[[str], None], *, alone: bool = True
    ) -> dict[str, NoKernelsError]:
        """Run commands; when they ran ``alone``, one that memory is short for fails."""
        starved = run_all(
            commands,
            self.private,
            self.limits,
            at_once=1 if alone else None,
            on_progress=self.gets_on,
            on_moment=lambda: _tell(self.names, self.on_unit),
            on_done=on_done,
        )
        if alone:
            for error in starved.values():
                raise error
        return starved
