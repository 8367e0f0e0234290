"""Options that are not there or not so, in words of ours where cyclopts' own would mislead."""

import dataclasses
import typing
from collections.abc import Iterable, Mapping

from cyclopts import CoercionError, CycloptsError, UnknownOptionError

from striate.base.fields import annotated
from striate.cli.verbs import OTHER_WORDS
from striate.task_settings import SETTINGS

OF_STAGES: Mapping[str, str] = {
    "--lr": "the rate",
    "--learning-rate": "the rate",
    "--rate": "the rate",
    "--freeze": "what is frozen",
}
"""Options that other programs have for what is a field of a stage, and its name."""
STAGES = "is a field of the recipe's [[stages]]: edit a run's recipe.toml and give it to --recipe"

EXPECTED: Mapping[str, str] = {"batch_size": "a whole number, or auto"}
"""Options that take one thing or another, and which."""


def explained(error: CycloptsError) -> str | None:
    """What to say instead of cyclopts' own sentence; None where that is good."""
    if isinstance(error, UnknownOptionError):
        word = (error.token.keyword or error.token.value).partition("=")[0]
        trains = "train" in (error.command_chain or ())
        if trains and word in OF_STAGES:
            return f"{word}: {OF_STAGES[word]} {STAGES}"
        ours = _ours(word, [name for each in error.argument_collection for name in each.names])
        return f"{word}: is called {ours} here" if ours else None
    if isinstance(error, CoercionError) and error.argument is not None and error.token is not None:
        name = error.argument.name.lstrip("-").replace("-", "_")
        if name in EXPECTED:
            return f"{error.argument.name} is {error.token.value}; expected {EXPECTED[name]}"
        return _choices(name, error.token.value)
    return None


def _ours(word: str, offered: Iterable[str]) -> str | None:
    """What an option of other programs is called here, if the verb has it."""
    theirs = word.lstrip("-").replace("-", "_")
    flags = [f"--{ours.replace('_', '-')}" for ours, words in OTHER_WORDS.items() if theirs in words.split()]
    return next((flag for flag in flags if flag in offered), None)


def _choices(name: str, value: str) -> str | None:
    """Of a setting that several tasks have, whose choices are which, and which task has weights instead."""
    choices = {task: values for task, kind in SETTINGS.items() if (values := _literals(kind, name))}
    if len(choices) < 2:
        return None
    said = [f"{task} takes {' or '.join(values)}" for task, values in choices.items()]
    for task, kind in SETTINGS.items():
        weights = {field.name: field.default for field in dataclasses.fields(kind) if field.name.endswith("_weight")}
        if name == "loss" and 0 in weights.values():  # some losses count only where somebody asks for them
            flags = [f"--{each.replace('_', '-')}" for each in weights]
            said.append(f"{task} has a weight for each loss, {', '.join(flags)}")
    return f"--{name.replace('_', '-')} is {value!r}: {'; '.join(said)}"


def _literals(kind: type, name: str) -> Iterable[str]:
    fields = annotated(kind)
    return tuple(map(str, _literal_values(fields[name][0]))) if name in fields else ()


def _literal_values(hint: object) -> Iterable[object]:
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    return [value for each in typing.get_args(hint) for value in _literal_values(each)]
