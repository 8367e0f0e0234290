"""The recipe: one frozen value that describes a training run completely, in TOML and out again.

A run folder's ``recipe.toml`` holds the resolved recipe, also what a rule chose, and runs the same run again.
"""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from striate.base.errors import RecipeError
from striate.base.fields import Later, annotated, came_later, left_out, plain, refuse_unknown, validated
from striate.base.nearest import did_you_mean
from striate.base.ranges import MOST, Fraction, NotNegative, Positive, Seed, Side, Whole
from striate.data.augmentation import Augmentation
from striate.data.names import printable
from striate.data.settings import DataSettings
from striate.task_settings import SETTINGS

BODY = "body"
"""In ``freeze``: every block but the head. A resolved recipe names the blocks themselves."""

AUTO: Literal["auto"] = "auto"
"""As ``batch_size``, or as ``checkpoint_blocks`` (or alone in it): what the memory allows. A resolved recipe has a
number, and names.
"""


def _alone(value: Any) -> Any:
    if value == AUTO:
        return (value,)
    return tuple(value) if isinstance(value, list) else value  # which is what a list of TOML stands for


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of training, with its own warm-up and its own cosine to the end."""

    epochs: Annotated[Whole, Field(description="passes over the training pictures, 1 or more")]
    rate: Annotated[Positive, Field(description="highest learning rate of the stage, above 0")]
    body_rate: Annotated[
        Positive, Later(as_before=1.0), Field(description="rate of every block but the head, over that of the head")
    ] = 1.0
    freeze: Annotated[
        tuple[str, ...], Field(description='names of blocks that do not learn; "body" is every block but the head')
    ] = ()
    keep_statistics: Annotated[
        bool, Field(description="batch norms use the running statistics that the weights came with, and keep them")
    ] = False
    mosaic: Annotated[
        bool, Later(as_before=True), Field(description="whether the stage's epochs count among those of mosaics")
    ] = True
    warmup: Annotated[
        Fraction, Field(description="part of the stage's steps in which the rate rises to its highest, 0 to 1")
    ] = 0.1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run computes.

    ``settings`` are its own task's, of the class that `SETTINGS` says (None gives the defaults); in TOML their table is
    called after the task. ``metric`` "" is the task's own, which a resolved recipe names.

    Raises:
        RecipeError: there is no such task, or the settings are another's.
    """

    task: Annotated[str, Field(description="what an answer is")] = "classify"
    model: Annotated[str, Field(description="name of the network; `striate models` lists them")] = "efficientnet_lite0"
    weights: Annotated[
        Literal["pretrained", "none"],
        Field(description='where the weights start: "pretrained" or "none" (from scratch)'),
    ] = "none"
    size: Annotated[
        tuple[Side, Side] | None, Field(description="height and width in pixels of what the network gets")
    ] = None
    fit: Annotated[
        Literal["crop", "stretch", "letterbox", "none"] | None,
        Field(description="how a picture of another shape is made to fit that size"),
    ] = None
    seed: Annotated[Seed, Field(description="seed of the weights, the order and the augmentation")] = 0
    split: Annotated[
        tuple[Fraction, Fraction, Fraction],
        Field(description="parts for training, validation and test, where the folders do not say"),
    ] = (0.8, 0.1, 0.1)
    split_seed: Annotated[Seed, Field(description="seed of the split")] = 0
    folds: Annotated[
        int, Field(ge=0, le=100, description="0, or the number of runs of a cross-validation, 2 or more")
    ] = 0
    batch_size: Annotated[Whole | Literal["auto"], Field(description="pictures in one batch")] = 32
    accumulate: Annotated[Whole, Field(description="batches whose gradients are summed before one step")] = 1
    optimizer: Annotated[Literal["sgd", "adamw"], Field(description="the optimizer")] = "sgd"
    momentum: Annotated[Fraction, Field(description="momentum of SGD (Nesterov's), or AdamW's beta 1, 0 to 1")] = 0.9
    weight_decay: Annotated[
        NotNegative, Field(description="weight decay of kernels and matrices; biases and norms have none")
    ] = 0.0001
    rate_floor: Annotated[Fraction, Field(description="part of the rate that is left when a stage ends, 0 to 1")] = 0.0
    clip_norm: Annotated[NotNegative, Field(description="largest norm of the gradient; 0 does not clip")] = 0.0
    ema_decay: Annotated[
        Fraction, Field(description="decay of the averaged weights, which are what is evaluated and saved; 0: none")
    ] = 0.0
    metric: Annotated[
        str, Field(description="the validation figure by which an epoch is kept and patience is counted")
    ] = ""
    patience: Annotated[
        int, Field(ge=0, description="epochs without a better figure after which training stops; 0: never")
    ] = 0
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(description='"auto" takes bfloat16 where this processor gains; losses and statistics stay in float32'),
    ] = "auto"
    checkpoint_blocks: Annotated[
        tuple[str, ...],
        BeforeValidator(_alone),
        Later(as_before=()),
        Field(
            description="names of blocks that backward computes again instead of keeping their maps: less memory; "
            '"auto" takes those that make the batch fit, none where it does'
        ),
    ] = ()
    log_every: Annotated[Whole, Field(description="steps between two lines of metrics.jsonl")] = 20
    save_every: Annotated[Positive, Field(description="seconds between two checkpoints within an epoch")] = 60.0
    data: Annotated[DataSettings, Later(as_before={}), Field(description="how the data are read")] = DataSettings()
    augment: Annotated[Augmentation, Field(description="random changes of the training pictures")] = Augmentation()
    settings: Annotated[Any, Field(description="the task's own settings")] = None
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, description="the stages, one after the other")] = (
        Stage(epochs=10, rate=0.05),
    )

    def __post_init__(self) -> None:
        kind = settings_of(self.task)
        if self.settings is None:
            object.__setattr__(self, "settings", kind())
        if not isinstance(self.settings, kind):
            found = type(self.settings).__name__
            raise RecipeError(f"settings: {found} given, but those of the task {self.task!r} are {kind.__name__}")

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def batch(self) -> int:
        """Pictures in one batch.

        Raises:
            RecipeError: that is left to the run.
        """
        if self.batch_size == AUTO:
            raise RecipeError("batch_size is 'auto', which a run replaces by a number when it begins")
        return self.batch_size

    @property
    def hash(self) -> str:
        """Hexadecimal sha256 of the recipe's values, which a model file carries."""
        return hash_of(self)


SECTIONS: Mapping[str, type] = {"data": DataSettings, "augment": Augmentation}
"""The sub-tables of a recipe beside its task's; their fields are flags of the command line like the recipe's own."""


def settings_of(task: object, source: str = "the recipe") -> type:
    """The dataclass of a task's settings.

    Raises:
        RecipeError: there is no such task.
    """
    if not isinstance(task, str) or task not in SETTINGS:
        near = did_you_mean(str(task), SETTINGS)
        raise RecipeError(f"{source}: there is no task {task!r}.{near} Tasks: {', '.join(SETTINGS)}")
    return SETTINGS[task]


def hash_of(recipe: Recipe, stages: Sequence[Mapping[str, Any]] | None = None) -> str:
    """Hexadecimal sha256 of a recipe's values, or of those with other ``stages``.

    A field that came later is left out while it is as before, so that it changes no hash of before.
    """
    values = plain(recipe)
    values[recipe.task] = values.pop("settings")
    if stages is not None:
        values["stages"] = stages
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def changed(recipe: Recipe, changes: Mapping[str, Any], *, source: str = "the recipe") -> Recipe:
    """The recipe with some values changed; sub-tables are merged, ``stages`` is replaced as a whole.

    Args:
        changes: as read from TOML: ``{"batch_size": 64, "augment": {"flip": False}}``; "settings" is the table of
            whatever task the recipe comes to have. Another task begins with its own defaults.
        source: what to call the origin of the changes in an error.

    Raises:
        RecipeError: an unknown task or key (with did-you-mean), another task's table, a wrong type, or a value out of
            range.
    """
    task = changes.get("task", recipe.task)
    tables = {**SECTIONS, task: settings_of(task, source)}
    values = dataclasses.asdict(recipe)
    settings = values.pop("settings")
    values[task] = settings if task == recipe.task else {}
    if others := [name for name in changes if name in SETTINGS and name != task]:
        raise RecipeError(f'{source}: has a table [{others[0]}], but the task is "{task}"; leave one of the two out')
    for name, value in changes.items():
        if name != "settings" and name not in values and (place := _place(name, value, tables)):
            raise RecipeError(f"{source}: there is no field {name!r} at this level. {place}")
    refuse_unknown([name for name in changes if name != "settings"], values, source)
    for name, value in changes.items():
        table, where = (task, f'task "{task}"') if name == "settings" else (name, f"table [{name}]")
        if table not in tables:
            values[name] = value
        elif isinstance(value, Mapping):
            refuse_unknown(value, annotated(tables[table]), f"{source}, {where}")
            values[table] |= value
        else:
            raise RecipeError(f"{source}: {name} is {json.dumps(value, default=str)}; expected a table, [{name}]")
    stages = values["stages"]
    for stage in stages if isinstance(stages, list | tuple) else ():
        if isinstance(stage, Mapping):
            refuse_unknown(stage, annotated(Stage), f"{source}, table [[stages]]")
    settings = validated(tables[task], values.pop(task), source, task)
    result: Recipe = dataclasses.replace(validated(Recipe, values, source), settings=settings)
    if abs(sum(result.split) - 1.0) > 1e-6:
        raise RecipeError(f"{source}: split is {list(result.split)}, which sums to {sum(result.split):g} instead of 1")
    if not (result.split[0] and result.split[1]):
        raise RecipeError(
            f"{source}: split is {list(result.split)}; training and validation need a share (the best epoch is chosen "
            f"by the validation figure), only the test may have none"
        )
    if result.folds == 1:
        raise RecipeError(f"{source}: folds is 1; a cross-validation needs 2 or more, and 0 means none")
    return result


_OF_STAGES = {
    **dict.fromkeys(("lr", "learning_rate", "rate"), "the rate"),
    "body_rate": "the body's rate",
    "warmup": "the warm-up",
    "freeze": "what is frozen",
}


def _place(name: str, value: Any, tables: Mapping[str, type]) -> str | None:
    """Where a field stands that is looked for among the recipe's own, if it is one of a stage's or a table's."""
    if name in _OF_STAGES:
        return (
            f"{_OF_STAGES[name].capitalize()} is a field of the recipe's [[stages]]: edit a run's recipe.toml and give "
            'it as the recipe, or all stages: {"stages": [{"epochs": 10, "rate": 0.01}]}'
        )
    own = [(table, field) for table, kind in tables.items() for field in annotated(kind)]
    own += [(task, field) for task, kind in SETTINGS.items() if task not in tables for field in annotated(kind)]
    for table, field in own:
        if field == name:
            said = json.dumps(value) if isinstance(value, str) else repr(value)
            return f'Did you mean {table}.{name}: {{"{table}": {{"{name}": {said}}}}}?'
    return None


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with ``epochs`` in all: the last stage takes what the earlier ones leave, and at least half.

    With fewer epochs than stages the last stages are left out, so that one epoch trains the head alone.

    Raises:
        RecipeError: less than one epoch, or more than a recipe takes.
    """
    if epochs < 1:
        raise RecipeError(f"epochs is {epochs}; give at least 1")
    _refuse_endless(epochs)
    *earlier, last = recipe.stages[:epochs]
    left = epochs
    stages = []
    for position, stage in enumerate(earlier):
        most = max(1, left // 2 - (len(earlier) - position - 1))
        stages.append(dataclasses.replace(stage, epochs=min(stage.epochs, most)))
        left -= stages[-1].epochs
    return dataclasses.replace(recipe, stages=(*stages, dataclasses.replace(last, epochs=left)))


def cut(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe's first ``epochs`` epochs (all of it if it has no more)."""
    stages = []
    for stage in recipe.stages:
        if epochs > 0:
            stages.append(dataclasses.replace(stage, epochs=min(stage.epochs, epochs)))
        epochs -= stage.epochs
    return dataclasses.replace(recipe, stages=tuple(stages))


def extended(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with a tail: one more stage, which learns what the last one did at a tenth of its rate.

    Raises:
        RecipeError: more epochs than a recipe takes.
    """
    _refuse_endless(epochs)
    last = recipe.stages[-1]
    tail = dataclasses.replace(last, epochs=epochs, rate=last.rate / 10, warmup=0.0)
    if recipe.augment.mosaic:
        tail = dataclasses.replace(tail, mosaic=False)
    return dataclasses.replace(recipe, stages=(*recipe.stages, tail))


def _refuse_endless(epochs: int) -> None:
    if epochs > MOST:
        raise RecipeError(f"epochs is {epochs}; a recipe takes {MOST} at most")


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a recipe file, not yet validated.

    A whole recipe, as runs write it, is the same run for ever: what came later than it is as before.

    Raises:
        RecipeError: the file cannot be read or is not TOML.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{printable(path)}: cannot be read as a recipe: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # also of numbers with thousands of digits
        raise RecipeError(f"{printable(path)}: is not TOML: {error}") from None
    whole = {"settings", *left_out(Recipe), *values} >= annotated(Recipe).keys()
    return _filled(values, came_later, printable(path)) if whole else values


def load(path: Path) -> Recipe:
    """A run's own recipe from its file; what the file lacks because it came later, or was None, is so again.

    Raises:
        RecipeError: the file cannot be read, is not TOML, or holds what a recipe does not have.
    """
    source = printable(path)
    return changed(Recipe(), _filled(read_toml(path), left_out, source), source=source)


def _filled(values: Mapping[str, Any], lacking: Callable[[type], dict[str, Any]], source: str) -> dict[str, Any]:
    """The values of a file, in all tables with those fields that it lacks."""
    filled = lacking(Recipe) | dict(values)
    task = values.get("task", Recipe.task)
    for name, owner in {**SECTIONS, task: settings_of(task, source)}.items():
        if isinstance(table := filled.get(name, {}), dict):
            filled[name] = lacking(owner) | table
    if isinstance(stages := filled.get("stages"), list):
        filled["stages"] = [lacking(Stage) | stage if isinstance(stage, dict) else stage for stage in stages]
    return filled


def as_toml(recipe: Recipe) -> str:
    """The recipe as TOML, each field under a comment that says what it is."""
    values = dataclasses.asdict(recipe)
    stages = values.pop("stages")
    values[recipe.task] = values.pop("settings")
    tables = {**SECTIONS, recipe.task: type(recipe.settings)}
    lines = ["# A Striate recipe: `striate train DATA --recipe FILE` runs it again."]
    lines += _table({name: value for name, value in values.items() if name not in tables}, Recipe)
    for name, owner in tables.items():
        if rows := _table(values[name], owner):
            lines += ["", f"[{name}]", *rows]
    for position, stage in enumerate(stages):
        lines += ["", "[[stages]]", *_table(stage, Stage, comments=position == 0)]
    return "\n".join(lines) + "\n"


def description(owner: type, field: str) -> str:
    """What a field of a recipe (or of one of its sub-tables) is: the sentence that help and TOML show."""
    for note in annotated(owner)[field]:
        text = getattr(note, "description", None)
        if text:
            return str(text)
    raise LookupError(f"{owner.__name__}.{field} has no description")


def _table(values: Mapping[str, Any], owner: type, *, comments: bool = True) -> list[str]:
    lines = []
    for name, value in values.items():
        if value is None:  # TOML has no null; an unresolved field is left out.
            continue
        if comments:
            lines.append(f"# {description(owner, name)}")
        lines.append(
            tomli_w.dumps({name: value}, multiline_strings=False).strip().replace("\n    ", " ").replace("\n", " ")
        )
    return lines
