"""A run from a path to a result: data checked, recipe resolved, one network trained or one for each fold."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from striate import recipe as recipes
from striate.base.errors import OutputError, RecipeError, TrainingError
from striate.base.hardware import processor
from striate.data.loading import threads_for
from striate.data.reading import readable
from striate.data.records import Dataset
from striate.data.splits import fingerprint, folds, split
from striate.inference import device_named
from striate.ops.own_state import own_draws, own_state
from striate.recipe import Recipe
from striate.tasks import task_named
from striate.tasks.task import Task
from striate.training import resolving
from striate.training.events import Event, Notice
from striate.training.interruption import interruptions
from striate.training.one_network import prepared, train_one
from striate.training.result import Outcome, Result, spread
from striate.training.runfolder import RunFolder, held_next, next_free
from striate.training.session import Controls, Session


def train(
    data: str | Path,
    *,
    model: str | None = None,
    task: str | None = None,
    epochs: int | None = None,
    recipe: Recipe | str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    extend: int = 0,
    force: bool = False,
    format: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    skip_unreadable: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> Result:
    """Train a network on a folder of pictures (or another source) and measure it on pictures that it never saw.

    Args:
        data: a folder of class folders, boxes or masks, idx files or ``.npz`` arrays; see `striate.data`.
        model: a name of `MODELS`; None lets the task choose for these data.
        task: what an answer is; None is what the data are for.
        epochs: passes over the training pictures in all; None keeps the recipe's.
        recipe: a `Recipe` or its TOML file, whole or in part; None is the default for data and model.
        changes: single values over the recipe, as in its TOML: ``{"batch_size": 64, "segment": {"dice_weight": 1.0}}``.
        out: the run's folder; None is ``runs/<data>-<n>``.
        resume: go on with the run in ``out``.
        extend: go on with the finished run in ``out`` for so many more epochs at a tenth of its rate.
        force: start over in a folder that is not empty; and train what does not fit into memory, as planned.
        format: the data's format, a key of `striate.data.SOURCES`, where it cannot be told.
        device: "auto", "cpu", "cuda" or "mps".
        workers: threads that prepare pictures, by default as many as serve the device; they never change a result.
        skip_unreadable: leave out pictures that cannot be read, or whose masks cannot.
        on_event: called with each event of `striate.training.events`; nothing is ever printed.

    Returns:
        A `Result`: ``run`` is the run's folder, ``best`` are the figures on the validation pictures of the epoch that
        was kept, ``test`` those on the test split, None where there is none; in a cross-validation ``pooled`` and
        ``folds`` instead. Their keys are the task's, see ``docs/json.md``.

    Raises:
        StriateError: data, recipe or folder are not usable; the message says what to do.
        TrainingError: another thread of this process is training.
        RunStopped: a signal asked the run to stop; it has saved itself.
    """
    folder = Path(out) if out else None
    controls = Controls(folder, resume, extend, force, device, workers, skip_unreadable)
    controls.refuse_contradictions()
    overrides = resolving.asked_for(recipe, changes, model=model, task=task, format=format, epochs=epochs)
    with _alone(), own_state():
        return _trained(Path(data), overrides, controls, on_event or (lambda event: None))


_training = threading.RLock()


@contextmanager
def _alone() -> Iterator[None]:
    """Within, no other thread trains: all threads draw from torch's one generator."""
    if not _training.acquire(blocking=False):
        raise TrainingError(
            "striate.train: another thread of this process is training, and each would draw the other's random "
            "numbers; wait for its end, or train in a process of its own (multiprocessing with 'spawn', or the "
            "command striate train)"
        )
    try:
        yield
    finally:
        _training.release()


def _trained(
    data: Path, overrides: resolving.Overrides, controls: Controls, on_event: Callable[[Event], None]
) -> Result:
    started = time.monotonic()
    device = device_named(controls.device)

    def tell(event: Event) -> None:
        with own_draws(device):  # whoever listens may draw, too
            on_event(event)

    dataset, saved = _opened(data, overrides, controls)
    with ExitStack() as held:
        held.enter_context(own_draws(device))
        folder = RunFolder(controls.out or next_free(data))
        if controls.out is not None:
            held.enter_context(folder.held())
        recipe = _recipe_of(folder, saved, dataset, overrides, controls)
        task = task_named(recipe.task, dataset.classes)
        dataset = task.checked(dataset)
        preprocess = resolving.preprocess_for(dataset, recipe)
        dataset, cache = readable(
            dataset,
            preprocess,
            skip=controls.skip_unreadable,
            every_class=task.every_class,
            least_side=task.least_side(recipe),
        )
        for text in dataset.notices:
            tell(Notice(text))
        if controls.out is None:  # only now: while data are read there is nothing on the disk
            folder = held.enter_context(held_next(data))
        with interruptions() as interruption:
            workers = threads_for(controls.workers, device)
            known = fingerprint(dataset)
            session = Session(folder.path, task, controls, device, workers, cache, tell, interruption, known)
            outcomes, pooled = _outcomes(dataset, recipe, folder, session)
        return _result(folder.path, recipe, outcomes, pooled, time.monotonic() - started)


def _result(
    run: Path, recipe: Recipe, outcomes: list[Outcome], pooled: dict[str, Any] | None, seconds: float
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
        images_per_second=sum(each.images for each in outcomes) / max(sum(each.seconds for each in outcomes), 1e-9),
        processor=processor().name,
        best=alone.best if alone else None,
        test=alone.test if alone else None,
        folds=[] if alone else [{"run": str(each.run), **(each.test or {})} for each in outcomes],
        pooled=pooled,
        summaries=_summaries(outcomes[0].task, pooled, alone),
    )


def _summaries(task: Task, pooled: Mapping[str, Any] | None, alone: Outcome | None) -> dict[str, str]:
    figures = {"pooled": pooled, "best": alone and alone.best, "test": alone and alone.test}
    return {name: task.summary(each) for name, each in figures.items() if each}


def _opened(data: Path, overrides: resolving.Overrides, controls: Controls) -> tuple[Dataset, Recipe | None]:
    """The data, read as the recipe says, and the recipe of the run that goes on, if one does."""
    saved = None
    if controls.goes_on and controls.out:
        folder = RunFolder(controls.out)
        folder.refuse_if_unwritable()
        saved = recipes.load(folder.recipe) if folder.recipe.is_file() else None
    return resolving.opened(data, overrides, saved, skip_unreadable=controls.skip_unreadable), saved


def _recipe_of(
    folder: RunFolder, saved: Recipe | None, dataset: Dataset, overrides: resolving.Overrides, controls: Controls
) -> Recipe:
    """The saved recipe of a run that goes on, else a new one; refuses what does not fit together."""
    folder.refuse_if_unwritable()
    if saved:
        if controls.extend and saved.folds:
            raise RecipeError(
                f"{folder.path}: is a cross-validation, which cannot be extended; give another one --epochs and --out"
            )
        if not saved.folds and not folder.started and (controls.extend or folder.model.exists()):
            raise TrainingError(
                f"{folder.path}: has no checkpoint ({folder.last.name}) to go on from; --force starts the run over"
            )
        if different := resolving.differences(saved, overrides):
            raise RecipeError(
                f"{folder.path}: a run goes on with its own recipe, and what you ask for differs from it in "
                f"{', '.join(different)}; leave that out, use --extend N for more epochs, or start another run with "
                f"--out"
            )
        return saved
    if controls.extend:
        raise OutputError(f"{folder.path}: there is no run to extend.{folder.perhaps_meant()}")
    folder.refuse_if_occupied(force=controls.force or (controls.resume and folder.unborn))
    return resolving.resolve(dataset, overrides)


def _outcomes(
    dataset: Dataset, recipe: Recipe, folder: RunFolder, session: Session
) -> tuple[list[Outcome], dict[str, Any] | None]:
    """What the one training came to, or those of all folds and their figures pooled."""
    if recipe.folds:
        return _cross_validate(dataset, recipe, folder, session)
    parts = split(dataset, recipe.split, recipe.split_seed, every_class=session.task.every_class)
    return [train_one(parts, recipe, folder, session, fold=None)], None


def _cross_validate(
    dataset: Dataset, recipe: Recipe, folder: RunFolder, session: Session
) -> tuple[list[Outcome], dict[str, Any]]:
    """A run for each fold; every picture is predicted once, by a network that never saw it."""
    task = session.task.fitted(recipe, dataset.records)
    pooled = task.meter()
    outcomes = []
    validation = recipe.split[1] / (recipe.split[0] + recipe.split[1])
    parts_of_folds = folds(dataset, recipe.folds, recipe.split_seed, validation, every_class=task.every_class)
    if not folder.recipe.is_file() or not session.controls.goes_on:
        made = prepared(dataset, recipe, task, session)
        recipe = made.recipe
        with folder.beginning(recipes.as_toml(recipe)):
            pass
        for event in made.fitted.told:
            session.tell(event)
    for number, parts in enumerate(parts_of_folds, start=1):
        part = RunFolder(folder.path / f"fold-{number}")
        with part.held():
            outcomes.append(train_one(parts, recipe, part, session, fold=number))
        pooled.merge(outcomes[-1].meter.state())
    figures = pooled.figures() | {"spread": spread([each.test or {} for each in outcomes], recipe.metric)}
    return outcomes, figures
