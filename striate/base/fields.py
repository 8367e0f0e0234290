"""Dataclasses that files keep: their values checked, and fields that came later than a file.

What is wrong is said in one sentence, with the nearest legal thing. What was written before a field came is read, and
hashed, as if the field had always been there.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from striate.base.errors import RecipeError
from striate.base.nearest import did_you_mean


@dataclasses.dataclass(frozen=True, slots=True)
class Later:
    """The mark of a field that came later: ``Annotated[int, Later(as_before=0), Field(...)] = 3``.

    ``as_before`` is the value with which all is as it was without the field ({} for a table of such fields). It is
    fixed for ever, whatever the default becomes. Of a field that may be None it is None, which TOML leaves out.
    """

    as_before: Any


@cache
def annotated(owner: type) -> Mapping[str, tuple[Any, ...]]:
    """Of each field of a dataclass, inherited ones too, the type and the notes at it: `Later`, pydantic's ``Field``."""
    hints = typing.get_type_hints(owner, include_extras=True)
    return {
        name: typing.get_args(hints[name]) if typing.get_origin(hints[name]) is typing.Annotated else (hints[name],)
        for name in (field.name for field in dataclasses.fields(owner))
    }


def came_later(owner: type) -> dict[str, Any]:
    """The fields of a dataclass that came later, each with the value that means "as before"."""
    fields = annotated(owner).items()
    return {name: note.as_before for name, (_, *notes) in fields for note in notes if isinstance(note, Later)}


def left_out(owner: type) -> dict[str, Any]:
    """The fields that a whole file may lack: those that came later, and those that may be None, with None."""
    fields = annotated(owner).items()
    return {name: None for name, (kind, *_) in fields if types.NoneType in typing.get_args(kind)} | came_later(owner)


def plain(value: Any) -> Any:
    """Dataclasses as dicts and tuples as lists, in all depths, without fields that came later and are as before."""
    if dataclasses.is_dataclass(value):
        kind: type = type(value)
        later = came_later(kind)
        fields = {name: plain(getattr(value, name)) for name in annotated(kind)}
        return {name: each for name, each in fields.items() if name not in later or each != plain(later[name])}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def refuse_unknown(names: Iterable[str], known: Iterable[str], source: str) -> None:
    """Raise RecipeError for the first name that is not known; ``source`` is where it stands."""
    for name in names:
        if name not in known:
            raise RecipeError(
                f"{source}: there is no field {name!r}.{did_you_mean(name, known)} Fields: {', '.join(known)}"
            )


def validated(kind: type, values: Mapping[str, Any], source: str, table: str = "") -> Any:
    """A dataclass from the values of its fields; ``table`` is its name in the file.

    Raises:
        RecipeError: a value is missing, of the wrong type or out of range.
    """
    try:
        # JSON in strict mode: no "10" for 10, but a list may stand for a tuple.
        return TypeAdapter(kind).validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise RecipeError(_explain(error, values, source, table)) from None
    except (RecipeError, ValueError) as error:  # of a dataclass that checks itself; a number of thousands of digits
        raise RecipeError(f"{source}: {error}") from None


def _explain(error: ValidationError, values: Mapping[str, Any], source: str, table: str) -> str:
    errors = error.errors(include_url=False)
    first = errors[0]
    place = _place(first["loc"], values)
    if first["type"] == "missing":
        return f"{source}: {'.'.join(part for part in (table, *map(str, first['loc'])) if part)} is missing"
    field = ".".join(part for part in (table, *place) if part)
    received = json.dumps(first.get("input"), default=str)
    alike = dict.fromkeys(each["msg"] for each in errors if _place(each["loc"], values) == place)
    said = ", or ".join(f"{text[0].lower()}{text[1:]}" for text in alike)
    return f"{source}: {field} is {received}: {said}"


def _place(loc: Iterable[Any], values: Any) -> tuple[str, ...]:
    """Where a value stands; what pydantic adds of the kinds that it may be of is left out."""
    place = []
    for part in loc:
        inside = range(len(values)) if isinstance(values, list | tuple) else values
        if not isinstance(inside, range | Mapping) or part not in inside:
            break
        place.append(str(part))
        values = values[part]
    return tuple(place)
