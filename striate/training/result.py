"""What a run comes to."""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.base.errors import TrainingError
from striate.data.names import counted, printable
from striate.tasks.task import Meter, Task
from striate.training.runfolder import RunFolder

SHOWN = ("pooled", "test", "best")
"""Whose figures a printed result shows: the first that there are."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one training came to: the best validation figures, and those of the test split (None without), metered.

    ``images`` were learnt from in this process, which took ``seconds`` without validation.
    """

    run: Path
    epochs: int
    images_seen: int
    best: Mapping[str, Any]
    test: Mapping[str, Any] | None
    meter: Meter
    task: Task
    images: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """What `train` returns; `as_json` has the keys of ``docs/json.md``.

    ``pooled`` are the figures over all held-out predictions of a cross-validation, ``folds`` those of each.
    ``images_per_second`` counts training alone, in this process; ``seconds`` everything. ``summaries`` are
    ``best``, ``test`` and ``pooled`` in a phrase each.
    """

    run: Path
    model: str
    task: str
    epochs: int
    images_seen: int
    seconds: float
    images_per_second: float
    processor: str
    best: Mapping[str, Any] | None
    test: Mapping[str, Any] | None
    folds: Sequence[Mapping[str, Any]] = ()
    pooled: Mapping[str, Any] | None = None
    summaries: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        figures = next((f"; {name}: {self.summaries[name]}" for name in SHOWN if name in self.summaries), "")
        return f"Result({printable(self.run.name)}, {self.model}, {counted(self.epochs, 'epoch')}{figures})"

    def as_json(self) -> dict[str, Any]:
        """The result as ``striate train --json`` prints it."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "summaries"}
        return {**values, "run": str(self.run)}


def best_figures(folder: RunFolder) -> Mapping[str, Any]:
    """The validation figures of the epoch that the run's model file is from, as its metrics have them.

    A figure that was no finite number is None.

    Raises:
        TrainingError: the metrics are not as they were written.
    """
    best: Mapping[str, Any] = {}
    try:
        with folder.metrics.open(encoding="utf-8") as file:
            for text in file:
                line = json.loads(text)
                if line["kind"] == "epoch" and line["kept"]:
                    best = line["validation"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{folder.metrics}: is damaged ({error}); --force starts the run over") from None
    return best


def spread(folds: Sequence[Mapping[str, Any]], metric: str) -> dict[str, float]:
    """Mean and standard deviation of one figure over the folds that have it; NaN if none has."""
    values = [float(fold[metric]) for fold in folds if fold.get(metric) is not None] or [math.nan]
    return {"mean": statistics.fmean(values), "deviation": statistics.stdev(values) if len(values) > 1 else 0.0}
