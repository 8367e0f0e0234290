"""Whole numbers on the command line are whole: cyclopts would take 2.5 for 2, and 1.9 for 2."""

import types
import typing
from collections.abc import Iterator
from typing import Any

from cyclopts import App, ArgumentCollection

from striate.base.errors import RecipeError


def refuse_fractions(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """See that options of whole numbers were given such; called by cyclopts before it makes numbers of words.

    Raises:
        RecipeError: one was given a fraction.
    """
    for argument in arguments:
        if set(_kinds(argument.hint)) != {int}:
            continue
        for token in argument.tokens:
            if _is_fraction(token.value):
                raise RecipeError(f"{token.keyword or argument.name} is {token.value}; expected a whole number")


def _is_fraction(word: str) -> bool:
    try:
        return not float(word).is_integer()
    except ValueError:
        return False


def _kinds(hint: Any) -> Iterator[type]:
    """What an option's words are made into, each once or more often, but for "none" and words that mean themselves."""
    arguments = typing.get_args(hint)
    match typing.get_origin(hint):
        case typing.Annotated:
            yield from _kinds(arguments[0])
        case typing.Literal:
            yield from (type(word) for word in arguments if not isinstance(word, str))  # words stand beside numbers
        case types.UnionType | typing.Union:
            for each in arguments:
                if each is not types.NoneType:
                    yield from _kinds(each)
        case kind if kind is tuple:
            for each in arguments:
                yield from _kinds(each)
        case _:
            yield hint
