"""The libraries that an installation brings along: what the build of the package, and `make setup`, ask for."""

import platform
import sys
from collections.abc import Callable
from pathlib import Path

from striate.base.compiling import keeping, places
from striate.base.compiling.building import library
from striate.base.compiling.levels import LEVELS, Level, NoKernelsError, possible, wished


def asked_for() -> tuple[Level, ...]:
    """The best level of this processor, or those that ``STRIATE_NATIVE`` names for the processors of others.

    Raises:
        NoKernelsError: it is "off", or there are none for this processor.
    """
    levels = wished()
    if levels is LEVELS:
        return possible(levels)[:1]
    machine = platform.machine()
    found = tuple(level for level in levels if sys.platform == "linux" and level.machine == machine)
    if not found:
        raise NoKernelsError(f"there are no such kernels for {sys.platform} on {machine}")
    return found


def build(folder: Path, on_text: Callable[[str], None]) -> list[Path]:
    """Build what is asked for into a folder; what stands in the way is said, not raised."""
    made = []
    try:
        levels = asked_for()
    except NoKernelsError as error:
        on_text(f"no kernels are built: {error}")
        return []
    for level in levels:
        try:
            if not (found := keeping.library_in(folder, level)):
                if said := places.obstacle(folder, loads=False):
                    raise NoKernelsError(said)
                keeping.forget_faults(folder)  # somebody has asked for it
                on_text(f"building kernels for {level.name}; on a slow machine that takes minutes")
                found = library(level, folder)
            made.append(found)
        except (NoKernelsError, OSError) as error:
            on_text(f"no kernels are built for {level.name}: {error}")
    return made
