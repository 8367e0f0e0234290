"""From data and overrides to a resolved recipe, a network and how its pictures are prepared."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from striate import modelfile
from striate import recipe as recipes
from striate.base.errors import ModelError, RecipeError
from striate.base.nearest import did_you_mean
from striate.data import open_data
from striate.data.records import Dataset
from striate.models.checkpointing import refuse_blocks
from striate.models.network import Network
from striate.models.table import architecture
from striate.pictures.preprocess import Preprocess
from striate.recipe import Recipe
from striate.tasks import task_named
from striate.tasks.task import Task
from striate.training.precision import PrecisionName
from striate.training.stages import named_blocks
from striate.weights.create import create
from striate.weights.pretrained import has_pretrained, none_of, pretrained_part


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user asked for over the default recipe: values as read from TOML, and the whole number of epochs.

    ``source`` is what an error calls their origin.
    """

    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    epochs: int | None = None
    source: str = "the recipe"


def resolve(data: Dataset, overrides: Overrides) -> Recipe:
    """The recipe for these data: the task's default for them, with what the user asks for over it.

    Raises:
        RecipeError: something asked for is unknown, of the wrong type or out of range.
        ModelError: there is no such network.
    """
    name = overrides.values.get("task", data.task)
    recipes.settings_of(name, overrides.source)
    task = task_named(name, data.classes)
    model = str(overrides.values.get("model") or task.default_model(data))
    if (made_for := architecture(model).task) != task.network_task:  # a wrong name is said by `architecture`
        raise RecipeError(
            f"{overrides.source}: {model} is made for {made_for}, and the task is {name}; name another model, or leave "
            f"it out, which takes {task.default_model(data)}"
        )
    scratch = overrides.values.get("weights") == "none"
    default = dataclasses.replace(task.default_recipe(data, model, scratch=scratch), task=name, model=model)
    recipe = recipes.changed(default, overrides.values, source=overrides.source)
    if overrides.epochs is not None:
        if "stages" in overrides.values:
            raise RecipeError(
                f"{overrides.source}: has [[stages]], whose epochs --epochs cannot divide; give one of the two"
            )
        recipe = recipes.with_epochs(recipe, overrides.epochs)
    recipe = dataclasses.replace(recipe, metric=recipe.metric or task.metric)
    if recipe.metric not in task.directions:
        raise RecipeError(
            f"{overrides.source}: metric is {recipe.metric!r}.{did_you_mean(recipe.metric, task.directions)} "
            f"A run of {recipe.task} can be steered by {', '.join(task.directions)}"
        )
    if recipe.weights == "pretrained" and not has_pretrained(model):
        raise RecipeError(
            f"{overrides.source}: weights is 'pretrained', but {none_of(model)}. "
            f"With weights = 'none' it trains from scratch"
        )
    return recipe


def default_batch(data: Dataset, recipe: Recipe, task: Task) -> int:
    """The batch that the task takes for these data and this network when the user says nothing."""
    return task.default_recipe(data, recipe.model, scratch=recipe.weights == "none").batch


def differences(saved: Recipe, overrides: Overrides) -> list[str]:
    """The fields in which the user asks for something else than a run's saved recipe.

    A frozen "body" and the frozen blocks that the saved recipe has for it are the same, and so are a batch and blocks
    that are left to the run and those that it chose when it began.

    Raises:
        RecipeError: something asked for is unknown, of the wrong type or out of range.
    """
    asked = recipes.changed(saved, overrides.values, source=overrides.source)
    named = [stage.freeze for stage in saved.stages]
    stages = [
        dataclasses.replace(stage, freeze=frozen) if stage.freeze == (recipes.BODY,) and frozen else stage
        for stage, frozen in zip(asked.stages, [*named, *[()] * len(asked.stages)], strict=False)
    ]
    asked = dataclasses.replace(asked, stages=tuple(stages), metric=asked.metric or saved.metric)
    if asked.batch_size == recipes.AUTO:  # what was chosen when the run began stays
        asked = dataclasses.replace(asked, batch_size=saved.batch_size)
    if asked.checkpoint_blocks == (recipes.AUTO,):
        asked = dataclasses.replace(asked, checkpoint_blocks=saved.checkpoint_blocks)
    if saved.data.format is None:  # A format is told where it must be, and other pictures have another fingerprint.
        asked = dataclasses.replace(asked, data=dataclasses.replace(asked.data, format=None))
    different = [f.name for f in dataclasses.fields(Recipe) if getattr(asked, f.name) != getattr(saved, f.name)]
    different = [saved.task if name == "settings" else name for name in different]
    return different + (["epochs"] if overrides.epochs not in (None, saved.epochs) else [])


def preprocess_for(data: Dataset, recipe: Recipe) -> Preprocess:
    """How pictures are prepared: as the weights want it (else the network's own way), with the recipe's size and fit.

    Pictures of other than 1 or 3 bands keep their bands; each is normalised alike.
    """
    pretrained = pretrained_part(recipe.model) if recipe.weights == "pretrained" else None
    preprocess = (pretrained or architecture(recipe.model)).preprocess
    preprocess = dataclasses.replace(
        preprocess, size=recipe.size or preprocess.size, resize=recipe.fit or preprocess.resize
    )
    if data.channels not in (1, 3):
        bands = data.channels
        mean = sum(preprocess.mean) / len(preprocess.mean)
        scale = sum(preprocess.scale) / len(preprocess.scale)
        preprocess = dataclasses.replace(preprocess, channels=bands, mean=(mean,) * bands, scale=(scale,) * bands)
    return preprocess


def network_for(
    data: Dataset,
    recipe: Recipe,
    task: Task,
    preprocess: Preprocess,
    on_notice: Callable[[str], None] | None = None,
) -> Network:
    """The network, its fresh weights drawn from the recipe's seed; ``on_notice`` is told before any are fetched.

    Raises:
        RecipeError: pictures of the recipe's size, or batches of one, do not fit it.
    """
    torch.default_generator.manual_seed(recipe.seed)
    network = create(
        recipe.model,
        classes=len(data.classes),
        weights="pretrained" if recipe.weights == "pretrained" else None,
        in_channels=preprocess.count,
        arguments=task.network_arguments,
        on_notice=on_notice,
    )
    if network.size is not None and network.size != preprocess.size:
        (height, width), (given_height, given_width) = network.size, preprocess.size
        raise RecipeError(
            f"size is {given_height}x{given_width}, but {recipe.model} takes pictures of {height}x{width} alone; "
            f"leave the size out, or take a network that fits any, such as resnet18"
        )
    if network.size is not None and preprocess.resize == "none":
        raise RecipeError(
            f'fit is "none", which leaves pictures in their own pixels, but {recipe.model} takes pictures of '
            f"{network.size[0]}x{network.size[1]} alone; take crop, stretch or letterbox"
        )
    if recipe.batch_size == 1 and _norms_see_one_number(network, preprocess.size):
        height, width = preprocess.size
        raise RecipeError(
            f"batch_size is 1 and size {height}x{width}: the last batch norms of {recipe.model} would each see a "
            f"single number, which has no spread; give a batch_size of 2 or more, or a larger size"
        )
    return network


def _norms_see_one_number(network: Network, size: tuple[int, int]) -> bool:
    """Whether the coarsest maps of one picture are 1x1 and are normalised over the batch."""
    normalised = any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    return normalised and all(side <= info.stride for side in size for info in network.feature_info[-1:])


def complete(recipe: Recipe, network: Network, preprocess: Preprocess, precision: PrecisionName) -> Recipe:
    """The recipe with nothing left to a rule but what memory decides: size, fit, precision and names of frozen blocks.

    Raises:
        RecipeError: it names blocks that the network does not have, or freezes all of them.
    """
    recipe = dataclasses.replace(recipe, size=preprocess.size, fit=preprocess.resize, precision=precision)
    try:
        if recipe.checkpoint_blocks != (recipes.AUTO,):
            refuse_blocks(network, recipe.checkpoint_blocks)
    except ModelError as error:
        raise RecipeError(f"checkpoint_blocks for {recipe.model}: {error}; leave it out to keep everything") from None
    return named_blocks(recipe, network)


def description_for(
    data: Dataset, fingerprint: str, recipe: Recipe, task: Task, preprocess: Preprocess, fold: int | None
) -> modelfile.Description:
    """What the run's model file will say of itself."""
    from striate import __version__

    pretrained = pretrained_part(recipe.model) if recipe.weights == "pretrained" else None
    return modelfile.Description(
        model=recipe.model,
        arguments={"classes": len(data.classes), "in_channels": preprocess.count, **task.network_arguments},
        task=task.name,
        task_arguments=task.arguments,
        data=recipe.data,
        classes=data.classes,
        preprocess=preprocess,
        provenance={
            "data": fingerprint,
            "split": list(recipe.split),
            "split_seed": recipe.split_seed,
            "fixed_splits": data.fixed_splits,
            "folds": recipe.folds,
            "fold": fold,
            "recipe": recipe.hash,
            "version": __version__,
            "licence": pretrained.licence if pretrained else None,
        },
    )


def asked_for(
    recipe: Recipe | Path | str | None,
    changes: Mapping[str, Any] | None,
    *,
    model: str | None = None,
    task: str | None = None,
    format: str | None = None,
    epochs: int | None = None,
) -> Overrides:
    """What a caller of a public verb asks for by its arguments, which go over ``changes``, and these over the recipe.

    Raises:
        RecipeError: the recipe file cannot be read.
    """
    named: dict[str, Any] = {name: value for name, value in (("model", model), ("task", task)) if value is not None}
    if format is not None:
        named["data"] = {**(changes or {}).get("data", {}), "format": format}
    return overrides_from(recipe, {**(changes or {}), **named}, epochs)


def opened(data: Path, overrides: Overrides, saved: Recipe | None = None, *, skip_unreadable: bool = False) -> Dataset:
    """The data, read as is asked, over what the ``saved`` recipe of a run that goes on says.

    Raises:
        StriateError: they cannot be read so.
    """
    told = {name: table for name, table in overrides.values.items() if name == "data"}
    settings = recipes.changed(saved or Recipe(), told, source=overrides.source).data
    task = overrides.values.get("task", saved and saved.task)
    return open_data(data, format=settings.format, settings=settings, task=task, skip_unreadable=skip_unreadable)


def overrides_from(recipe: Recipe | Path | str | None, changes: Mapping[str, Any], epochs: int | None) -> Overrides:
    """What the user asks for, from a recipe (or its file) and changes over it.

    Raises:
        RecipeError: the recipe file cannot be read.
    """
    if recipe is None:
        return Overrides(changes, epochs)
    if isinstance(recipe, Recipe):
        values: dict[str, Any] = dataclasses.asdict(recipe)
        source = "the recipe"
    else:
        values = recipes.read_toml(Path(recipe))
        source = str(recipe)
    for name, value in changes.items():
        both_tables = isinstance(value, Mapping) and isinstance(values.get(name), Mapping)
        values[name] = {**values[name], **value} if both_tables else value
    return Overrides(values, epochs, source)
