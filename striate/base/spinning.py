"""How long the threads of one computation wait busily for each other.

Torch's threads (GNU's OpenMP) spin for milliseconds before they sleep. Alone on a machine that costs nothing; beside
other work it takes the cores from those who are waited for, and a run slows five- to ninefold. Threads that sleep at
once cost a fifth of the speed alone. Some tens of microseconds cost next to nothing in either case.
"""

import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from striate.base.hardware import vendor

SPINS = "GOMP_SPINCOUNT"
_CHOSEN = (SPINS, "OMP_WAIT_POLICY")

_COUNTS: Mapping[str, int] = {"GenuineIntel": 1500}
"""Spins by the processor's vendor: since Skylake Intel's pause, of which a spin is made, takes twice as long."""

_COUNT = 3000
"""Of all others; 70 microseconds of an AMD EPYC."""


def is_chosen(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says how threads wait; else OpenMP's own milliseconds hold."""
    return any(environment.get(name) for name in _CHOSEN)


def count(*, proc: Path = Path("/proc")) -> int:
    """How often a thread spins on this processor before it sleeps."""
    return _COUNTS.get(vendor(proc=proc), _COUNT)


def advised() -> str:
    """The setting of the environment that bounds spinning on this processor."""
    return f"{SPINS}={count()}"


def bound(environment: MutableMapping[str, str] = os.environ) -> None:
    """Bound it for this process and those that it starts, unless the user has chosen or torch has been loaded."""
    if "torch" not in sys.modules and not is_chosen(environment):
        environment[SPINS] = str(count())
