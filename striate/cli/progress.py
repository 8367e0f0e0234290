"""The progress of a run: a live bar on a terminal or in a notebook, else a plain line an epoch."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from striate.cli.console import printable, say
from striate.data.names import counted, listed
from striate.recipe import Stage
from striate.training.events import EpochDone, Event, KernelsBuilding, Notice, RunStarted, Saved, StepDone

CACHE = "pictures are decoded once and kept for the next epochs, in up to {:.1f} GiB of this machine's free memory"
KEPT = "kept: the latest epoch whose {} cannot be told from the best, unless one kept before beats it by loss, too"
WITHOUT_KERNELS = "STRIATE_NATIVE=off trains without them, up to four times as slow"


class TrainingProgress:
    """Shows the events of a run; a context manager, whose instance is the callback for them.

    ``progress`` "rich" is a bar on a terminal and lines elsewhere, True lines, False nothing; in notebooks that can
    show a bar both are one. ``resume`` is what a stopped run goes on by.
    """

    def __init__(self, progress: bool | Literal["rich"], *, resume: str = "--resume") -> None:
        self._quiet, self._resume = not progress, resume
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._epochs = 0
        self._done = 0
        self._quarter = -1
        console = Console(stderr=True)
        notebook = console.is_jupyter and find_spec("ipywidgets") is not None  # by which rich shows what changes
        if progress and (notebook or (progress == "rich" and sys.stderr is not None and sys.stderr.isatty())):
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
                redirect_stdout=False,  # what a program prints there is its own
            )

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        match event:
            case Notice():
                self._line(event.text)
            case KernelsBuilding():
                self._build(event)
            case RunStarted():
                self._start(event)
            case StepDone():
                self._step(event)
            case EpochDone():
                self._line(_epoch_line(event))
            case Saved():
                place = f"epoch {event.epoch + 1} after step {event.step}"
                self._line(f"stopped in {place}; saved; {self._resume} goes on from there")

    def _line(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(printable(text), markup=False, highlight=False)
        else:
            say(text)

    def _build(self, event: KernelsBuilding) -> None:
        """A bar that counts, or a line for each quarter."""
        if self._bar:
            if self._task is None:
                self._line(f"compiling kernels for this processor, once; {WITHOUT_KERNELS}")
                self._task = self._bar.add_task("compiling kernels", speed="")
            self._bar.update(self._task, completed=event.done, total=event.units, speed=f"{event.done}/{event.units}")
        elif (quarter := 4 * event.done // event.units) > self._quarter:
            self._quarter = quarter
            ending = f"; {WITHOUT_KERNELS}" if quarter == 0 else ""
            self._line(f"compiling kernels for this processor, once: {event.done} of {event.units} units{ending}")

    def _start(self, event: RunStarted) -> None:
        images = event.images
        fold = f"fold {event.fold}: " if event.fold else ""
        self._line(
            f"{fold}training {event.recipe.model} on {counted(images['train'], 'picture')} "
            f"({images['val']} for validation, {images['test']} for the test), "
            f"{counted(event.recipe.epochs, 'epoch')}, in {event.run}"
        )
        if event.classes:
            self._line(f"{counted(len(event.classes), 'class', 'classes')}: {listed(event.classes, most=10)}")
        self._line(f"{event.precision} on {event.device} with {counted(event.threads, 'thread')}: {event.reason}")
        self._line(CACHE.format(event.cache_budget / 2**30))
        if any(stage.freeze for stage in event.recipe.stages):
            self._line(_frozen_line(event.recipe.stages))
        self._line(KEPT.format(event.recipe.metric))
        if event.epoch or event.step:
            self._line(f"going on in epoch {event.epoch + 1} after step {event.step}")
        self._epochs = event.recipe.epochs
        self._done = event.epoch * event.steps + event.step
        if self._bar:
            if self._task is not None:
                self._bar.remove_task(self._task)
            total = self._epochs * event.steps
            self._task = self._bar.add_task("", total=total, completed=self._done, speed="")

    def _step(self, event: StepDone) -> None:
        if self._bar and self._task is not None:
            self._bar.update(
                self._task,
                completed=event.epoch * event.steps + event.step,
                description=f"epoch {event.epoch + 1}/{self._epochs}",
                speed=f"{event.images / max(event.seconds, 1e-9):.0f} images/s",
            )


def _frozen_line(stages: Sequence[Stage]) -> str:
    parts, first = [], 1
    for stage in stages:
        last = first + stage.epochs - 1
        when = f"epoch {first}" if last == first else f"epochs {first} to {last}"
        parts.append(f"in {when} {', '.join(stage.freeze) or 'none'}")
        first = last + 1
    return "blocks that do not learn: " + "; ".join(parts)


def _epoch_line(event: EpochDone) -> str:
    width = len(str(event.epochs))
    speed = event.images / max(event.seconds, 1e-9)
    kept = ", kept" if event.kept else ""
    return (
        f"epoch {event.epoch + 1:{width}}/{event.epochs}: loss {event.loss:.3f}; validation {event.line}{kept}; "
        f"{speed:.0f} images/s"
    )
