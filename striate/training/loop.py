"""The loop: epochs of steps, validation, the best kept, checkpoints; a generator of events."""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from striate import modelfile
from striate.data.loading import Batches
from striate.data.records import Batch, Dataset
from striate.inference import measure
from striate.training import checkpoint
from striate.training.events import EpochDone, Event, Notice, Saved, StepDone
from striate.training.forecast import Foresight, seconds_of
from striate.training.keeping import judge
from striate.training.learner import Learner
from striate.training.neighbours import Neighbours
from striate.training.runfolder import RunFolder
from striate.training.schedule import rate_at
from striate.training.session import Session
from striate.training.stages import epochs_alike, stage_at


@dataclass(frozen=True, slots=True)
class Run:
    """What never changes about a run: its split pictures, its folder, how its model file describes itself.

    ``fold`` counts from 1 in a cross-validation, else it is None.
    """

    session: Session
    data: Dataset
    training: Batches
    validation: Batches
    folder: RunFolder
    description: modelfile.Description
    fold: int | None = None


def fit(learner: Learner, run: Run) -> Iterator[Event]:
    """Train from where the learner stands to the end of its recipe, or until it is asked to stop.

    After each step the session is asked whether somebody wants to stop; then the run saves itself and its events end.

    Raises:
        TrainingError: the loss is no finite number.
        OutputError: the run folder cannot be written.
    """
    progress, recipe = learner.progress, learner.recipe
    steps = steps_in_epoch(learner, run)
    neighbours = Neighbours(learner.device, run.session.tell)
    foresight = _foresight(learner, run)
    while not learner.finished:
        index, within = stage_at(recipe.stages, progress.epoch)
        if within == 0 and progress.step == 0:
            learner.enter_stage(index)
        rate = _rate(learner, steps)
        alike = epochs_alike(recipe.stages, progress.epoch)
        foresight.begin(progress.epoch, progress.step, recipe.stages[index].freeze, alike)
        started = saved = time.monotonic()
        seen = 0
        batches = run.training.epoch(progress.epoch, progress.step * recipe.accumulate)
        for group in _groups(batches, recipe.accumulate):
            rate = _rate(learner, steps)
            with neighbours.turn():
                learner.step(group, rate)
            progress.step += 1
            seen += sum(len(batch) for batch in group)
            if progress.step % recipe.log_every == 0 or progress.step == steps:
                _log_step(learner, run, rate)
            neighbours.look()
            now = time.monotonic()
            yield StepDone(progress.epoch, progress.step, steps, seen, now - started)
            if (forecast := foresight.step_done()) is not None:
                yield forecast
            if progress.step < steps and now - saved >= recipe.save_every:
                save(learner, run)
                foresight.pause_done()
                saved = now
            if run.session.interruption.asked():
                save(learner, run)
                yield Saved(run.folder.last, progress.epoch, progress.step)
                return
        done = _end_epoch(learner, run, rate, seen, time.monotonic() - started)
        whole, left = foresight.epoch_done()
        yield replace(done, whole=whole, left=left)
        save(learner, run)
        if run.session.interruption.asked() and not learner.finished:
            yield Saved(run.folder.last, progress.epoch, progress.step)
            return


def _foresight(learner: Learner, run: Run) -> Foresight:
    size = learner.recipe.accumulate

    def work(epoch: int) -> list[float]:
        pixels = run.training.pixels(epoch)
        return [float(sum(pixels[start : start + size])) for start in range(0, len(pixels), size)]

    def validation() -> float:
        how = learner.task, learner.preprocess
        return seconds_of(run.validation, lambda batch: measure(learner.evaluated, *how, [batch], learner.device))

    return Foresight(work, validation)


def steps_in_epoch(learner: Learner, run: Run) -> int:
    """Steps of the optimizer in an epoch."""
    return math.ceil(len(run.training) / learner.recipe.accumulate)


def save(learner: Learner, run: Run) -> None:
    """Write the checkpoint of this moment.

    Raises:
        TrainingError: there is a loss or a weight that is no finite number; the checkpoint of before is kept.
        OutputError: it cannot be written.
    """
    learner.refuse_broken_weights()
    arguments = learner.progress.task_arguments or run.description.task_arguments
    description = replace(run.description, task_arguments=arguments)
    metrics_size, data = run.folder.metrics_size(), run.session.fingerprint
    checkpoint.save(run.folder.last, learner, description, metrics_size=metrics_size, data=data)


def _rate(learner: Learner, steps: int) -> float:
    """The rate of the step that comes next; behind the last one of an epoch (stopped there), that of the last."""
    progress, recipe = learner.progress, learner.recipe
    index, within = stage_at(recipe.stages, progress.epoch)
    stage = recipe.stages[index]
    step = within * steps + min(progress.step, steps - 1)
    return rate_at(stage, step, stage.epochs * steps, recipe.rate_floor)


def _groups(batches: Iterator[Batch], size: int) -> Iterator[Sequence[Batch]]:
    while group := list(itertools.islice(batches, size)):
        yield group


def _log_step(learner: Learner, run: Run, rate: float) -> None:
    learner.read_losses()
    progress = learner.progress
    images = max(1, progress.images_since_log)
    line = {
        "kind": "step",
        "epoch": progress.epoch,
        "step": progress.step,
        "images_seen": progress.images_seen,
        "loss": progress.loss_since_log / images,
        "rate": rate,
    }
    if len(progress.parts_since_log) > 1:  # one part is the loss itself
        line["loss_parts"] = {name: total / images for name, total in progress.parts_since_log.items()}
    run.folder.log(line)
    progress.loss_since_log, progress.images_since_log, progress.parts_since_log = 0.0, 0, {}


def _end_epoch(learner: Learner, run: Run, rate: float, images: int, seconds: float) -> EpochDone:
    """Validate, keep the weights if `keeping` says so, write the epoch's line, and move on."""
    progress, recipe = learner.progress, learner.recipe
    learner.read_losses()
    learner.refuse_broken_weights()
    meter = measure(learner.evaluated, learner.task, learner.preprocess, run.validation.epoch(0), learner.device)
    figures = meter.figures()
    figure = figures[recipe.metric]
    # What is no number is neither more nor less than anything, so nothing would ever be better.
    known = figure is not None and not math.isnan(figure)
    if not known and progress.epoch == 0:
        run.session.tell(Notice(_unknown(recipe.metric, learner.task.directions, figures)))
    value = figure * learner.task.directions[recipe.metric] if known else -math.inf
    margin = learner.task.margin(recipe.metric, figures) if known else 0.0
    progress.task_arguments = dict(learner.task.calibrated(figures).arguments)
    kept = judge(progress, value, margin, figures.get("loss"))
    if kept:
        description = replace(run.description, task_arguments=progress.task_arguments)
        modelfile.save(run.folder.model, learner.evaluated.state_dict(), description)
    loss = progress.loss_in_epoch / max(1, progress.images_in_epoch)
    done = EpochDone(
        progress.epoch, recipe.epochs, loss, rate, figures, learner.task.brief(figures), kept, images, seconds
    )
    run.folder.log(_epoch_line(learner, done))
    progress.loss_in_epoch, progress.images_in_epoch, progress.step = 0.0, 0, 0
    progress.epoch += 1
    return done


def _unknown(metric: str, directions: Mapping[str, int], figures: Mapping[str, Any]) -> str:
    """That an epoch cannot be judged by the recipe's metric, and by which it could be."""
    others = [name for name in directions if figures.get(name) is not None]
    return (
        f"the validation pictures have nothing to measure {metric} by, so each epoch is as good as the others and the "
        f"last is kept; figures that there are: {', '.join(others) or 'none'} (--metric)"
    )


def _epoch_line(learner: Learner, done: EpochDone) -> dict[str, Any]:
    return {
        "kind": "epoch",
        "epoch": done.epoch,
        "images_seen": learner.progress.images_seen,
        "loss": done.loss,
        "rate": done.rate,
        "kept": done.kept,
        "validation": dict(learner.task.logged(done.figures)),
        # None where the run was stopped behind the epoch's last step: what that took is not known any more.
        "images_per_second": round(done.images / max(done.seconds, 1e-9), 1) if done.images else None,
    }
