"""A library for a level, built once in a folder whoever asks for it, in units that outlive an interrupted build.

The library has a plain C interface and includes neither torch nor Python, so one file serves every version of both. It
leaves the functions of OpenMP to be found in the process: torch brings them, and its threads are then ours, too.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from striate.base.compiling.compilers import (
    Compiler,
    Limits,
    RefusedError,
    each_moment,
    first,
    run_all,
    with_version,
)
from striate.base.compiling.keeping import is_whole, keep, library_in, remember, remembered, remove, sweep
from striate.base.compiling.levels import Level, NoKernelsError
from striate.base.compiling.sources import FLAGS, FOLDER, UNITS, library_name, unit_name

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
        loader: who will load it; what `reject` was told for the same one is remembered.
        limits: when a compiler, or a process that is waited for, is given up.
        on_unit: is told how far it is, also while another process builds.

    Raises:
        NoKernelsError: there is no compiler, it fails (which is remembered for a day), or the disk is full.
    """
    if found := library_in(folder, level):
        return found
    limits = limits or Limits()
    by = _compiler(level, folder, limits)
    path, names = folder / library_name(level), {unit: folder / "units" / unit_name(unit, level, by) for unit in UNITS}
    with _turn(path.with_name(f".{path.name}.lock"), limits, lambda: _tell(names, on_unit)) as gets_on:
        if found := library_in(folder, level):
            return found
        _refuse_again(level, folder, by, loader)
        try:
            with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as private:
                _compile(level, by, names, Path(private), limits, gets_on, on_unit)
                _link(by, names, Path(private), path, limits, gets_on)
        except RefusedError as error:
            remember(folder, level, by.identity, str(error))
            raise
        except OSError as error:
            raise NoKernelsError(f"kernels cannot be kept in {folder}: {error.strerror or error}") from error
    for unit in names.values():
        remove(unit)
    sweep(folder)
    return path


def reject(level: Level, folder: Path, loader: str, said: str) -> None:
    """Remove a library that was built here and is of no use to this loader, and remember that for a day."""
    remove(folder / library_name(level))
    with suppress(NoKernelsError):
        by = _compiler(level, folder, Limits())
        remember(folder, level, by.identity + loader, said)


def _compiler(level: Level, folder: Path, limits: Limits) -> Compiler:
    """The compiler, unless it is remembered that it does not answer."""
    found = first()
    _refuse_again(level, folder, found)
    try:
        return with_version(found, limits)
    except RefusedError as error:
        remember(folder, level, found.identity, str(error))
        raise


def _refuse_again(level: Level, folder: Path, by: Compiler, loader: str = "") -> None:
    for cause in {by.identity, by.identity + loader}:
        if said := remembered(folder, level, cause):
            raise NoKernelsError(f"{said}; that is remembered for a day, `striate bench` tries again")


def _tell(names: dict[str, Path], on_unit: Count) -> None:
    on_unit(sum(path.exists() for path in names.values()), len(names))


def _compile(
    level: Level,
    by: Compiler,
    names: dict[str, Path],
    private: Path,
    limits: Limits,
    gets_on: Callable[[], None],
    on_unit: Count,
) -> None:
    """Compile the units that are not there; if memory is short, those that it was short for once more, one by one."""
    (private.parent / "units").mkdir(mode=0o755, exist_ok=True)
    each = [*by.command, *FLAGS, *level.flags, "-pipe", f"-I{FOLDER}", "-c"]
    missing = {
        unit: [*each, str(FOLDER / unit), "-o", str(private / f"{unit}.o")]
        for unit, path in names.items()
        if not is_whole(path)
    }

    def done(unit: str) -> None:
        _keep(by, private / f"{unit}.o", names[unit])
        gets_on()
        _tell(names, on_unit)

    _tell(names, on_unit)

    def progress() -> None:
        gets_on()
        _tell(names, on_unit)

    starved = run_all(missing, private, limits, on_progress=progress, on_done=done)
    alone = {unit: missing[unit] for unit in starved}
    for error in run_all(alone, private, limits, at_once=1, on_progress=progress, on_done=done).values():
        raise error


def _link(
    by: Compiler, names: dict[str, Path], private: Path, path: Path, limits: Limits, gets_on: Callable[[], None]
) -> None:
    made = private / "library.so"
    command = [*by.command, "-shared", *map(str, names.values()), "-o", str(made)]
    for error in run_all(
        {"link": command}, private, limits, on_progress=gets_on, on_done=lambda _: _keep(by, made, path)
    ).values():
        raise error


def _keep(by: Compiler, made: Path, path: Path) -> None:
    if not made.exists():
        raise RefusedError(f"the C compiler {by.command[0]} ends well and writes nothing")
    keep(made, path)


@contextmanager
def _turn(path: Path, limits: Limits, on_wait: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Wait until nobody else builds this; gives what to call to show those who wait that one gets on.

    The lock is the kernel's and falls with its holder. Where the file system has none, or its holder does not get on,
    more than one builds: each works under private names, and puts whole files in place.
    """
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        seen, since = -1, time.monotonic()
        for now in each_moment():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pass
            except OSError:  # this file system has no locks
                break
            if (beat := os.fstat(descriptor).st_mtime_ns) != seen:
                seen, since = beat, now
            elif now - since > limits.patience:
                break
            on_wait()
        os.utime(descriptor)
        yield lambda: os.utime(descriptor)
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
