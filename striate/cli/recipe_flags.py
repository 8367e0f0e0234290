"""The recipe's fields as flags of the command line; nothing is written twice."""

import dataclasses
import functools
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from striate import recipe as recipes
from striate.base.fields import annotated
from striate.cli.sizes import SIZE, sides
from striate.data.records import Classes
from striate.data.settings import OF_SPLITS, DataSettings
from striate.data.sources import SOURCES
from striate.recipe import SECTIONS, Recipe
from striate.task_settings import SETTINGS
from striate.tasks import task_named

OWN = ("stages", "settings", *SECTIONS)
"""Fields that are no flag as they stand: stages come from a file, the others are tables, which are taken apart."""


def _metrics() -> list[str]:
    """The figures that ``metric`` may name; of several tasks, whose they are."""
    figures = {task: list(task_named(task, Classes(())).directions) for task in SETTINGS}
    return [f"{' '.join(names)} ({task})" if len(figures) > 1 else ", ".join(names) for task, names in figures.items()]


BATCHES = ("a number", "or auto for as many as fit into memory, chosen once")
CHOICES: Mapping[str, Callable[[], Iterable[str]]] = {
    "batch_size": lambda: BATCHES,
    "format": lambda: SOURCES,
    "metric": _metrics,
}
"""Fields whose values are not to be seen from their types, and those."""


def all_flags() -> type:
    """The dataclass of all flags, for the tasks that there are now; None is one that the user did not give."""
    return _made(tuple(SETTINGS.items()))


@functools.cache
def data_flags() -> type:
    """The dataclass of those flags that say how data are read which are not to be split."""
    flags = [_flag(name, {"data": DataSettings}, {}) for name in annotated(DataSettings) if name not in OF_SPLITS]
    made = dataclasses.make_dataclass("DataFlags", flags, frozen=True, kw_only=True)
    made.__module__ = __name__
    return made


@functools.cache
def _made(tasks: Sequence[tuple[str, type]]) -> type:
    owners: dict[str, dict[str, type]] = {}
    for table, kind in (("", Recipe), *SECTIONS.items(), *tasks):
        for name in annotated(kind):
            owners.setdefault(name, {})[table] = kind
            if len(owners[name]) > 1 and not owners[name].keys() <= dict(tasks).keys():
                raise TypeError(f"{kind.__name__}.{name} is called like another field of the recipe; only tasks share")
    flags = [_flag(name, owners[name], dict(tasks)) for name in owners if name not in OWN]
    made = dataclasses.make_dataclass("RecipeFlags", flags, frozen=True, kw_only=True)
    made.__module__ = __name__
    return made


def _flag(name: str, owners: Mapping[str, type], tasks: Mapping[str, type]) -> tuple[str, Any, Any]:
    """The flag for a field that one table has, or several tasks, with what it means for each."""
    meanings: dict[str, list[str]] = {}
    for table, owner in owners.items():
        meanings.setdefault(recipes.description(owner, name), []).append(table)
    text = "; ".join(
        f"{', '.join(tables)}: {each}" if tables[0] in tasks else each for each, tables in meanings.items()
    )
    if name in CHOICES:
        text = f"{text}: {', '.join(CHOICES[name]())}"
    kind = functools.reduce(operator.or_, (_bare(annotated(owner)[name][0]) for owner in owners.values()))
    if name == "task":
        kind = Literal[tuple(SETTINGS)]
    if name == "size":
        kind, text = str, f"{text}; {SIZE}"
    return name, Annotated[kind | None, Parameter(help=text, negative_iterable="")], dataclasses.field(default=None)


def _bare(annotation: Any) -> Any:
    """The type without the constraints, which the recipe checks itself, and without "or None"."""
    arguments = typing.get_args(annotation)
    match typing.get_origin(annotation):
        case typing.Annotated:
            return _bare(arguments[0])
        case types.UnionType | typing.Union:
            return functools.reduce(operator.or_, (_bare(each) for each in arguments if each is not types.NoneType))
        case kind if kind is tuple:
            return tuple[tuple(_bare(each) for each in arguments)]  # type: ignore[misc]
    return annotation


def changes_of(flags: Any) -> Mapping[str, Any]:
    """The values that the user gave, laid out as `striate.recipe.changed` takes them.

    Settings of a task stand under "settings", since it may be the data that say which task it is.
    """
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(flags) if flags else ():
        value = getattr(flags, field.name)
        if value is None:
            continue
        if field.name == "size":
            value = sides(value)
        table = next((name for name, kind in SECTIONS.items() if field.name in annotated(kind)), "settings")
        (changes if field.name in annotated(Recipe) else changes.setdefault(table, {}))[field.name] = value
    return changes
