"""Small files of weights in foreign formats, written by hand from their descriptions, independent of the readers."""

import re
import struct
from argparse import Namespace
from collections import OrderedDict
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np

# Protocol Buffers: a key (field number and wire type), then the value


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def integer(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def single(field: int, number: float) -> bytes:
    return varint(field << 3 | 5) + struct.pack("<f", number)


def text(field: int, value: str | bytes) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def blob(array: np.ndarray, *, doubles: bool = False, packed: bool = True, old: bool = False) -> bytes:
    """BlobProto: shape in field 7 (or four numbers, as in old files), data in 5 (or doubles in 8)."""
    if old:
        four = (1,) * (4 - array.ndim) + array.shape
        shape = b"".join(integer(field, side) for field, side in enumerate(four, start=1))
    else:
        shape = text(7, text(1, b"".join(map(varint, array.shape))))
    if doubles:
        return shape + text(8, array.astype("<f8").tobytes())
    if not packed:
        return shape + b"".join(single(5, number) for number in array.ravel())
    return shape + text(5, array.astype("<f4").tobytes())


def caffe_layer(name: str, kind: str, *blobs: bytes, more: bytes = b"") -> bytes:
    """NetParameter.layer (100): LayerParameter with name 1, type 2, blobs 7."""
    return text(100, text(1, name) + text(2, kind) + b"".join(text(7, each) for each in blobs) + more)


def old_caffe_layer(name: str, kind: int, *blobs: bytes) -> bytes:
    """NetParameter.layers (2): V1LayerParameter with name 4, type 5, blobs 6."""
    return text(2, text(4, name) + integer(5, kind) + b"".join(text(6, each) for each in blobs))


def caffe_net(rng: np.random.Generator) -> bytes:
    def random(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    epsilon = text(139, single(3, 1e-3))
    return (
        text(1, "small")
        + caffe_layer("data", "Input")
        + caffe_layer("conv1", "Convolution", blob(random(4, 3, 3, 3)), blob(random(4)))
        + caffe_layer("bn1", "BatchNorm", blob(random(4)), blob(random(4)), blob(random(1), packed=False), more=epsilon)
        + caffe_layer("ip", "InnerProduct", blob(random(5, 16)), blob(random(5), doubles=True))
        + old_caffe_layer("old", 14, blob(random(3, 5), old=True), blob(random(3), old=True))
    )


# darknet

DARKNET_CONFIG = """[net]
# a picture of 8 by 8
width=8
height=8
channels=3

[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=4
groups=2
size=1
activation=linear

[shortcut]
from=-2

[maxpool]
size=2
stride=2

[upsample]
stride=2

[route]
layers=-1,0

[connected]
output=2
activation=linear

[softmax]
"""
# conv0: beta, gamma, mean, variance, 4x3x3x3; conv1: bias, 4x2x1x1; the map is 8 channels of 4x4; dense6: bias, 2x128
DARKNET_FLOATS = 4 * 4 + 108 + 4 + 8 + 2 + 256


def darknet_weights(numbers: np.ndarray, *, version: tuple[int, int, int] = (0, 2, 5), seen: int = 77) -> bytes:
    new = version[0] * 10 + version[1] >= 2 and max(version[:2]) < 1000
    return struct.pack("<iii", *version) + struct.pack("<Q" if new else "<I", seen) + numbers.astype("<f4").tobytes()


DETECTOR_CONFIG = """[net]
width=64
height=32
channels=3
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters={filters}
activation=linear
[yolo]
mask=0,1
anchors=8,8, 20,16
classes={classes}
num=2
"""


def darknet_detector(folder: Path, *, classes: int) -> None:
    """``detector.cfg`` and ``detector.weights`` of a network that nobody trained."""
    filters = 2 * (5 + classes)
    rng = np.random.default_rng(classes)
    norm = [rng.normal(size=4), rng.normal(1, 0.1, 4), rng.normal(size=4), rng.uniform(0.5, 2, 4)]
    numbers = [*norm, rng.normal(size=108), rng.normal(0.5, 0.5, filters), rng.normal(0, 0.5, 4 * filters)]
    (folder / "detector.cfg").write_text(DETECTOR_CONFIG.format(filters=filters, classes=classes))
    (folder / "detector.weights").write_bytes(darknet_weights(np.concatenate(numbers)))


# torch


def torch_files(rng: np.random.Generator) -> dict[str, bytes]:
    """Small files of torch.save by what is in them; those called ``zip`` and those called ``legacy``."""
    import torch

    # The older form calls storages by their addresses and sorts them by these: in this order they ascend.
    storages = sorted((torch.UntypedStorage(256) for _ in range(3)), key=lambda storage: storage._cdata)

    def tensor(storage: torch.UntypedStorage, *shape: int) -> torch.Tensor:
        numbers = torch.from_numpy(rng.normal(size=shape).astype(np.float32))
        return torch.empty(0).set_(storage.fill_(0), 0, shape).copy_(numbers)

    counter = torch.empty(0, dtype=torch.int64).set_(storages[2].fill_(0), 0, ()).fill_(7)
    state = OrderedDict(
        [
            ("module.conv.weight", tensor(storages[0], 2, 3, 3, 3)),
            ("module.conv.bias", tensor(storages[1], 2)),
            ("module.n", counter),
        ]
    )
    wrapped = {"epoch": 3, "best": 0.5, "state_dict": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}
    args = Namespace(lr=0.1, out=PurePosixPath("runs"), best=np.float64(0.5), kind=np.arange(2))
    files = {}
    for name, value in (("plain", state), ("wrapped", wrapped), ("arguments", {"model": state, "args": args})):
        for container in ("zip", "legacy"):
            buffer = BytesIO()
            torch.save(value, buffer, _use_new_zipfile_serialization=container == "zip")
            files[f"{name} {container}"] = _without_addresses(buffer.getvalue())
    return files


def _without_addresses(data: bytes) -> bytes:
    """The older pickles call what they store by its address in memory, another one each time."""
    found = re.findall(rb"X[\x0c-\x10]\0\0\0(\d{12,16})", data)
    for number, address in enumerate(dict.fromkeys(found)):
        short = b"%05d" % number
        data = data.replace(b"X%c\0\0\0%s" % (len(address), address), b"X%c\0\0\0%s" % (len(short), short))
    return data
