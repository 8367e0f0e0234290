"""Training: stages, the loop, checkpoints, the run folder.

Yields events and prints nothing; whoever called decides what a person sees.
Offers train and Result; what a run tells is in `events`, how a recipe is resolved for data in `resolving`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.training.result import Result as Result
    from striate.training.run import train as train

__all__ = ["Result", "train"]

_HOMES = {"Result": "result", "train": "run"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
