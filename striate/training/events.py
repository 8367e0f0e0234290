"""What a run tells whoever watches it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the user that is no error."""

    text: str


@dataclass(frozen=True, slots=True)
class KernelsBuilding:
    """The run waits for its kernels, of which ``done`` of so many ``units`` are compiled; once on a machine."""

    done: int
    units: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What the run will take was found before its first step, in batches of ``batch`` pictures.

    ``steps`` are bytes at the peak of its steps, ``bytes`` of the whole run, which is saved, too; ``there`` are those
    that it may have, by whose ``limit``. ``more`` is a larger batch that would fit as well, or None. ``chosen`` says
    that the batch was left to the run. Without ``keeps`` freed memory goes back to the system at once, since there is
    no room to keep it. ``blocks`` are computed again, since otherwise the batch would not fit.
    """

    batch: int
    steps: int
    bytes: int
    there: int
    limit: str
    more: int | None = None
    chosen: bool = False
    keeps: bool = True
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins, or goes on at ``epoch``, ``step`` of ``steps``.

    ``cache_budget`` is in bytes, ``classes`` are the names in order. ``fold`` counts from 1 in a
    cross-validation, else it is None.
    """

    run: Path
    recipe: Recipe
    precision: str
    reason: str
    device: str
    threads: int
    cache_budget: int
    images: Mapping[str, int]
    classes: tuple[str, ...]
    steps: int
    epoch: int
    step: int
    fold: int | None


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step is done: ``step`` of ``steps`` in this epoch (from 1), ``images`` seen in it, in ``seconds``."""

    epoch: int
    step: int
    steps: int
    images: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an epoch will take in ``seconds``, its ``validation`` included, expected from ``least`` to ``most``.

    So will all of the ``epochs`` from this one on in which the same blocks learn. It comes some seconds after the first
    of them began, unless that is over by then.
    """

    seconds: float
    least: float
    most: float
    validation: float
    epochs: int


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An epoch and its validation are done; ``figures`` are the validation's, ``line`` says them in a phrase.

    ``seconds`` are those of its steps, ``whole`` those of all that belongs to it, and where a run went on within it,
    those since then. ``left`` are those of the coming epochs in which the same blocks learn, None if not known.
    """

    epoch: int
    epochs: int
    loss: float
    rate: float
    figures: Mapping[str, Any]
    line: str
    kept: bool
    images: int
    seconds: float
    whole: float = 0.0
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint was written because the run was asked to stop."""

    path: Path
    epoch: int
    step: int


Event = Notice | KernelsBuilding | Planned | RunStarted | StepDone | Forecast | EpochDone | Saved
