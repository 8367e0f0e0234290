"""The arguments of tasks as model files hold them, checked."""

from collections.abc import Collection, Mapping
from typing import Any

from striate.base.errors import ModelFileError
from striate.base.nearest import did_you_mean


def refuse_unknown(task: str, arguments: Mapping[str, Any], known: Collection[str]) -> None:
    """See that a task knows all arguments that a model file has for it.

    Raises:
        ModelFileError: it does not, so the file is from another version, or not sound.
    """
    for name in arguments:
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise ModelFileError(f"the task {task} has no argument {name!r}.{did_you_mean(name, known)} Here {there}")
