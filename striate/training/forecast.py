"""How long an epoch will take, said by a run's own first steps.

A run is its own probe: its steps are timed as they come, for `PROBE` seconds, with all that is part of them: decoding,
computing, waiting for others. Only of validation, which has not begun by then, two batches are computed for it. Where
an epoch ends sooner nothing is foretold; its end says more.
"""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from striate.data.loading import Batches
from striate.data.records import Batch
from striate.training.events import Forecast

PROBE = 10.0
"""Seconds of an epoch after which it is foretold."""
WARM_UP = 2
"""Steps that are not counted: in them memory is first asked for, and libraries choose how they compute."""
DRIFT = 0.05
"""Part of an epoch by which it may be off besides what its steps differ by: others come and go, a processor warms."""
UNKNOWN = 0.25
"""How far one step alone may be off, as a part of it."""
SURE = 2.0
"""Standard deviations on both sides of what is foretold."""


class Foresight:
    """Times a run's steps and epochs, and says what is to come, anew wherever other blocks begin to learn.

    ``work(epoch)`` are the shares of an epoch's steps, in any unit, such as pixels; ``validation()`` says what that
    takes, in seconds.
    """

    def __init__(self, work: Callable[[int], Sequence[float]], validation: Callable[[], float]) -> None:
        self._work_of, self._validation = work, validation
        self._learning: object = None
        self._said = False
        self._epochs: list[float] = []

    def begin(self, epoch: int, step: int, learning: object, left: int) -> None:
        """An epoch begins, or goes on behind ``step``, and so many that are like it are ``left`` behind it.

        ``learning`` is equal wherever the same blocks learn.
        """
        if learning != self._learning:
            self._learning, self._said, self._epochs = learning, False, []
        self._work, self._first, self._left = self._work_of(epoch), step, left
        self._took: list[float] = []
        self._began = self._since = time.monotonic()

    def step_done(self) -> Forecast | None:
        """A step has just ended; what the epoch will take, if it is time to say so."""
        now = time.monotonic()
        self._took.append(now - self._since)
        self._since = now
        first, step = self._first + WARM_UP, self._first + len(self._took)
        early = now - self._began < PROBE or step <= first
        if self._said or early or step >= len(self._work):
            return None
        self._said = True
        timed = self._took[WARM_UP:], self._work[first:step]
        found = foretold(*timed, sum(self._work), self._validation(), self._left + 1)
        self._since = time.monotonic()
        return found

    def pause_done(self) -> None:
        """What happened since the last step, such as a checkpoint, is no step's."""
        self._since = time.monotonic()

    def epoch_done(self) -> tuple[float, float | None]:
        """What the epoch took, and what those will that are like it; None of one that was gone on with."""
        took = time.monotonic() - self._began
        if self._first:
            return took, None
        self._epochs.append(took)
        # The first decodes pictures that the others find in memory.
        return took, self._left * statistics.fmean(self._epochs[1:] or self._epochs)


def foretold(seconds: Sequence[float], work: Sequence[float], whole: float, validation: float, epochs: int) -> Forecast:
    """What an epoch takes whose ``whole`` work goes on as these steps did, and is followed by validation.

    The interval is where the epoch's mean step lies by the spread of these, with `SURE` deviations to both sides, and
    `DRIFT`.

    Example:
        >>> foretold([1.0, 1.0, 1.0], [2, 2, 2], 20, validation=1.0, epochs=3)
        Forecast(seconds=11.0, least=10.45, most=11.55, validation=1.0, epochs=3)
    """
    steps = sum(seconds) / sum(work) * whole
    paces = [took / share for took, share in zip(seconds, work, strict=True)]
    off = UNKNOWN
    if len(paces) > 1:
        off = SURE * statistics.stdev(paces) / math.sqrt(len(paces)) / statistics.fmean(paces)
    all_in_all = steps + validation
    margin = off * steps + DRIFT * all_in_all
    return Forecast(all_in_all, max(0.0, all_in_all - margin), all_in_all + margin, validation, epochs)


def seconds_of(batches: Batches, compute: Callable[[Batch], object]) -> float:
    """What it will take to load and compute all batches, by the first two; the first warms up for all."""
    took = []
    coming: Iterator[Batch] = batches.epoch(0)
    began = time.monotonic()
    for batch in itertools.islice(coming, 2):
        compute(batch)
        now = time.monotonic()
        took.append(now - began)
        began = now
    return sum(took) + took[-1] * (len(batches) - len(took)) if took else 0.0
