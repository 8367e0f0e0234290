"""One training from split pictures to its outcome: prepared, begun or gone on with, and its best measured."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from striate import modelfile
from striate import recipe as recipes
from striate.base.errors import TrainingError
from striate.base.hardware import processor
from striate.base.heap import freed_memory_kept, freed_memory_returned
from striate.data.loading import Loader, prepares_ahead
from striate.data.records import Dataset, Split
from striate.inference import measure
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.planning.demand import Needs
from striate.recipe import Recipe
from striate.tasks.task import Task
from striate.training import checkpoint, fitting, resolving
from striate.training.events import EpochDone, KernelsBuilding, Notice, RunStarted, Saved
from striate.training.fitting import Fitted, Trainee
from striate.training.learner import Learner, has_ended
from striate.training.loaders import loader_for
from striate.training.loop import Run, fit, save, steps_in_epoch
from striate.training.precision import Precision, choose, kernels_for
from striate.training.result import Outcome, best_figures
from striate.training.runfolder import RunFolder
from striate.training.session import Session


class RunStopped(KeyboardInterrupt):
    """A run was asked to stop by a signal and has saved itself; ``signal`` is the signal's number."""

    def __init__(self, run: Path, signal: int) -> None:
        super().__init__(f"stopped and saved in {run}")
        self.run = run
        self.signal = signal


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network before its first step, and a recipe that leaves nothing to a rule; ``kernels`` train it."""

    network: Network
    preprocess: Preprocess
    precision: Precision
    kernels: str
    fitted: Fitted

    @property
    def recipe(self) -> Recipe:
        """With numbers and names for all that was left to a rule."""
        return self.fitted.recipe


def prepared(
    data: Dataset, recipe: Recipe, task: Task, session: Session, *, needs: Needs | None = None, silent: bool = False
) -> Prepared:
    """A network for these data, of which it is seen first that its run fits; ``needs`` are those it had, if it goes on.

    ``silent`` is as for `fitting.fitted`.

    Raises:
        TrainingError: it does not fit, and nobody forces it.
    """
    room = fitting.room_for(session)
    preprocess = resolving.preprocess_for(data, recipe)
    if session.device.type != "cpu":  # whose generators nobody keeps where it is not used
        torch.manual_seed(recipe.seed)
    network = resolving.network_for(data, recipe, task, preprocess, lambda text: session.tell(Notice(text)))
    for size in {preprocess.size, recipe.augment.size(preprocess)}:
        network.check_images(torch.empty(1, preprocess.count, *size, device="meta"))
    precision = choose(recipe.precision, network, processor(), session.device)
    recipe = resolving.complete(recipe, network, preprocess, precision.name)
    kernels = kernels_for(network, session.device, _waiting(session))
    if needs is not None:
        return Prepared(network, preprocess, precision, kernels, fitting.gone_on(recipe, needs, room, session))
    trainee = Trainee(
        *(network, recipe, task, preprocess),
        counts=fitting.counts_of(data, in_folds=recipe.folds > 0),
        default=resolving.default_batch(data, recipe, task),
        kernels=session.device.type == "cpu",
    )
    return Prepared(network, preprocess, precision, kernels, fitting.fitted(trainee, room, session, silent=silent))


def train_one(data: Dataset, recipe: Recipe, folder: RunFolder, session: Session, *, fold: int | None) -> Outcome:
    """Train one network, or go on with it, and measure its best on the test split."""
    task = session.task.fitted(recipe, data.of_split("train"))
    goes_on = session.controls.goes_on and folder.started
    needs = checkpoint.read_header(folder.last).needs if goes_on else None
    # What all folds take was planned and told before the first; and a run that goes on is not refused.
    made = prepared(data, recipe, task, session, needs=needs, silent=bool(fold) or goes_on)
    network, preprocess, precision, recipe = made.network, made.preprocess, made.precision, made.recipe
    if goes_on:  # its recipe names what was chosen then
        precision = dataclasses.replace(precision, reason="as when the run began")
    if session.controls.extend and goes_on:
        recipe = _with_tail(folder, recipe, session.controls.extend)
    learner = Learner(
        *(network, task, recipe, preprocess, session.device, precision.dtype, made.kernels, made.fitted.needs)
    )
    run = Run(
        session=session,
        data=data,
        training=_loader(data, "train", learner, session),
        validation=_loader(data, "val", learner, session),
        folder=folder,
        description=resolving.description_for(data, session.fingerprint, recipe, task, preprocess, fold),
        fold=fold,
    )
    _begin_or_restore(learner, run)
    for event in made.fitted.told:
        session.tell(event)
    if fold in (None, 1):  # the others have as few
        tested = data.records if fold else data.of_split("test")  # folds are pooled
        shortages = task.shortages(data.of_split("train"), data.of_split("val"), tested)
        for text in (*task.remarks, *shortages):
            session.tell(Notice(text))
    session.tell(_started(learner, run, precision))
    images, seconds = 0, 0.0
    with freed_memory_kept() if made.fitted.keeps else freed_memory_returned(), fitting.running(recipe):
        for event in fit(learner, run):
            if isinstance(event, EpochDone):
                images, seconds = images + event.images, seconds + event.seconds
            session.tell(event)
            if isinstance(event, Saved):
                raise RunStopped(session.run, session.interruption.signal or 0)
    return _measured(learner, run, images, seconds)


def _waiting(session: Session) -> Callable[[int, int], None]:
    """What a build of kernels tells its progress: whoever wants to stop need not wait for its end."""

    def on_unit(done: int, units: int) -> None:
        session.tell(KernelsBuilding(done, units))
        if session.interruption.asked():
            raise KeyboardInterrupt

    return on_unit


def _measured(learner: Learner, run: Run, images: int, seconds: float) -> Outcome:
    best, _ = modelfile.load(run.folder.model)
    best.to(device=learner.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    figures = best_figures(run.folder)
    task = learner.task.calibrated(figures)  # as the model file has it
    meter = task.meter()
    test = None
    if run.data.of_split("test"):
        batches = _loader(run.data, "test", learner, run.session).epoch(0)
        meter = measure(best, task, learner.preprocess, batches, learner.device)
        test = meter.figures()
    progress = learner.progress
    return Outcome(
        *(run.folder.path, progress.epoch, progress.images_seen, figures, test, meter, task),
        images=images,
        seconds=seconds,
    )


def _begin_or_restore(learner: Learner, run: Run) -> None:
    folder, controls, tell = run.folder, run.session.controls, run.session.tell
    if not (controls.goes_on and folder.started):
        if controls.resume:
            meant = folder.perhaps_meant() if folder.path == run.session.run else ""  # a fold beside it is not
            tell(Notice(f"{folder.path}: holds no run to go on with; a new one begins.{meant}"))
        with folder.beginning(recipes.as_toml(learner.recipe)):
            save(learner, run)
        return
    header = checkpoint.read_header(folder.last)
    if header.data != run.session.fingerprint:
        raise TrainingError(
            f"{folder.path}: this run was made with other pictures than these (their contents, classes or groups "
            f"differ); --resume needs the same data, and another --out starts a new run"
        )
    if header.recipe != checkpoint.fixed_part(learner.recipe):
        raise TrainingError(
            f"{folder.recipe}: is not the recipe that the checkpoint was made with; put that one back, or start "
            f"another run with --out"
        )
    checkpoint.restore(folder.last, learner, header)
    if header.kernels not in (None, learner.kernels):
        tell(
            Notice(
                f"{folder.path}: until here the run was trained with {header.kernels}, from here on with "
                f"{learner.kernels}; the run will end a little differently than on one machine"
            )
        )
    folder.forget_after(header.metrics_size)
    if controls.extend:
        # In this order: were it cut off between the two, --resume would train the tail, but for a run that its patience
        # had ended: that one would still be at its end, to be extended again.
        folder.change_recipe(recipes.as_toml(learner.recipe))
        learner.progress.epochs_without_better = 0
        save(learner, run)


def _with_tail(folder: RunFolder, recipe: Recipe, epochs: int) -> Recipe:
    """The recipe cut to the epochs that were run (early stopping may have ended it), and the tail behind them."""
    progress = checkpoint.read_header(folder.last).progress
    if not has_ended(progress, recipe):
        raise TrainingError(
            f"{folder.path}: this run is not at its end yet; --resume goes on with it, --extend comes after"
        )
    return recipes.extended(recipes.cut(recipe, progress.epoch), epochs)


def _loader(data: Dataset, name: Split, learner: Learner, session: Session) -> Loader:
    how = learner.recipe, learner.preprocess, learner.network
    ahead = prepares_ahead(session.device)
    return loader_for(data, name, *how, workers=session.workers, ahead=ahead, cache=session.cache)


def _started(learner: Learner, run: Run, precision: Precision) -> RunStarted:
    return RunStarted(
        run=run.folder.path,
        recipe=learner.recipe,
        precision=precision.name,
        reason=precision.reason + (f"; trained with {learner.kernels}" if learner.kernels else ""),
        device=str(learner.device),
        threads=torch.get_num_threads(),
        cache_budget=run.session.cache.budget,
        images={name: len(run.data.of_split(name)) for name in ("train", "val", "test")},
        classes=run.data.classes.names,
        steps=steps_in_epoch(learner, run),
        epoch=learner.progress.epoch,
        step=learner.progress.step,
        fold=run.fold,
    )
