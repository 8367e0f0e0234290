"""A run from a path to a result: data checked, recipe resolved, network trained, its best measured on the test."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from striate import modelfile
from striate import recipe as recipes
from striate.base.errors import OutputError, RecipeError, TrainingError
from striate.base.hardware import cores, processor
from striate.data import open_data
from striate.data.cache import PictureCache
from striate.data.loading import Loader
from striate.data.reading import readable
from striate.data.records import Dataset
from striate.data.splits import fingerprint, folds, split
from striate.inference import device_named, measure
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.recipe import Recipe
from striate.tasks import task_named
from striate.tasks.task import Meter
from striate.training import checkpoint, setting
from striate.training.events import EpochDone, Event, Notice, RunStarted, Saved
from striate.training.interruption import Interruption, interruptions
from striate.training.learner import Learner, has_ended
from striate.training.loop import Surroundings, fit, save, steps_in_epoch
from striate.training.precision import Precision, choose
from striate.training.result import Outcome, Result, best_figures, spread
from striate.training.runfolder import RunFolder, next_free


class RunStopped(KeyboardInterrupt):
    """A run was asked to stop by a signal and has saved itself; ``signal`` is the signal's number."""

    def __init__(self, run: Path, signal: int) -> None:
        super().__init__(f"stopped and saved in {run}")
        self.run = run
        self.signal = signal


@dataclass(frozen=True, slots=True)
class Controls:
    """What decides how a run is carried out but not what it computes."""

    out: Path | None = None
    resume: bool = False
    extend: int = 0
    force: bool = False
    format: str | None = None
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


@dataclass(slots=True)
class _Watch:
    """Passes events on, and counts what training alone took."""

    on_event: Callable[[Event], None] | None
    images: int = 0
    seconds: float = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, EpochDone):
            self.images += event.images
            self.seconds += event.seconds
        if self.on_event:
            self.on_event(event)


@dataclass(frozen=True, slots=True)
class _Bench:
    """What all runs of one call share; ``run`` is the folder that the user knows, whose parts folds are."""

    run: Path
    controls: Controls
    device: torch.device
    workers: int
    cache: PictureCache
    watch: _Watch
    interruption: Interruption
    fingerprint: str


def train(
    data: str | Path,
    *,
    model: str | None = None,
    epochs: int | None = None,
    recipe: Recipe | str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    controls: Controls | None = None,
    out: str | Path | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Result:
    """Train a network on a folder of pictures (or another source) and measure it on pictures that it never saw.

    Args:
        data: class folders, idx files or ``.npz`` arrays; see `striate.data`.
        model: a name of `MODELS`; None lets the task choose for these data.
        epochs: passes over the training pictures in all; None keeps the recipe's.
        recipe: a `Recipe` or its TOML file, whole or in part; None is the default for data and model.
        changes: single values over the recipe, as in its TOML: ``{"batch_size": 64}``.
        controls: how to carry it out: device, workers, resume and so on.
        out: the run's folder; None is ``runs/<data>-<n>``.
        on_event: called with each event of `striate.training.events`; nothing is ever printed.

    Raises:
        StriateError: data, recipe or folder are not usable; the message says what to do.
        RunStopped: a signal asked the run to stop; it has saved itself.
    """
    started = time.monotonic()
    controls = controls or Controls()
    controls = replace(controls, out=Path(out)) if out else controls
    controls.refuse_contradictions()
    device = device_named(controls.device)
    wishes = setting.wishes_from(recipe, dict(changes or {}) | ({"model": model} if model else {}), epochs)
    dataset = open_data(Path(data), format=controls.format)
    folder = RunFolder(controls.out or next_free(Path(data)))
    resolved = _recipe_of(folder, dataset, wishes, controls)
    watch = _Watch(on_event)
    dataset, cache = readable(dataset, setting.preprocess_for(dataset, resolved), skip=controls.skip_unreadable)
    for text in dataset.notices:
        watch(Notice(text))
    if controls.out is None:  # reading took its time, and another run may have begun where this one was to be
        folder = RunFolder(next_free(Path(data)))
    with interruptions() as interruption:
        bench = _Bench(
            run=folder.path,
            controls=controls,
            device=device,
            workers=max(1, cores() // 2) if controls.workers is None else controls.workers,
            cache=cache,
            watch=watch,
            interruption=interruption,
            fingerprint=fingerprint(dataset),
        )
        if resolved.folds:
            outcomes, pooled = _cross_validate(dataset, resolved, folder, bench)
        else:
            parts = split(dataset, resolved.split, resolved.split_seed)
            outcome, _ = _train_one(parts, resolved, folder, bench, fold=None)
            outcomes, pooled = [outcome], None
    return _result(folder.path, resolved, outcomes, pooled, watch, time.monotonic() - started)


def _result(
    run: Path, recipe: Recipe, outcomes: list[Outcome], pooled: dict[str, Any] | None, watch: _Watch, seconds: float
) -> Result:
    """What a call comes to: the one run's figures, or those of all folds pooled."""
    alone = outcomes[0] if pooled is None else None
    return Result(
        run=run,
        model=recipe.model,
        task=recipe.task,
        epochs=max(outcome.epochs for outcome in outcomes),
        images_seen=sum(outcome.images_seen for outcome in outcomes),
        seconds=seconds,
        images_per_second=watch.images / watch.seconds if watch.seconds else 0.0,
        processor=processor().name,
        best=alone.best if alone else None,
        test=alone.test if alone else None,
        folds=[] if alone else [{"run": str(each.run), **(each.test or {})} for each in outcomes],
        pooled=pooled,
    )


def _recipe_of(folder: RunFolder, dataset: Dataset, wishes: setting.Wishes, controls: Controls) -> Recipe:
    """The saved recipe of a run that goes on, else a new one; refuses what does not fit together."""
    folder.refuse_if_unwritable()
    if controls.goes_on and folder.recipe.is_file():
        saved = recipes.load(folder.recipe)
        if controls.extend and saved.folds:
            raise RecipeError(
                f"{folder.path}: is a cross-validation, which cannot be extended; give another one --epochs and --out"
            )
        if not saved.folds and not folder.started and (controls.extend or folder.model.exists()):
            raise TrainingError(
                f"{folder.path}: has no checkpoint ({folder.last.name}) to go on from; --force starts the run over"
            )
        if different := setting.differences(saved, wishes):
            raise RecipeError(
                f"{folder.path}: a run goes on with its own recipe, and what you ask for differs from it in "
                f"{', '.join(different)}; leave that out, use --extend N for more epochs, or start another run with "
                f"--out"
            )
        return saved
    if controls.extend:
        raise OutputError(f"{folder.path}: there is no run to extend")
    folder.refuse_if_occupied(force=controls.force or (controls.resume and folder.unborn))
    return setting.resolve(dataset, wishes)


def _cross_validate(
    dataset: Dataset, recipe: Recipe, folder: RunFolder, bench: _Bench
) -> tuple[list[Outcome], dict[str, Any]]:
    """A run for each fold; every picture is predicted once, by a network that never saw it."""
    task = task_named(recipe.task, dataset.classes)
    pooled = task.meter()
    outcomes = []
    validation = recipe.split[1] / (recipe.split[0] + recipe.split[1])
    parts_of_folds = folds(dataset, recipe.folds, recipe.split_seed, validation)
    if not folder.recipe.is_file() or not bench.controls.goes_on:
        recipe = _prepared(dataset, recipe, bench).recipe
        with folder.beginning(recipes.as_toml(recipe)):
            pass
    for number, parts in enumerate(parts_of_folds, start=1):
        outcome, meter = _train_one(parts, recipe, RunFolder(folder.path / f"fold-{number}"), bench, fold=number)
        outcomes.append(outcome)
        pooled.merge(meter)
    figures = pooled.figures() | {"spread": spread([each.test or {} for each in outcomes], recipe.metric)}
    return outcomes, figures


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A network before its first step, and a recipe that leaves nothing to a rule."""

    network: Network
    preprocess: Preprocess
    precision: Precision
    recipe: Recipe


def _prepared(data: Dataset, recipe: Recipe, bench: _Bench) -> _Prepared:
    preprocess = setting.preprocess_for(data, recipe)
    network = setting.network_for(data, recipe, preprocess)
    precision = choose(recipe.precision, network, processor(), bench.device)
    return _Prepared(network, preprocess, precision, setting.complete(recipe, network, preprocess, precision.name))


def _train_one(
    parts: Dataset, recipe: Recipe, folder: RunFolder, bench: _Bench, *, fold: int | None
) -> tuple[Outcome, Meter]:
    """Train one network, or go on with it, and measure its best on the test split."""
    ready = _prepared(parts, recipe, bench)
    recipe, preprocess = ready.recipe, ready.preprocess
    if bench.controls.extend and folder.started:
        recipe = _with_tail(folder, recipe, bench.controls.extend)
    task = task_named(recipe.task, parts.classes).fitted(recipe, parts.select("train"))
    description = setting.description_for(parts, bench.fingerprint, recipe, task, preprocess, fold)
    learner = Learner(ready.network, task, recipe, preprocess, bench.device, ready.precision.dtype)
    around = Surroundings(
        training=_loader(parts, "train", learner, bench),
        validation=_loader(parts, "val", learner, bench),
        folder=folder,
        description=description,
        data=bench.fingerprint,
        stop=bench.interruption.asked,
    )
    _begin_or_restore(learner, around, bench)
    bench.watch(_started(learner, around, ready.precision, parts, fold))
    for event in fit(learner, around):
        bench.watch(event)
        if isinstance(event, Saved):
            raise RunStopped(bench.run, bench.interruption.signal or 0)
    return _measured(learner, around, parts, bench)


def _measured(learner: Learner, around: Surroundings, parts: Dataset, bench: _Bench) -> tuple[Outcome, Meter]:
    best, _ = modelfile.load(around.folder.model)
    best.to(device=bench.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    meter = learner.task.meter()
    test = None
    if parts.select("test"):
        batches = _loader(parts, "test", learner, bench).epoch(0)
        meter = measure(best, learner.task, learner.preprocess, batches, bench.device)
        test = meter.figures()
    progress = learner.progress
    return Outcome(around.folder.path, progress.epoch, progress.images_seen, best_figures(around.folder), test), meter


def _begin_or_restore(learner: Learner, around: Surroundings, bench: _Bench) -> None:
    folder = around.folder
    if not (bench.controls.goes_on and folder.started):
        if bench.controls.resume:
            bench.watch(Notice(f"{folder.path}: holds no run to go on with; a new one begins"))
        with folder.beginning(recipes.as_toml(learner.recipe)):
            save(learner, around)
        return
    header = checkpoint.read_header(folder.last)
    if header.data != around.data:
        raise TrainingError(
            f"{folder.path}: this run was made with other pictures than these (their contents or classes differ); "
            f"--resume needs the same data, and another --out starts a new run"
        )
    if header.recipe != checkpoint.fixed_part(learner.recipe):
        raise TrainingError(
            f"{folder.recipe}: is not the recipe that the checkpoint was made with; put that one back, or start "
            f"another run with --out"
        )
    checkpoint.restore(folder.last, learner, header)
    folder.forget_after(header.metrics_size)
    if bench.controls.extend:
        # In this order: were it cut off between the two, --resume would train the tail, but for a run that its patience
        # had ended: that one would still be at its end, to be extended again.
        folder.change_recipe(recipes.as_toml(learner.recipe))
        learner.progress.epochs_without_better = 0
        save(learner, around)


def _with_tail(folder: RunFolder, recipe: Recipe, epochs: int) -> Recipe:
    """The recipe cut to the epochs that were run (early stopping may have ended it), and the tail behind them."""
    progress = checkpoint.read_header(folder.last).progress
    if not has_ended(progress, recipe):
        raise TrainingError(
            f"{folder.path}: this run is not at its end yet; --resume goes on with it, --extend comes after"
        )
    return recipes.extended(recipes.cut(recipe, progress.epoch), epochs)


def _loader(parts: Dataset, name: Any, learner: Learner, bench: _Bench) -> Loader:
    training = name == "train"
    return Loader(
        parts.select(name),
        learner.preprocess,
        batch_size=learner.recipe.batch_size,
        seed=learner.recipe.seed,
        augmentation=learner.recipe.augment if training else None,
        shuffle=training,
        workers=bench.workers,
        cache=bench.cache,
    )


def _started(
    learner: Learner, around: Surroundings, precision: Precision, parts: Dataset, fold: int | None
) -> RunStarted:
    return RunStarted(
        run=around.folder.path,
        recipe=learner.recipe,
        precision=precision.name,
        reason=precision.reason,
        device=str(learner.device),
        threads=torch.get_num_threads(),
        images={name: len(parts.select(name)) for name in ("train", "val", "test")},
        steps=steps_in_epoch(learner, around),
        epoch=learner.progress.epoch,
        step=learner.progress.step,
        fold=fold,
    )
