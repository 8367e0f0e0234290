"""The recipe's fields as flags of the command line; nothing is written twice."""

import dataclasses
import functools
import operator
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from striate import recipe as recipes
from striate.base.fields import annotated
from striate.cli.sizes import SIZE, sides
from striate.recipe import SECTIONS, SETTINGS, Recipe

OWN = ("stages", "settings", *SECTIONS)
"""Fields that are no flag as they stand: stages come from a file, the others are tables, which are taken apart."""


def all_flags() -> type:
    """The dataclass of all flags, for the tasks that there are now; None is one that the user did not give."""
    return _made(tuple(SETTINGS.items()))


@functools.cache
def _made(tasks: Sequence[tuple[str, type]]) -> type:
    owners: dict[str, dict[str, type]] = {}
    for table, kind in (("", Recipe), *SECTIONS.items(), *tasks):
        for name in annotated(kind):
            owners.setdefault(name, {})[table] = kind
            if len(owners[name]) > 1 and not owners[name].keys() <= dict(tasks).keys():
                raise TypeError(f"{kind.__name__}.{name} is called like another field of the recipe; only tasks share")
    flags = [_flag(name, owners[name]) for name in owners if name not in OWN]
    made = dataclasses.make_dataclass("RecipeFlags", flags, frozen=True, kw_only=True)
    made.__module__ = __name__
    return made


def _flag(name: str, owners: Mapping[str, type]) -> tuple[str, Any, Any]:
    """The flag for a field that one table has, or several tasks, with what it means for each."""
    meanings = {table: recipes.description(owner, name) for table, owner in owners.items()}
    text = "; ".join(f"{task}: {each}" for task, each in meanings.items())
    if len(set(meanings.values())) == 1:
        (text,) = set(meanings.values())
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
