"""How long the threads of one computation wait busily for each other.

Torch's threads (GNU's OpenMP) spin for milliseconds before they sleep. Alone on a machine that costs nothing; beside
other work it takes the cores from those who are waited for, and a run slows five- to ninefold. Threads that sleep at
once cost a fifth of the speed alone. Some tens of microseconds cost next to nothing in either case.
"""

import os
import sys
from collections.abc import Mapping, MutableMapping

SPINS = "GOMP_SPINCOUNT"
_CHOSEN = (SPINS, "OMP_WAIT_POLICY")

COUNT = 1500
"""How often a thread spins before it sleeps: 35 microseconds of an AMD EPYC, 70 of an Intel processor since Skylake,
whose pause, of which a spin is made, takes twice as long. A third as many cost 5 percent alone; twice as many gain
nothing there and lose a hundredth beside other work."""


def is_chosen(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says how threads wait; else OpenMP's own milliseconds hold."""
    return any(environment.get(name) for name in _CHOSEN)


def advised() -> str:
    """The setting of the environment that bounds spinning."""
    return f"{SPINS}={COUNT}"


def bound(environment: MutableMapping[str, str] = os.environ) -> None:
    """Bound it for this process and those that it starts, unless the user has chosen or torch has been loaded."""
    if "torch" not in sys.modules and not is_chosen(environment):
        environment[SPINS] = str(COUNT)
