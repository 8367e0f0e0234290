"""The networks, one file a paper, and the table that names them.

Importing this room loads no torch: `build` imports a network's file when it is asked for.
Offers MODELS, Architecture, HEADS, Head, architecture, build; `striate.models.network` has Network, FeatureInfo,
TrainingView, parameter_count, and `striate.models.headed` Headed.
"""

from striate.models.building import build
from striate.models.heads import HEADS, Head
from striate.models.table import MODELS, Architecture, architecture

__all__ = ["HEADS", "MODELS", "Architecture", "Head", "architecture", "build"]
