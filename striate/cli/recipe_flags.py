"""The recipe's fields as flags of the command line; nothing is written twice."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from striate import recipe as recipes
from striate.cli.sizes import SIZE, sides
from striate.recipe import SECTIONS, Recipe

OWN = ("stages", "size", *SECTIONS)
"""Fields that are no flag as they stand: stages come from a file, a size is one word, sections are taken apart."""


def _flag(owner: type, field: str, kind: Any, form: str = "") -> tuple[str, Any, Any]:
    help_text = recipes.description(owner, field) + (f"; {form}" if form else "")
    return (
        field,
        Annotated[kind | None, Parameter(help=help_text, negative_iterable="")],
        dataclasses.field(default=None),
    )


def _bare(annotation: Any) -> Any:
    """The type without the constraints, which the recipe checks itself, and without "or None"."""
    if typing.get_origin(annotation) is Annotated:
        return _bare(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is types.UnionType:
        (kind,) = (each for each in typing.get_args(annotation) if each is not type(None))
        return _bare(kind)
    if typing.get_origin(annotation) is tuple:
        return tuple[tuple(_bare(each) for each in typing.get_args(annotation))]  # type: ignore[misc]
    return annotation


def _flags() -> list[tuple[str, Any, Any]]:
    flags = [
        _flag(Recipe, f.name, _bare(Recipe.__annotations__[f.name]))
        for f in dataclasses.fields(Recipe)
        if f.name not in OWN
    ]
    flags.append(_flag(Recipe, "size", str, SIZE))
    for section in SECTIONS.values():
        flags += [_flag(section, f.name, _bare(section.__annotations__[f.name])) for f in dataclasses.fields(section)]
    return flags


RecipeFlags = dataclasses.make_dataclass("RecipeFlags", _flags(), frozen=True, kw_only=True)
"""All flags; None is one that the user did not give."""
RecipeFlags.__module__ = __name__


def changes_of(flags: Any) -> Mapping[str, Any]:
    """The values that the user gave, laid out as in a recipe's TOML."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(flags):
        value = getattr(flags, field.name)
        if value is None:
            continue
        if field.name == "size":
            value = sides(value)
        section = next((name for name, kind in SECTIONS.items() if field.name in kind.__annotations__), None)
        (changes.setdefault(section, {}) if section else changes)[field.name] = value
    return changes
