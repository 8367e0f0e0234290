"""What an answer is: for each task how targets are encoded, losses taken, outputs decoded, figures counted.

Training, evaluation, prediction and command line never ask which task it is; if they must, a method is missing here.
Offers TASKS, task_named, Task, Meter, Loss.
"""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from striate.base.errors import ModelFileError
from striate.base.nearest import did_you_mean

if TYPE_CHECKING:
    from striate.data.records import Classes
    from striate.tasks.task import Loss as Loss
    from striate.tasks.task import Meter as Meter
    from striate.tasks.task import Task as Task

__all__ = ["TASKS", "Loss", "Meter", "Task", "task_named"]

TASKS: Mapping[str, str] = {
    "classify": "striate.tasks.classify:Classify",
    "localize": "striate.tasks.localize:Localize",
    "detect": "striate.tasks.detect:Detect",
    "segment": "striate.tasks.segment:Segment",
    "upscale": "striate.tasks.upscale:Upscale",
}
"""Task name to ``module:class``."""

NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


def task_named(name: str, classes: "Classes", arguments: Mapping[str, Any] = NO_ARGUMENTS) -> "Task":
    """The task of this name over these classes, with the ``arguments`` that a model file keeps for it.

    Raises:
        ModelFileError: there is no such task in this version, or it has no such arguments.
    """
    if name not in TASKS:
        raise ModelFileError(f"there is no task {name!r}.{did_you_mean(name, TASKS)} Tasks: {', '.join(TASKS)}")
    module, _, attribute = TASKS[name].partition(":")
    try:
        task: Task = getattr(importlib.import_module(module), attribute).of(classes, arguments)
    except (KeyError, TypeError, ValueError) as error:
        given = ", ".join(map(str, arguments)) or "none"
        raise ModelFileError(f"the task {name} cannot be had with the arguments {given}: {_why(error)}") from None
    return task


def _why(error: Exception) -> str:
    """What is wrong with arguments; of several the first."""
    from pydantic import ValidationError

    from striate.data.names import quoted

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where} is {quoted(first['input'])}: {first['msg']}" if where else first["msg"]


def __getattr__(name: str) -> Any:
    if name not in ("Loss", "Meter", "Task"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("striate.tasks.task"), name)
