"""The networks, one file a paper, and the table that names them.

Importing this room loads no torch: `build` imports a network's file when it is asked for.
Offers MODELS, Architecture, build; `striate.models.network` has Network, FeatureInfo, TrainingView, parameter_count.
"""

from striate.models.table import MODELS, Architecture, build

__all__ = ["MODELS", "Architecture", "build"]
