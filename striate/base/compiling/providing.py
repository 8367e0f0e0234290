"""Where a process finds a library: the installation's, the user's own, or one that is built now."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from striate.base.compiling import building, keeping, places
from striate.base.compiling.compilers import there_is_one
from striate.base.compiling.levels import Level, NoKernelsError, possible, wished
from striate.base.compiling.sources import INSTALLED
from striate.base.errors import OutputError


def there(levels: Sequence[Level]) -> Iterator[tuple[Level, Path]]:
    """The libraries that there are, the best level first; the installation's before the user's own."""
    folders = [INSTALLED]
    with suppress(OutputError):
        folders.append(places.kept_folder())
    for level in levels:
        for folder in folders:
            if path := keeping.library_in(folder, level):
                yield level, path


def needs_building() -> bool:
    """Whether whoever asks for kernels now waits for a compiler."""
    try:
        return not any(there(possible(wished()))) and there_is_one() and not places.cache_obstacle()
    except NoKernelsError:
        return False


def built(level: Level, *, loader: str = "", on_unit: building.Count = building.silent) -> Path:
    """The library for a level in the user's cache, built if need be; see `building.library`.

    Raises:
        NoKernelsError: there can be none.
    """
    if said := places.cache_obstacle():
        raise NoKernelsError(said)
    return building.library(level, places.kept_folder(), loader=loader, on_unit=on_unit)


def drop(path: Path) -> None:
    """Remove a library of no use, so that another can take its place; the installation's stays."""
    if path.parent != INSTALLED:
        keeping.remove(path)


def reject(level: Level, loader: str, said: str) -> None:
    """Remove the library that was just built and is of no use to its loader, and remember that for a day."""
    building.reject(level, places.kept_folder(), loader, said)


def forget_faults() -> None:
    """Forget what failed before, so that the next who asks for kernels tries again."""
    with suppress(OutputError):
        keeping.forget_faults(places.kept_folder())
