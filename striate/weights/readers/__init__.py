"""Files of other people's weights, one reader a format: bytes in, arrays by their own names out.

Readers run in a child process with limits (`striate.weights.isolation`), import as little as they can, and raise
`WeightsError` with a plain reason; whoever asked adds the name of the file. They change no layout and no order.
Offers Contents; recognising.py says which reader a file is for, and torch_file.py, safetensors_file.py, keras_file.py,
caffe_file.py, darknet_file.py each have ``read``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Contents:
    """What a reader found in a file; the fields are those of `striate.weights.foreign.Foreign`."""

    container: str
    arrays: dict[str, np.ndarray]
    facts: Mapping[str, Any] = field(default_factory=dict)
