"""Where a process finds a library: the installation's, the user's own, or one that is built now."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from striate.base.compiling import building, keeping, places
from striate.base.compiling.compilers import there_is_one
from striate.base.compiling.levels import Level, NoKernelsError, possible, wished
from striate.base.compiling.sources import INSTALLED
from striate.base.errors import OutputError


def there(levels: Sequence[Level], loader: str = "") -> Iterator[tuple[Level, Path]]:
    """The libraries that there are, the best level first; the installation's before the user's own.

    Without those that are remembered as of no use to this loader.
    """
    own = _kept()
    for level in levels:
        for folder in (INSTALLED, own):
            if folder is None or not (path := keeping.library_in(folder, level)):
                continue
            if not (own and keeping.useless(own, level, keeping.maker_of(path), loader)):
                yield level, path


def _kept() -> Path | None:
    try:
        return places.kept_folder()
    except OutputError:
        return None


def needs_building() -> bool:
    """Whether whoever asks for kernels now waits for a compiler."""
    try:
        return not any(there(possible(wished()))) and there_is_one() and not places.cache_obstacle()
    except (NoKernelsError, OSError):
        return False


def built(level: Level, *, loader: str = "", on_unit: building.Count = building.silent) -> Path:
    """The library for a level in the user's cache, built if need be; see `building.library`.

    Raises:
        NoKernelsError: there can be none.
    """
    if said := places.cache_obstacle():
        raise NoKernelsError(said)
    return building.library(level, places.kept_folder(), loader=loader, on_unit=on_unit)


def reject(level: Level, path: Path, loader: str, said: str) -> None:
    """Remember for a day that a library is of no use to a loader; it stays, since it may be to others."""
    if (own := _kept()) is not None:
        keeping.remember(own, level, f"{keeping.maker_of(path)} {loader}", said)


def forget_faults() -> None:
    """Forget what failed before, so that the next who asks for kernels tries again."""
    if (own := _kept()) is not None:
        keeping.forget_faults(own)
