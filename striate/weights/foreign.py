"""What a file of other people's weights holds, before anybody asks which network it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

Origin = Literal["torch", "safetensors", "keras", "caffe", "darknet"]


@dataclass(frozen=True, slots=True)
class Foreign:
    """The arrays of a foreign file by its own names, in its own order and layout.

    Fields:
        path: the file.
        origin: whose format it is.
        container: how it was packed, for people: "zip", "legacy pickle", "HDF5", "protobuf" ...
        arrays: every array, numbers as float32 (half and double precision are converted) or int64.
        facts: what else the reader learnt, as JSON has it; which keys there are stands in each reader's docstring.
        sha256: of the whole file, hexadecimal.
    """

    path: Path
    origin: Origin
    container: str
    arrays: Mapping[str, np.ndarray]
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def layers(self) -> dict[str, dict[str, np.ndarray]]:
        """The arrays of each layer, where names are ``layer/array``, in new dicts."""
        layers: dict[str, dict[str, np.ndarray]] = {}
        for name, array in self.arrays.items():
            layer, _, leaf = name.rpartition("/")
            layers.setdefault(layer, {})[leaf] = array
        return layers
