"""One training from split pictures to its outcome: prepared, begun or gone on with, and its best measured."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from striate import modelfile
from striate import recipe as recipes
from striate.base.errors import TrainingError
from striate.base.hardware import processor
from striate.base.heap import freed_memory_kept
from striate.data.loading import Loader, prepares_ahead
from striate.data.records import Dataset, Split
from striate.inference import measure
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.recipe import Recipe
from striate.tasks import task_named
from striate.tasks.task import Meter
from striate.training import checkpoint, setting
from striate.training.call import Call
from striate.training.events import KernelsBuilding, Notice, RunStarted, Saved
from striate.training.learner import Learner, has_ended
from striate.training.loop import Surroundings, fit, save, steps_in_epoch
from striate.training.precision import Precision, choose, kernels_for
from striate.training.result import Outcome, best_figures
from striate.training.runfolder import RunFolder


class RunStopped(KeyboardInterrupt):
    """A run was asked to stop by a signal and has saved itself; ``signal`` is the signal's number."""

    def __init__(self, run: Path, signal: int) -> None:
        super().__init__(f"stopped and saved in {run}")
        self.run = run
        self.signal = signal


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network before its first step, and a recipe that leaves nothing to a rule."""

    network: Network
    preprocess: Preprocess
    precision: Precision
    recipe: Recipe


def prepared(data: Dataset, recipe: Recipe, call: Call) -> Prepared:
    """Build the network for these data, and resolve what the recipe leaves to a rule."""
    preprocess = setting.preprocess_for(data, recipe)
    network = setting.network_for(data, recipe, preprocess, lambda text: call.watch(Notice(text)))
    precision = choose(recipe.precision, network, processor(), call.device)
    return Prepared(network, preprocess, precision, setting.complete(recipe, network, preprocess, precision.name))


def train_one(
    parts: Dataset, recipe: Recipe, folder: RunFolder, call: Call, *, fold: int | None
) -> tuple[Outcome, Meter]:
    """Train one network, or go on with it, and measure its best on the test split."""
    ready = prepared(parts, recipe, call)
    recipe, preprocess = ready.recipe, ready.preprocess
    if call.controls.extend and folder.started:
        recipe = _with_tail(folder, recipe, call.controls.extend)
    task = task_named(recipe.task, parts.classes).fitted(recipe, parts.select("train"))
    description = setting.description_for(parts, call.fingerprint, recipe, task, preprocess, fold)
    kernels = kernels_for(ready.network, call.device, _waiting(call))
    learner = Learner(ready.network, task, recipe, preprocess, call.device, ready.precision.dtype, kernels)
    around = Surroundings(
        training=_loader(parts, "train", learner, call),
        validation=_loader(parts, "val", learner, call),
        folder=folder,
        description=description,
        data=call.fingerprint,
        stop=call.interruption.asked,
    )
    _begin_or_restore(learner, around, call)
    call.watch(_started(learner, around, ready.precision, parts, call, fold))
    with freed_memory_kept():
        for event in fit(learner, around):
            call.watch(event)
            if isinstance(event, Saved):
                raise RunStopped(call.run, call.interruption.signal or 0)
    return _measured(learner, around, parts, call)


def _waiting(call: Call) -> Callable[[int, int], None]:
    """What a build of kernels tells its progress: whoever wants to stop need not wait for its end."""

    def on_unit(done: int, units: int) -> None:
        call.watch(KernelsBuilding(done, units))
        if call.interruption.asked():
            raise KeyboardInterrupt

    return on_unit


def _measured(learner: Learner, around: Surroundings, parts: Dataset, call: Call) -> tuple[Outcome, Meter]:
    best, _ = modelfile.load(around.folder.model)
    best.to(device=call.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    meter = learner.task.meter()
    test = None
    if parts.select("test"):
        batches = _loader(parts, "test", learner, call).epoch(0)
        meter = measure(best, learner.task, learner.preprocess, batches, call.device)
        test = meter.figures()
    progress = learner.progress
    return Outcome(around.folder.path, progress.epoch, progress.images_seen, best_figures(around.folder), test), meter


def _begin_or_restore(learner: Learner, around: Surroundings, call: Call) -> None:
    folder = around.folder
    if not (call.controls.goes_on and folder.started):
        if call.controls.resume:
            call.watch(Notice(f"{folder.path}: holds no run to go on with; a new one begins"))
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
    if header.kernels not in (None, learner.kernels):
        call.watch(
            Notice(
                f"{folder.path}: until here the run was trained with {header.kernels}, from here on with "
                f"{learner.kernels}; the run will end a little differently than on one machine"
            )
        )
    folder.forget_after(header.metrics_size)
    if call.controls.extend:
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


def _loader(parts: Dataset, name: Split, learner: Learner, call: Call) -> Loader:
    training = name == "train"
    return Loader(
        parts.select(name),
        learner.preprocess,
        batch_size=learner.recipe.batch_size,
        seed=learner.recipe.seed,
        augmentation=learner.recipe.augment if training else None,
        shuffle=training,
        workers=call.workers,
        ahead=prepares_ahead(call.device),
        cache=call.cache,
    )


def _started(
    learner: Learner, around: Surroundings, precision: Precision, parts: Dataset, call: Call, fold: int | None
) -> RunStarted:
    return RunStarted(
        run=around.folder.path,
        recipe=learner.recipe,
        precision=precision.name,
        reason=precision.reason + (f"; trained with {learner.kernels}" if learner.kernels else ""),
        device=str(learner.device),
        threads=torch.get_num_threads(),
        cache_budget=call.cache.budget,
        images={name: len(parts.select(name)) for name in ("train", "val", "test")},
        steps=steps_in_epoch(learner, around),
        epoch=learner.progress.epoch,
        step=learner.progress.step,
        fold=fold,
    )
