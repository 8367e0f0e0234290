"""A run from a path to a result: data checked, recipe resolved, one network trained or one for each fold."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from striate import recipe as recipes
from striate.base.errors import OutputError, RecipeError, TrainingError
from striate.base.hardware import processor
from striate.data import open_data
from striate.data.loading import threads_for
from striate.data.reading import readable
from striate.data.records import Dataset
from striate.data.splits import fingerprint, folds, split
from striate.inference import device_named
from striate.recipe import Recipe
from striate.tasks import task_named
from striate.training import setting
from striate.training.call import Call, Controls, Watch
from striate.training.events import Event, Notice
from striate.training.interruption import interruptions
from striate.training.result import Outcome, Result, spread
from striate.training.runfolder import RunFolder, next_free
from striate.training.single import prepared, train_one


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
    task = task_named(resolved.task, dataset.classes)
    dataset = task.checked(dataset)
    watch = Watch(on_event)
    dataset, cache = readable(dataset, setting.preprocess_for(dataset, resolved), skip=controls.skip_unreadable)
    for text in dataset.notices:
        watch(Notice(text))
    if controls.out is None:  # reading took its time, and another run may have begun where this one was to be
        folder = RunFolder(next_free(Path(data)))
    with interruptions() as interruption:
        call = Call(
            run=folder.path,
            controls=controls,
            device=device,
            workers=threads_for(controls.workers, device),
            cache=cache,
            watch=watch,
            interruption=interruption,
            fingerprint=fingerprint(dataset),
        )
        if resolved.folds:
            outcomes, pooled = _cross_validate(dataset, resolved, folder, call)
        else:
            parts = split(dataset, resolved.split, resolved.split_seed, every_class=task.every_class)
            outcome, _ = train_one(parts, resolved, folder, call, fold=None)
            outcomes, pooled = [outcome], None
    return _result(folder.path, resolved, outcomes, pooled, watch, time.monotonic() - started)


def _result(
    run: Path, recipe: Recipe, outcomes: list[Outcome], pooled: dict[str, Any] | None, watch: Watch, seconds: float
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
    dataset: Dataset, recipe: Recipe, folder: RunFolder, call: Call
) -> tuple[list[Outcome], dict[str, Any]]:
    """A run for each fold; every picture is predicted once, by a network that never saw it."""
    task = task_named(recipe.task, dataset.classes)
    pooled = task.meter()
    outcomes = []
    validation = recipe.split[1] / (recipe.split[0] + recipe.split[1])
    parts_of_folds = folds(dataset, recipe.folds, recipe.split_seed, validation, every_class=task.every_class)
    if not folder.recipe.is_file() or not call.controls.goes_on:
        recipe = prepared(dataset, recipe, call).recipe
        with folder.beginning(recipes.as_toml(recipe)):
            pass
    for number, parts in enumerate(parts_of_folds, start=1):
        outcome, meter = train_one(parts, recipe, RunFolder(folder.path / f"fold-{number}"), call, fold=number)
        outcomes.append(outcome)
        pooled.merge(meter.state())
    figures = pooled.figures() | {"spread": spread([each.test or {} for each in outcomes], recipe.metric)}
    return outcomes, figures
