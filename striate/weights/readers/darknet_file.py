"""Files of darknet (``.weights``): a header and bare numbers, which the ``.cfg`` tells apart."""

import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.errors import WeightsError
from striate.weights.readers import Contents
from striate.weights.readers.darknet_config import Layer, Section, parse


def read(path: Path, config: Path) -> Contents:
    """The weights of every layer, ``conv0/weight`` ... by the layer's index as darknet prints it.

    With a convolution: ``bias`` (with batch normalization its beta) ``[out]``, then ``gamma``, ``mean`` and
    ``variance`` ``[out]`` where there is batch normalization, and ``weight`` ``[out, in / groups, size, size]``. Dense
    layers are ``dense6/weight`` ``[out, in]`` and so on; ``local6/weight`` is ``[places, out, in, size, size]``.

    Facts: ``floats`` (how many the file has), ``seen`` (pictures trained on), ``version`` (of darknet, three numbers),
    ``config`` (the configuration's path), ``net`` with ``section``, ``line`` and ``options`` (texts), and ``layers``,
    each with these, ``index``, and ``shape``, what it gives as ``[channels, height, width]``.

    Raises:
        WeightsError: the configuration is none, or implies more or fewer floats than the file has, or others.
    """
    net, layers = parse(config)
    raw = path.read_bytes()
    version, seen, begin = _header(raw)
    implied = sum(prod(shape) for layer in layers for _, shape in layer.weights)
    found, rest = divmod(len(raw) - begin, 4)
    if implied != found or rest:
        raise WeightsError(_parting(layers, implied, len(raw) - begin, begin, config))
    numbers = np.frombuffer(raw, "<f4", offset=begin).astype(np.float32, copy=False)
    # Old versions of darknet wrote dense weights the other way round, and said so by a high version.
    turned = version[0] > 1000 or version[1] > 1000
    arrays: dict[str, np.ndarray] = {}
    position = 0
    for layer in layers:
        for name, shape in layer.weights:
            part = numbers[position : position + prod(shape)]
            dense = turned and name.startswith("dense") and name.endswith("weight")
            arrays[name] = part.reshape(shape[::-1]).T if dense else part.reshape(shape)
            position += prod(shape)
            if name.endswith("/variance") and (arrays[name] < 0).any():
                raise WeightsError(
                    f"does not fit {config.name}: what would be variances of {layer.section} is in part below 0, so "
                    "they are numbers of another layer"
                )
    rows = [{"index": each.index, **said(each.section), "shape": list(each.shape)} for each in layers]
    facts = {"floats": found, "seen": seen, "version": list(version), "config": str(config)}
    return Contents("darknet", arrays, {**facts, "net": said(net), "layers": rows})


def said(section: Section) -> dict[str, Any]:
    """A section as the facts have it."""
    return {"section": section.name, "line": section.line, "options": section.options}


def _header(raw: bytes) -> tuple[tuple[int, int, int], int, int]:
    """The version, the number of pictures seen, and where the floats begin: the number takes 8 bytes since 0.2."""
    if len(raw) < 16:
        raise WeightsError(f"is no darknet file: of its header of 16 or 20 bytes there are {len(raw)}")
    major, minor, revision = struct.unpack_from("<iii", raw)
    if major < 0 or minor < 0:
        raise WeightsError(f"is no darknet file: its header would be of version {major}.{minor}.{revision}")
    if major * 10 + minor >= 2 and major < 1000 and minor < 1000:
        if len(raw) < 20:
            raise WeightsError(f"is no darknet file: of its header of 20 bytes there are {len(raw)}")
        return (major, minor, revision), struct.unpack_from("<Q", raw, 12)[0], 20
    return (major, minor, revision), struct.unpack_from("<I", raw, 12)[0], 16


def _parting(layers: list[Layer], implied: int, size: int, begin: int, config: Path) -> str:
    """Where the file and its configuration part."""
    have = f"{size // 4:,}" if size % 4 == 0 else f"{size // 4:,} and {size % 4} bytes more"
    said = f"does not fit {config.name}: that implies {implied:,} floats, the file has {have}"
    if size > 4 * implied:
        return f"{said}; those from byte {begin + 4 * implied:,} belong to no layer"
    position = 0
    for layer in layers:
        for name, shape in layer.weights:
            position += prod(shape)
            if 4 * position > size:
                return f"{said}; it ends at byte {begin + size:,}, inside {name} of {layer.section}"
    return said
