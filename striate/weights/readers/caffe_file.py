"""Files of Caffe (``.caffemodel``): protocol buffers, of which the few fields with weights are read.

Field numbers are those of Caffe's ``caffe.proto``; the wire format is the public one of Protocol Buffers. Only three
levels are ever entered (net, layer, blob), so nothing nests.
"""

import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.errors import WeightsError
from striate.weights.readers import Contents

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10
_MOST_DIMENSIONS = 32  # Caffe's own limit

# The types of old files (V1LayerParameter) by the names that they have today.
_OLD_TYPES = {
    3: "Concat",
    4: "Convolution",
    5: "Data",
    6: "Dropout",
    8: "Flatten",
    14: "InnerProduct",
    15: "LRN",
    17: "Pooling",
    18: "ReLU",
    20: "Softmax",
    21: "SoftmaxWithLoss",
    22: "Split",
    25: "Eltwise",
    39: "Deconvolution",
}


def read(path: Path) -> Contents:
    """The blobs of every layer, as ``layer/0``, ``layer/1`` ...: usually the kernel and the bias.

    Layouts are Caffe's: kernels ``[out, in / group, height, width]``, dense weights ``[out, in]``. In old files every
    blob has four dimensions; there, the ones before a bias and before a dense weight are dropped.

    Facts: ``name`` of the net; ``layers``, in order, each with ``name``, ``type``, ``blobs`` (their shapes), and for
    batch normalization that states it ``epsilon``.

    Raises:
        WeightsError: the file is truncated or damaged, a blob's shape and its numbers differ, or it is of before 2014.
    """
    data = memoryview(path.read_bytes())
    arrays: dict[str, np.ndarray] = {}
    layers: list[dict[str, Any]] = []
    net = ""
    for field, wire, value in _fields(data, 0, len(data)):
        if field == 1 and wire == _BYTES:
            net = _text(data, value)
        if field not in (2, 100) or wire != _BYTES:
            continue
        layer, blobs = _layer(data, value, old=field == 2)
        layers.append(layer)
        for index, blob in enumerate(blobs):
            name = f"{layer['name']}/{index}"
            if name in arrays:
                raise WeightsError(f"has two layers of the name {layer['name']!r}, both with weights")
            arrays[name] = blob
    return Contents("protobuf", arrays, {"name": net, "layers": layers})


def recognises(path: Path) -> bool:
    """Whether the file reads as a net from its first byte to its last, and has layers."""
    data = memoryview(path.read_bytes())
    found = False
    try:
        for field, wire, _ in _fields(data, 0, len(data)):
            found |= field in (2, 100) and wire == _BYTES
    except WeightsError:
        return False
    return found


# Messages


def _layer(data: memoryview, span: slice, *, old: bool) -> tuple[dict[str, Any], list[np.ndarray]]:
    names = {4: "name", 5: "type", 6: "blobs"} if old else {1: "name", 2: "type", 7: "blobs", 139: "batch_norm"}
    layer: dict[str, Any] = {"name": "", "type": ""}
    blobs: list[np.ndarray] = []
    for field, wire, value in _fields(data, span.start, span.stop):
        match names.get(field), wire:
            case "name", 2:
                layer["name"] = _text(data, value)
            case "type", 2:
                layer["type"] = _text(data, value)
            case "type", 0:
                layer["type"] = _OLD_TYPES.get(value, f"V1 {value}")
            case "blobs", 2:
                blobs.append(_blob(data, value, f"{layer['name']}/{len(blobs)}"))
            case "batch_norm", 2:
                layer |= _batch_norm(data, value)
        if old and field == 1 and wire == _BYTES:
            raise WeightsError("is a Caffe file of before 2014 (V0), which Caffe's upgrade_net_proto_binary makes new")
    if old:
        blobs = [_without_ones(blob, layer["type"], index) for index, blob in enumerate(blobs)]
    return {**layer, "blobs": [list(blob.shape) for blob in blobs]}, blobs


def _batch_norm(data: memoryview, span: slice) -> dict[str, float]:
    """BatchNormParameter: eps is field 3, a float."""
    found = [value for field, wire, value in _fields(data, span.start, span.stop) if (field, wire) == (3, _FIXED32)]
    return {"epsilon": float(struct.unpack_from("<f", data, found[-1].start)[0])} if found else {}


def _blob(data: memoryview, span: slice, name: str) -> np.ndarray:
    """BlobProto: shape 7, data 5 (float), double_data 8; num, channels, height, width 1 to 4 in old files."""
    shape: list[int] | None = None
    old_shape = {1: 0, 2: 0, 3: 0, 4: 0}
    singles, doubles = bytearray(), bytearray()
    for field, wire, value in _fields(data, span.start, span.stop):
        if field == 7 and wire == _BYTES:
            shape = (shape or []) + _shape(data, value)
        elif field in old_shape and wire == _VARINT:
            old_shape[field] = _signed(value)
        elif field == 5 and wire in (_BYTES, _FIXED32):
            singles += data[value]
        elif field == 8 and wire in (_BYTES, _FIXED64):
            doubles += data[value]
    wanted = shape if shape is not None else list(old_shape.values())
    numbers, each = (doubles, 8) if doubles else (singles, 4)
    if len(wanted) > _MOST_DIMENSIONS or any(side < 0 for side in wanted):
        raise WeightsError(f"is damaged: the blob {name} has {len(wanted)} dimensions, {wanted[:8]}")
    if prod(wanted) * each != len(numbers):
        raise WeightsError(
            f"is damaged: the blob {name} of the shape {wanted} should have {prod(wanted):,} numbers, and has "
            f"{len(numbers) / each:g}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return np.frombuffer(numbers, "<f8" if doubles else "<f4").astype(np.float32).reshape(wanted)


def _shape(data: memoryview, span: slice) -> list[int]:
    """BlobShape: dim is field 1, packed or one by one."""
    sides = []
    for field, wire, value in _fields(data, span.start, span.stop):
        if field == 1 and wire == _VARINT:
            sides.append(_signed(value))
        elif field == 1 and wire == _BYTES:
            position = value.start
            while position < value.stop:
                side, position = _varint(data, position, value.stop)
                sides.append(_signed(side))
    return sides


def _without_ones(blob: np.ndarray, kind: str, index: int) -> np.ndarray:
    kept = {"InnerProduct": (2, 1), "Convolution": (4, 1), "Deconvolution": (4, 1)}.get(kind, ())
    if index < len(kept) and blob.ndim == 4 and set(blob.shape[: 4 - kept[index]]) <= {1}:
        return blob.reshape(blob.shape[4 - kept[index] :])
    return blob


# The wire format


def _fields(data: memoryview, start: int, stop: int) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and value of each field: an integer, or where its bytes lie."""
    position = start
    while position < stop:
        key, after = _varint(data, position, stop)
        field, wire = key >> 3, key & 7
        value: int | slice
        if wire == _VARINT and field:
            value, position = _varint(data, after, stop)
        elif wire in (_BYTES, *_SIZES) and field:
            length, begin = _varint(data, after, stop) if wire == _BYTES else (_SIZES[wire], after)
            position = begin + length
            if position > stop:
                raise WeightsError(
                    f"is a Caffe file that is truncated or damaged: at byte {after} a field of {length} bytes begins, "
                    f"and {stop - begin} are left"
                )
            value = slice(begin, position)
        else:
            raise WeightsError(f"is not a Caffe file, or is damaged: what stands at byte {position} is no field")
        yield field, wire, value


def _varint(data: memoryview, position: int, stop: int) -> tuple[int, int]:
    """An integer of seven bits a byte, the lowest first, and the position after it."""
    number = 0
    for index in range(_LONGEST_VARINT):
        if position + index >= stop:
            break
        byte = data[position + index]
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, position + index + 1
    raise WeightsError(f"is a Caffe file that is truncated or damaged: the number at byte {position} has no end")


def _signed(number: int) -> int:
    """An int32 or int64 of the wire format, where negative ones take 64 bits."""
    return number - 2**64 if number >= 2**63 else number


def _text(data: memoryview, span: slice) -> str:
    return bytes(data[span]).decode("utf-8", "backslashreplace")
