"""Striate takes a folder of photographs to a convolutional network that answers.

    >>> import striate
    >>> result = striate.train("photos", epochs=12)              # doctest: +SKIP
    >>> predictor = striate.load(result.run / "model.safetensors")  # doctest: +SKIP
    >>> predictor("dog.jpg").name                                # doctest: +SKIP
    'dog'

Names are resolved on first use, so that importing the package loads neither torch nor numpy; so are the rooms
`striate.layers`, `striate.ops`, `striate.models`, `striate.data` and `striate.weights`.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_OFFERS = {
    "train": "striate.cli.watched",
    "evaluate": "striate.evaluation",
    "show": "striate.showing",
    "load": "striate.predictor",
    "create": "striate.weights.create",
    "import_weights": "striate.importing.weights",
    "plan": "striate.planning.planning",
    "Plan": "striate.planning.plan",
    "MODELS": "striate.models.table",
    "Recipe": "striate.recipe",
    "Stage": "striate.recipe",
    "Result": "striate.training.result",
    "Predictor": "striate.predictor",
    "Augmentation": "striate.data.augmentation",
    "ClassifySettings": "striate.task_settings",
    "open_data": "striate.data.sources",
    "Preprocess": "striate.pictures.preprocess",
    "StriateError": "striate.base.errors",
}

_VERBS = ("train", "evaluate", "show", "load", "create", "import_weights", "open_data", "plan")
_ROOMS = ("data", "layers", "models", "ops", "weights")

__all__ = [*_OFFERS, "__version__"]  # noqa: PLE0604 - all are strings

if TYPE_CHECKING:
    from striate import data as data
    from striate import layers as layers
    from striate import models as models
    from striate import ops as ops
    from striate import weights as weights
    from striate.base.errors import StriateError as StriateError
    from striate.cli.watched import train as train
    from striate.data.augmentation import Augmentation as Augmentation
    from striate.data.sources import open_data as open_data
    from striate.evaluation import evaluate as evaluate
    from striate.importing.weights import import_weights as import_weights
    from striate.models.table import MODELS as MODELS
    from striate.pictures.preprocess import Preprocess as Preprocess
    from striate.planning.plan import Plan as Plan
    from striate.planning.planning import plan as plan
    from striate.predictor import Predictor as Predictor
    from striate.predictor import load as load
    from striate.recipe import Recipe as Recipe
    from striate.recipe import Stage as Stage
    from striate.showing import show as show
    from striate.task_settings import ClassifySettings as ClassifySettings
    from striate.training.result import Result as Result
    from striate.weights.create import create as create


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"striate.{name}")
    if name not in _OFFERS:
        raise AttributeError(f"module 'striate' has no attribute {name!r}")
    value = getattr(importlib.import_module(_OFFERS[name]), name)
    if name in _VERBS:
        value = importlib.import_module("striate.cli.verbs").Verb(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
