"""How runs are carried out: what the caller controls, and what all runs of one call share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from striate.base.errors import TrainingError
from striate.data.cache import PictureCache
from striate.tasks.task import Task
from striate.training.events import Event
from striate.training.interruption import Interruption


@dataclass(frozen=True, slots=True)
class Controls:
    """What decides how a run is carried out but not what it computes; see `striate.train`."""

    out: Path | None = None
    resume: bool = False
    extend: int = 0
    force: bool = False
    device: str = "auto"
    workers: int | None = None
    skip_unreadable: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether an existing run is continued."""
        return self.resume or self.extend > 0

    def refuse_contradictions(self) -> None:
        """Raise TrainingError if a run is to go on, but it is not said which, or it is to start over too."""
        which = "--resume" if self.resume else "--extend"
        if self.goes_on and self.out is None:
            raise TrainingError(f"{which} goes on with the run in --out, and no --out is given")
        if self.goes_on and self.force:
            raise TrainingError(f"{which} goes on with a run, and --force starts it over; give one of the two")


@dataclass(frozen=True, slots=True)
class Session:
    """What all runs of one call share.

    ``run`` is the folder that the user knows, whose parts folds are; ``task`` is to be fitted to each run;
    ``fingerprint`` is that of the data; ``tell`` takes events.
    """

    run: Path
    task: Task
    controls: Controls
    device: torch.device
    workers: int
    cache: PictureCache
    tell: Callable[[Event], None]
    interruption: Interruption
    fingerprint: str
