"""The networks, one file a paper, and the table that names them.

Importing this room loads no torch: `build` imports a network's file when it is asked for.
Offers MODELS, Architecture, HEADS, Head, architecture, build, as_convolutional; `striate.models.network` has Network,
FeatureInfo, TrainingView, parameter_count, and `striate.models.headed` Headed.
"""

import importlib
from typing import TYPE_CHECKING, Any

from striate.models.building import build
from striate.models.heads import HEADS, Head
from striate.models.table import MODELS, Architecture, architecture

if TYPE_CHECKING:
    from striate.models.convolutional import as_convolutional as as_convolutional

__all__ = ["HEADS", "MODELS", "Architecture", "Head", "architecture", "as_convolutional", "build"]


def __getattr__(name: str) -> Any:
    if name != "as_convolutional":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("striate.models.convolutional").as_convolutional
