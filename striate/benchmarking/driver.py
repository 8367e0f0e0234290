"""Who tells the contenders' processes when to compute: they take turns, and the figures are medians over rounds.

Processors differ from machine to machine and drift within minutes, so only contenders of one run can be compared, and
they must alternate: each computes once a round, every second round in reverse order. A contender that fails keeps its
place in the results and says why.
"""

import json
import math
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 300.0
"""Seconds after which a process that does not answer is ended."""

SHORTEST_TURN = 0.5
"""Seconds: of steps that take less, a turn is so many."""


@dataclass(frozen=True, slots=True)
class Contender:
    """What to compare: a name, what tables call it, and the command of a process that answers as `worker` says.

    ``environment`` is added to this process' own; ``folder`` is where the command runs, None for here. One that is
    many times slower than the others may have a turn in the first ``most_rounds`` rounds alone.
    """

    name: str
    label: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    most_rounds: int | None = None


class WorkerError(Exception):
    """A contender's process failed; the text is the reason in a few words."""


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


class Worker:
    """A contender's process; a context manager that ends it."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                contender.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **contender.environment},
                cwd=contender.folder,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            self._errors.close()
            raise WorkerError(f"cannot be started: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def tell(self, question: str) -> None:
        """Ask for something and don't wait.

        Raises:
            WorkerError: the process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerError(self._last_words()) from None

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the question before.

        Raises:
            WorkerError: the process has failed or ended, or takes longer than anybody waits.
        """
        assert self._process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(PATIENCE, give_up)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if late.is_set():
            raise WorkerError(f"did not answer within {PATIENCE:.0f} s")
        if not line:
            raise WorkerError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def ask(self, question: str) -> dict[str, Any]:
        """Ask, and wait for the answer; raises as `tell` and `answer` do."""
        self.tell(question)
        return self.answer()

    def processor_seconds(self) -> float:
        """Processor time that the process has used so far; 0 where the system has no ``/proc`` to tell it."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return 0.0
        fields = text.rpartition(")")[2].split()  # the name before may hold anything
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _last_words(self) -> str:
        """Why the process has ended."""
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "was killed, perhaps for lack of memory"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"ended with {code}: {lines[-1][:200] if lines else 'it said nothing'}"


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


def alternate(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    seconds: float = math.inf,
    on_turn: Callable[[Turn], None] | None = None,
) -> Comparison:
    """Let contenders take turns, after one turn each to warm up; each turn begins with a step that is not timed.

    Args:
        rounds: how many turns of each are counted.
        seconds: once these are used up, no further round begins; one is counted in any case.
        on_turn: called after every turn.
    """
    started = time.monotonic()
    with ExitStack() as open_workers:
        race = _Race(contenders, open_workers, on_turn)
        for number in range(rounds + 1):
            begun = time.monotonic()
            race.round(number)
            if number and time.monotonic() - started + (time.monotonic() - begun) > seconds:
                break
        return Comparison(tuple(race.timings.values()), race.disturbance)


class _Race:
    """The processes of contenders, what they took so far, and who is out."""

    def __init__(
        self, contenders: Sequence[Contender], open_workers: ExitStack, on_turn: Callable[[Turn], None] | None
    ) -> None:
        self.timings = {contender.name: Timing(contender) for contender in contenders}
        self.disturbance = 0.0
        self._on_turn = on_turn
        self._workers: dict[str, Worker] = {}
        self._steps = dict.fromkeys(self.timings, 1)
        for contender in contenders:
            try:
                worker = open_workers.enter_context(Worker(contender))
                worker.tell("build")  # all at once: nothing is timed yet
                self._workers[contender.name] = worker
            except WorkerError as error:
                self._fail(contender.name, error)
        for name, worker in list(self._workers.items()):
            try:
                answer = worker.answer()
            except WorkerError as error:
                self._fail(name, error)
            else:
                self.timings[name] = replace(self.timings[name], images=answer["images"], about=answer["about"])

    def round(self, number: int) -> None:
        """One turn for everybody; round 0 only warms up and tells how many steps a turn should have."""
        for name in list(self._workers)[:: -1 if number % 2 == 0 and number else 1]:
            contender = self.timings[name].contender
            if contender.most_rounds is not None and number > contender.most_rounds:
                continue
            try:
                seconds = self._turn(name)
            except WorkerError as error:
                self._fail(name, error)
                continue
            steps, timing = self._steps[name], self.timings[name]
            if number == 0:
                self._steps[name] = max(1, math.ceil(SHORTEST_TURN / max(seconds, 1e-6)))
            else:
                self.timings[name] = replace(timing, seconds=(*timing.seconds, seconds / steps))
            if self._on_turn:
                self._on_turn(Turn(contender, number, steps, seconds))

    def _turn(self, name: str) -> float:
        """Seconds of this contender's steps."""
        waiting = [worker for other, worker in self._workers.items() if other != name]
        before = [worker.processor_seconds() for worker in waiting]
        seconds = float(self._workers[name].ask(f"steps {self._steps[name]}")["seconds"])
        used = sum(worker.processor_seconds() - start for worker, start in zip(waiting, before, strict=True))
        if seconds > 0.2:  # of shorter turns the clock of processor time is too coarse
            self.disturbance = max(self.disturbance, used / seconds)
        return seconds

    def _fail(self, name: str, error: WorkerError) -> None:
        self.timings[name] = replace(self.timings[name], seconds=(), failure=str(error))
        self._workers.pop(name, None)
