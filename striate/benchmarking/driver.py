"""Who tells the contenders' processes when to compute: they take turns, and the figures are medians over rounds.

Processors differ from machine to machine and drift within minutes, so only contenders of one run can be compared, and
they must alternate: each computes once a round, every second round in reverse order. Only one starts or computes at any
time. A contender that fails keeps its place in the results and says why.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from striate.benchmarking.process import PATIENCE, Contender, LateError, Worker, WorkerError

SHORTEST_TURN = 0.5
"""Seconds: of steps that take less, a turn is so many."""

PAIR = 2
"""So many contenders at least are worth more time: a speed alone says little."""

SHORT = 8
"""A round is short that takes no more than this part of the overtime; single short steps, which warm up, vary a lot."""

LATE = "had not answered when the time was up"
NO_TIME = "no time was left to start it"


@dataclass(frozen=True, slots=True)
class Timing:
    """What one contender took: ``seconds`` of one step, one figure a round; ``failure`` says why there are none."""

    contender: Contender
    images: int = 0
    about: Mapping[str, Any] = field(default_factory=dict)
    seconds: tuple[float, ...] = ()
    failure: str | None = None

    @property
    def median(self) -> float:
        """Seconds of a step; NaN for a contender that failed."""
        return statistics.median(self.seconds) if self.seconds else math.nan

    @property
    def spread(self) -> float:
        """The distance between the quartiles over the median: how far rounds differ. NaN for less than 3 rounds."""
        if len(self.seconds) < 3:
            return math.nan
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / self.median

    @property
    def images_per_second(self) -> float:
        """Pictures a second; NaN for a contender that failed."""
        return self.images / self.median


@dataclass(frozen=True, slots=True)
class Turn:
    """A contender has had its turn in a round (0 warms up), of so many steps."""

    contender: Contender
    round: int
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contenders that alternated. ``disturbance`` is the most of one core that waiting ones took from a working one."""

    timings: tuple[Timing, ...]
    disturbance: float = 0.0

    def __iter__(self) -> Iterator[Timing]:
        return iter(self.timings)

    def __getitem__(self, name: str) -> Timing:
        return next(timing for timing in self.timings if timing.contender.name == name)

    def fastest(self, names: Sequence[str]) -> Timing | None:
        """The fastest of these that did not fail; names that did not take part are passed over."""
        there = [timing for timing in self.timings if timing.contender.name in names and timing.seconds]
        return min(there, key=lambda timing: timing.median, default=None)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a comparison may use; nothing is limited unless it is said.

    ``until`` is the moment, on the clock ``now`` in seconds, at which whoever has not answered is ended. The first two
    contenders, without which there would be nothing to compare, have ``overtime`` seconds more to start and warm up,
    and so has the first round if it is short. ``available`` tells the bytes of memory that are free: a contender is
    started only if it is expected to fit.
    """

    until: float = math.inf
    overtime: float = 0.0
    now: Callable[[], float] = time.monotonic
    available: Callable[[], int] | None = None


UNLIMITED = Limits()


def alternate(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    limits: Limits = UNLIMITED,
    on_turn: Callable[[Turn], None] | None = None,
) -> Comparison:
    """Let contenders take turns; each turn begins with a step that is not timed.

    They are started in the order given, so what matters most comes first: each is built and has a turn to warm up
    before the next is started. No round begins that is not expected to end in time; where there is no time for even
    one, the turns that warmed up are what counts.

    Args:
        contenders: who takes part; one that fails, or for which there is no time or memory, is a row that says so.
        rounds: how many turns of each are counted, if there is time.
        limits: the time and the memory that there is.
        on_turn: called after every turn.
    """
    with ExitStack() as open_workers:
        race = _Race(contenders, limits, open_workers, on_turn)
        for place, contender in enumerate(contenders):
            race.start(contender, limits.until + (limits.overtime if place < PAIR else 0.0))
        for number in range(1, rounds + 1):
            expected = race.expected_seconds(number)
            short = number == 1 and expected <= limits.overtime / SHORT
            until = limits.until + (limits.overtime if short else 0.0)
            if limits.now() + expected > until:
                break
            race.round(number, until)
        return race.comparison()


class _TimeIsUpError(WorkerError):
    """A contender was ended since the time of all is up."""


@dataclass(slots=True)
class _Runner:
    """Who is in the race: the process, the steps of a turn, and what one turn and memory came to so far."""

    worker: Worker
    steps: int = 1
    turn: float = math.inf  # seconds that a turn takes, with the step that is not timed
    resident: int = 0
    peak: int = 0


class _Race:
    """The processes of contenders, what they took so far, and who is out."""

    def __init__(
        self,
        contenders: Sequence[Contender],
        limits: Limits,
        open_workers: ExitStack,
        on_turn: Callable[[Turn], None] | None,
    ) -> None:
        self._timings = {contender.name: Timing(contender) for contender in contenders}
        self._limits = limits
        self._open_workers = open_workers
        self._on_turn = on_turn
        self._runners: dict[str, _Runner] = {}
        self._warming: dict[str, float] = {}
        self._until = limits.until
        self._longest_start = 0.0
        self._disturbance = 0.0

    def start(self, contender: Contender, until: float) -> None:
        """Start and build one, and let it warm up, which also tells how many steps a turn of it should have."""
        name, begun = contender.name, self._limits.now()
        self._until = until
        if reason := self._no_time() or self._no_memory(contender.memory):
            self._timings[name] = replace(self._timings[name], failure=reason)
            return
        try:
            runner = _Runner(self._open_workers.enter_context(Worker(contender)))
            self._runners[name] = runner
            answer = self._ask(runner, "build")
            self._timings[name] = replace(self._timings[name], images=answer["images"], about=answer["about"])
            seconds = self._turn(name)
            if self._limits.available:
                told = self._ask(runner, "memory")
                runner.resident, runner.peak = told["resident"], told["peak"]
        except WorkerError as error:
            self._fail(name, error)
        else:
            self._warming[name] = seconds
            runner.steps = max(1, math.ceil(SHORTEST_TURN / max(seconds, 1e-6)))
            runner.turn = (1 + runner.steps) * seconds
            self._tell(contender, 0, 1, seconds)
        self._longest_start = max(self._longest_start, self._limits.now() - begun)

    def round(self, number: int, until: float) -> None:
        """One turn for everybody."""
        self._until = until
        for name in self._taking_part(number)[:: -1 if number % 2 == 0 else 1]:
            runner, begun = self._runners[name], self._limits.now()
            try:
                seconds = self._turn(name)
            except WorkerError as error:
                self._fail(name, error)
                continue
            runner.turn = self._limits.now() - begun
            timing = self._timings[name]
            self._timings[name] = replace(timing, seconds=(*timing.seconds, seconds / runner.steps))
            self._tell(timing.contender, number, runner.steps, seconds)

    def expected_seconds(self, number: int) -> float:
        """How long this round will take, by what turns took so far."""
        return sum(self._runners[name].turn for name in self._taking_part(number))

    def comparison(self) -> Comparison:
        """What was found; whoever was not timed in a round counts with the turn that warmed it up."""
        timings = [
            replace(timing, seconds=(self._warming[name],)) if name in self._warming and not timing.seconds else timing
            for name, timing in self._timings.items()
        ]
        return Comparison(tuple(timings), self._disturbance)

    def _taking_part(self, number: int) -> list[str]:
        most = {name: self._timings[name].contender.most_rounds for name in self._runners}
        return [name for name in self._runners if (rounds := most[name]) is None or number <= rounds]

    def _turn(self, name: str) -> float:
        """Seconds of this contender's steps."""
        runner = self._runners[name]
        waiting = [other.worker for other in self._runners.values() if other is not runner]
        before = [worker.processor_seconds() for worker in waiting]
        seconds = float(self._ask(runner, f"steps {runner.steps}")["seconds"])
        used = sum(worker.processor_seconds() - start for worker, start in zip(waiting, before, strict=True))
        if seconds > 0.2:  # of shorter turns the clock of processor time is too coarse
            self._disturbance = max(self._disturbance, used / seconds)
        return seconds

    def _ask(self, runner: _Runner, question: str) -> dict[str, Any]:
        left = self._until - self._limits.now()
        try:
            return runner.worker.ask(question, min(PATIENCE, left))
        except LateError:
            if left > PATIENCE:
                raise
            raise _TimeIsUpError(LATE) from None

    def _no_time(self) -> str | None:
        """Why nobody can be started any more: half of what the slowest took to start must be left."""
        left = self._until - self._limits.now()
        return None if left > 0 and left >= self._longest_start / 2 else NO_TIME

    def _no_memory(self, usual: int) -> str | None:
        """Why the memory does not suffice for one more, which usually needs so many bytes.

        What counts is rather what those needed that usually need no less. And those who wait have given memory back
        that they will take again, one of them at a time.
        """
        if not self._limits.available:
            return None
        runners = self._runners.values()
        of_its_kind = [runner.peak for runner in runners if runner.worker.contender.memory >= usual]
        needed = max(of_its_kind, default=0) or usual
        needed += max((runner.peak - runner.resident for runner in runners), default=0)
        free = self._limits.available()
        if needed <= free:
            return None
        return f"was not started: it may need {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"

    def _fail(self, name: str, error: WorkerError) -> None:
        """Out; what was measured of one that only ran out of time stays good."""
        self._runners.pop(name, None)
        if isinstance(error, _TimeIsUpError) and name in self._warming:
            return
        self._warming.pop(name, None)
        self._timings[name] = replace(self._timings[name], seconds=(), failure=str(error))

    def _tell(self, contender: Contender, number: int, steps: int, seconds: float) -> None:
        if self._on_turn:
            self._on_turn(Turn(contender, number, steps, seconds))
