"""Files of safetensors: a length, a header in JSON, the numbers. The library checks every offset and size."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from striate.base.errors import WeightsError
from striate.weights.readers import Contents
from striate.weights.readers.choosing import WHOLE, chosen, stripped

_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_SIGNED = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"}
_UNSIGNED = {"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
_KINDS = _FLOATS | _SIGNED | _UNSIGNED


def read(path: Path, state: str | None = None) -> Contents:
    """Every tensor of the file, or those whose names begin with ``state`` and a dot, in the order of their bytes.

    Facts: ``metadata``, the file's own words about itself (names and texts); ``wrapper``, which is ``state``, and
    ``prefix``, what was taken off all names (`striate.weights.readers.choosing.PREFIXES`).

    Raises:
        WeightsError: the file is truncated or damaged, has numbers of a kind that is not read (8 bits and fewer), or
            no such tensors.
    """
    raw = path.read_bytes()
    try:
        tensors = deserialize(raw)
    except SafetensorError as error:
        raise WeightsError(f"is a safetensors file that is truncated or damaged ({error})") from error
    # Safe to read again: the library has just checked it.
    (length,) = struct.unpack("<Q", raw[:8])
    metadata = json.loads(raw[8 : 8 + length]).get("__metadata__") or {}
    arrays = {name: _array(name, view) for name, view in tensors}
    prefix, named = stripped(arrays if state is None else chosen({WHOLE: arrays}, state)[1])
    return Contents("safetensors", named, {"metadata": metadata, "wrapper": state, "prefix": prefix})


def _array(name: str, view: dict[str, Any]) -> np.ndarray:
    if view["dtype"] == "BF16":  # the upper half of a float32
        numbers = (np.frombuffer(view["data"], "<u2").astype(np.uint32) << 16).view(np.float32)
    elif view["dtype"] in _KINDS:
        numbers = np.frombuffer(view["data"], _KINDS[view["dtype"]])
    else:
        raise WeightsError(f"{name} holds numbers of the kind {view['dtype']}, which is not read; save it as float32")
    with np.errstate(over="ignore"):  # a double too large becomes infinity, as everywhere else
        return numbers.astype(np.float32 if numbers.dtype.kind == "f" else np.int64).reshape(view["shape"])
