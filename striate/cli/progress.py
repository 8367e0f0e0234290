"""The progress of a run: a live bar on a terminal or in a notebook, else a plain line an epoch."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib.util import find_spec
from itertools import accumulate, groupby, pairwise
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from striate.base.memory import in_words
from striate.cli.console import printable, say
from striate.data.names import counted, listed
from striate.data.names import printable as one_line
from striate.recipe import Stage
from striate.training.events import (
    EpochDone,
    Event,
    Forecast,
    KernelsBuilding,
    Notice,
    Planned,
    RunStarted,
    Saved,
    StepDone,
)
from striate.weights.pretrained import Hub, comes_along, has_pretrained, pretrained_name, pretrained_part

CACHE = "pictures are decoded once and kept for the next epochs, in up to {:.1f} GiB of this machine's free memory"
KEPT = (
    "kept: the latest epoch whose {0} is as good as the best, but for what may be chance; one that is worse than "
    "the epoch kept before it by {0} and by loss is passed over"
)
MINUTE = 60.0
WITHOUT_KERNELS = "STRIATE_NATIVE=off trains without them, up to four times as slow"


class TrainingProgress:
    """Shows the events of a run; a context manager, whose instance is the callback for them.

    ``progress`` "rich" is a bar on a terminal and lines elsewhere, True lines, False nothing; in notebooks that can
    show a bar both are one. ``resume`` is what a stopped run goes on by, "" where somebody else says that.
    """

    def __init__(self, progress: bool | Literal["rich"], *, resume: str = "") -> None:
        self._quiet, self._resume = not progress, resume
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._epochs = 0
        self._done = 0
        self._quarter = -1
        self._stages: Sequence[Stage] = ()
        self._ends: Sequence[int] = ()
        self._end = 0
        console = Console(stderr=True)
        notebook = console.is_jupyter and find_spec("ipywidgets") is not None  # by which rich shows what changes
        if progress and (notebook or (progress == "rich" and sys.stderr is not None and sys.stderr.isatty())):
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[speed]}"),
                _Remaining(),
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
            case Planned():
                self._line(_planned_line(event))
            case RunStarted():
                self._start(event)
            case StepDone():
                self._step(event)
            case Forecast():
                self._line(_forecast_line(event))
            case EpochDone():
                left = "" if self._bar or not event.left or event.left < MINUTE else f"; {_about(event.left)} left"
                self._line(f"{_epoch_line(event)}{left}")
            case Saved():
                place = f"epoch {event.epoch + 1} after step {event.step}"
                saved = f"; saved; {self._resume.format(event.path.parent)} goes on from there" if self._resume else ""
                self._line(f"stopped in {place}{saved}")

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
            f"{counted(event.recipe.epochs, 'epoch')} {_beginning(event)}, in {event.run}"
        )
        if event.classes:
            names = listed([one_line(name) for name in event.classes], most=10)
            self._line(f"{counted(len(event.classes), 'class', 'classes')}: {names}")
        self._line(f"{event.precision} on {event.device} with {counted(event.threads, 'thread')}: {event.reason}")
        if event.recipe.weights != "pretrained" and (text := _published_line(event.recipe.model)):
            self._line(text)
        self._line(CACHE.format(event.cache_budget / 2**30))
        if any(stage.freeze for stage in event.recipe.stages):
            self._line(_frozen_line(event.recipe.stages))
        self._line(KEPT.format(event.recipe.metric))
        if event.epoch >= event.recipe.epochs:
            self._line("this run has ended already; --extend N trains it for N more epochs")
        elif event.epoch or event.step:
            self._line(f"going on in epoch {event.epoch + 1} after step {event.step}")
        self._epochs, self._stages, self._end = event.recipe.epochs, event.recipe.stages, 0
        alike = groupby(self._stages, key=lambda stage: stage.freeze)
        self._ends = list(accumulate(sum(stage.epochs for stage in stages) for _, stages in alike))
        self._done = event.epoch * event.steps + event.step
        if self._bar:
            if self._task is not None:
                self._bar.remove_task(self._task)
            total = self._epochs * event.steps
            self._task = self._bar.add_task("", total=total, completed=self._done, speed="")

    def _step(self, event: StepDone) -> None:
        if event.step == 1 and (text := _stage_line(self._stages, event.epoch)):
            self._line(text)
        if self._bar is None or self._task is None:
            return
        done = event.epoch * event.steps + event.step
        speed = _speed(event)
        end = next(end for end in self._ends if event.epoch < end)
        if end != self._end:  # other blocks learn than before, so that a step takes another time
            self._end = end
            until = "left" if end == self._epochs else f"to the end of epoch {end}"
            total = self._epochs * event.steps
            self._bar.reset(self._task, total=total, completed=done, speed=speed, end=end * event.steps, until=until)
        self._bar.update(self._task, completed=done, description=f"epoch {event.epoch + 1}/{self._epochs}", speed=speed)


class _Remaining(ProgressColumn):
    """The time to the task's ``end``, and ``until`` when that is.

    A step takes several times as long where more blocks learn, and how long is known when they do: what comes after
    such a change is not counted before.
    """

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """``0:01:10 to the end of epoch 2``."""
        end = task.fields.get("end", task.total)
        if not task.speed or end is None:
            return Text("-:--:--")
        left = timedelta(seconds=round(max(0, end - task.completed) / task.speed))
        return Text(f"{left} {task.fields.get('until', 'left')}")


def _planned_line(event: Planned) -> str:
    """What a step takes of what is there, and what else would fit."""
    more = f" (batch_size = {event.more} would still fit)" if event.more else ""
    chosen = f"batches of {event.batch}, chosen for this memory; " if event.chosen else ""
    saving = f", and saving the run {in_words(event.bytes)}" if event.bytes > event.steps else ""
    again = f"; to fit, {listed(event.blocks)} keep little and are computed again" if event.blocks else ""
    slow = "" if event.keeps else "; there is no room to keep memory that is freed, which makes steps slower"
    return (
        f"planned: {chosen}a step of {counted(event.batch, 'picture')} takes {in_words(event.steps)} at its "
        f"peak{saving}, of the {in_words(event.there)} that {event.limit} leaves it{more}{again}{slow}"
    )


def _beginning(event: RunStarted) -> str:
    """What the weights begin as; of weights that came with Striate also how to have them."""
    if event.recipe.weights == "pretrained":
        return "from pretrained weights"
    here = comes_along(event.recipe.model)
    return "from random weights" + (" (--weights pretrained takes published ones)" if here else "")


def _published_line(model: str) -> str | None:
    """How to have the published weights of a network, or of its backbone, which did not come with Striate."""
    row = pretrained_part(model)
    if row is None or not has_pretrained(model) or comes_along(model):
        return None
    name = pretrained_name(model)
    fetched = isinstance(row.source, Hub)
    how = "fetches them once" if fetched else f"takes them, striate models {name} says what is to be done before"
    size = f" ({row.megabytes:g} MB)" if row.megabytes else ""
    return (
        f"this run starts from random weights: those of {name}{size} are published, but do not come "
        f"with Striate; --weights pretrained {how}"
    )


def _stage_line(stages: Sequence[Stage], epoch: int) -> str | None:
    """What learns from this epoch (from 0) on, if a stage begins there in which more does."""
    begins = accumulate(stage.epochs for stage in stages)
    for begin, (before, stage) in zip(begins, pairwise(stages), strict=False):
        more = [name for name in before.freeze if name not in stage.freeze]
        if begin == epoch and more:
            also = f"{listed(more)} {'learns' if len(more) == 1 else 'learn'}, too"
            return f"from epoch {epoch + 1} on {also}; the loss may rise at first, as more weights move"
    return None


def _frozen_line(stages: Sequence[Stage]) -> str:
    parts, first = [], 1
    for freeze, alike in groupby(stages, key=lambda stage: stage.freeze):
        last = first + sum(stage.epochs for stage in alike) - 1
        when = f"epoch {first}" if last == first else f"epochs {first} to {last}"
        when = "all epochs" if last - first + 1 == sum(stage.epochs for stage in stages) > 1 else when
        parts.append(f"in {when} {', '.join(freeze) or 'none'}")
        first = last + 1
    return "blocks that do not learn: " + "; ".join(parts)


def _forecast_line(event: Forecast) -> str:
    """What an epoch takes, and all of those in which the same blocks learn."""
    validation = f", {_about(event.validation)} of it for validation" if event.validation >= 1 else ""
    rest = f"; {event.epochs} epochs like it take {_about(event.epochs * event.seconds)}" if event.epochs > 1 else ""
    return (
        f"an epoch will take {_about(event.seconds)} ({_about(event.least)} to {_about(event.most)}){validation}{rest}"
    )


def _about(seconds: float) -> str:
    """A time in two or three digits: 95 s, 12 min, 3.4 h."""
    for size, unit in ((24 * 60 * MINUTE, "days"), (60 * MINUTE, "h")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / MINUTE:.0f} min" if seconds >= 2 * MINUTE else f"{seconds:.0f} s"


def _epoch_line(event: EpochDone) -> str:
    width = len(str(event.epochs))
    kept = ", kept" if event.kept else ""
    return (
        f"epoch {event.epoch + 1:{width}}/{event.epochs}: loss {event.loss:.3f}; validation {event.line}{kept}; "
        f"{_speed(event)}"
    )


def _speed(event: StepDone | EpochDone) -> str:
    speed = event.images / max(event.seconds, 1e-9)
    return f"{speed:.{0 if speed >= 9.95 else 1}f} images/s"
