"""Thousands of damaged files a reader: each is read or refused in words, within limits, and none ends in a traceback.

``python -m tests.weights.fuzz KIND COUNT [SEED]`` for one kind, or ``all``; ``fuzz(kind, count, seed)`` from tests.
A mutant is a function of (kind, seed, number) and of the files that `SEEDS` writes.
"""

import json
import random
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np

from striate.base.errors import WeightsError
from striate.weights.foreign import Origin
from striate.weights.isolation import ReadingProcess, ReadingStoppedError
from tests.weights.handmade import DARKNET_CONFIG, DARKNET_FLOATS, caffe_net, darknet_weights, torch_files

SECONDS = 600.0  # for one mutant: what takes them on any machine hangs
PEAK = 10**9  # bytes


@dataclass
class Report:
    """What became of the mutants: ``read + refused + crashed + hung + memory + len(faults) == mutants``."""

    kind: str
    mutants: int = 0
    read: int = 0
    refused: int = 0  # in words
    crashed: int = 0  # also in words, but the reader's process ended
    hung: int = 0
    memory: int = 0  # refused for wanting more than the limit
    faults: list[str] = field(default_factory=list)  # tracebacks
    unnamed: list[str] = field(default_factory=list)  # messages that do not say which file, or are not one paragraph
    peak_memory: int = 0
    seconds: float = 0.0
    stopped: list[str] = field(default_factory=list)  # which mutants crashed or hung, for looking at them

    def __str__(self) -> str:
        rate = self.mutants / max(self.seconds, 1e-9)
        return (
            f"{self.kind}: {self.mutants} mutants, {self.read} read, {self.refused} refused, {self.memory} by memory, "
            f"{self.crashed} crashed, {self.hung} hung, {len(self.faults)} tracebacks, {len(self.unnamed)} poor, "
            f"peak {self.peak_memory / 1e6:.0f} MB, {rate:.0f} a second"
        )


def fuzz(kind: str, count: int, seed: int = 0) -> Report:
    """Read ``count`` mutants of a kind in one reused child."""
    report = Report(kind)
    row = KINDS[kind]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ReadingProcess(seconds=SECONDS) as process:
        path = Path(folder) / f"mutant{row.suffix}"
        for number, mutant in enumerate(mutants(kind, count, seed)):
            path.write_bytes(mutant.data)
            config = None
            if mutant.config is not None:
                config = path.with_suffix(".cfg")
                config.write_bytes(mutant.config)
            # Every other one goes to its reader whatever it looks like: many would not be recognised.
            origin = row.origin if number % 2 else None
            _count(report, process, path, config, origin, f"{kind} {seed} {number}")
        report.peak_memory = process.peak
    report.seconds = time.perf_counter() - began
    return report


def _count(
    report: Report, process: ReadingProcess, path: Path, config: Path | None, origin: Origin | None, label: str
) -> None:
    report.mutants += 1
    try:
        process.read(path, config=config, origin=origin)
    except ReadingStoppedError as error:
        setattr(report, error.how, getattr(report, error.how) + 1)
        if error.how != "memory":
            report.stopped.append(f"{label}: {error}")
        text = str(error)
    except WeightsError as error:
        report.refused += 1
        text = str(error)
    except RuntimeError as error:
        report.faults.append(f"{label}: {error}")
        return
    else:
        report.read += 1
        return
    if not text.startswith(f"{path}: ") or len(text) < len(str(path)) + 12 or "\n" in text:
        report.unnamed.append(f"{label}: {text}")


# The files that mutants are made of


@dataclass(frozen=True)
class Mutant:
    data: bytes
    config: bytes | None = None


@dataclass(frozen=True)
class Kind:
    origin: Origin
    suffix: str
    seeds: Callable[[], list[bytes]]


def _torch(container: str) -> list[bytes]:
    return [data for name, data in torch_files(np.random.default_rng(0)).items() if name.endswith(container)]


def _safetensors() -> list[bytes]:
    from safetensors.numpy import save

    rng = np.random.default_rng(0)
    arrays = {"conv.weight": rng.normal(size=(2, 3, 3, 3)).astype(np.float32), "n": np.array(7)}
    half = {"a": rng.normal(size=(4, 4)).astype(np.float16), "b": rng.normal(size=5)}
    brain = json.dumps({"x": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}).encode()
    return [save(arrays, {"format": "pt"}), save(half), struct.pack("<Q", len(brain)) + brain + bytes(range(12))]


def _darknet() -> list[bytes]:
    numbers = abs(np.random.default_rng(0).normal(size=DARKNET_FLOATS))  # variances are never negative
    return [darknet_weights(numbers), darknet_weights(numbers, version=(0, 1, 0))]


def _hdf5(write: "Callable[[h5py.Group, np.random.Generator], None]") -> bytes:  # noqa: F821
    import h5py

    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        write(file, np.random.default_rng(0))
    return buffer.getvalue()


_LAYERS = [
    {
        "class_name": "Conv2D",
        "config": {"name": "conv2d", "filters": 4, "kernel_size": [3, 3], "padding": "same"},
    },
    {"class_name": "BatchNormalization", "config": {"name": "bn", "epsilon": 0.001}},
    {"class_name": "Dense", "config": {"name": "dense", "units": 5}},
]
_CONFIG = json.dumps({"class_name": "Sequential", "config": {"name": "small", "layers": _LAYERS}})
_SHAPES = {
    "conv2d": {"kernel:0": (3, 3, 3, 4), "bias:0": (4,)},
    "bn": {"gamma:0": (4,), "beta:0": (4,), "moving_mean:0": (4,), "moving_variance:0": (4,)},
    "dense": {"kernel:0": (16, 5), "bias:0": (5,)},
}


def _named(group, rng: np.random.Generator) -> None:
    group.attrs["layer_names"] = [name.encode() for name in _SHAPES]
    group.attrs["backend"] = b"tensorflow"
    group.attrs["keras_version"] = b"2.9.0"
    for layer, variables in _SHAPES.items():
        inner = group.create_group(layer)
        inner.attrs["weight_names"] = [f"{layer}/{name}".encode() for name in variables]
        for name, shape in variables.items():
            inner.create_dataset(f"{layer}/{name}", data=rng.normal(size=shape).astype(np.float32))


def _whole(file, rng: np.random.Generator) -> None:
    file.attrs["model_config"] = _CONFIG
    _named(file.create_group("model_weights"), rng)


def _packed(file, rng: np.random.Generator) -> None:
    _named(file, rng)
    del file["dense/dense/kernel:0"]
    file.create_dataset("dense/dense/kernel:0", data=rng.normal(size=(16, 5)), chunks=(4, 5), compression="gzip")


def _numbered(file, rng: np.random.Generator) -> None:
    for layer, group in (("conv2d", "conv2d"), ("bn", "batch_normalization"), ("dense", "dense")):
        for index, shape in enumerate(_SHAPES[layer].values()):
            data = rng.normal(size=shape).astype(np.float32)
            file.create_dataset(f"layers/{group}/vars/{index}", data=data)
        file[f"layers/{group}"].attrs["name"] = layer
    file.create_group("vars")


def _archive() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in (
            ("metadata.json", b'{"keras_version": "3.11.0"}'),
            ("config.json", _CONFIG.encode()),
            ("model.weights.h5", _hdf5(_numbered)),
        ):
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


KINDS = {
    "torch zip": Kind("torch", ".pth", lambda: _torch("zip")),
    "torch legacy": Kind("torch", ".pth", lambda: _torch("legacy")),
    "safetensors": Kind("safetensors", ".safetensors", _safetensors),
    "caffe": Kind("caffe", ".caffemodel", lambda: [caffe_net(np.random.default_rng(0))]),
    "darknet": Kind("darknet", ".weights", _darknet),
    "keras h5": Kind("keras", ".h5", lambda: [_hdf5(_named), _hdf5(_whole), _hdf5(_packed)]),
    "keras weights.h5": Kind("keras", ".weights.h5", lambda: [_hdf5(_numbered)]),
    "keras zip": Kind("keras", ".keras", lambda: [_archive()]),
}


# Damage


def mutants(kind: str, count: int, seed: int) -> Iterator[Mutant]:
    """``count`` damaged files; their number and the seed decide everything about them."""
    seeds = KINDS[kind].seeds()
    for number in range(count):
        rng = random.Random(f"{kind} {seed} {number}")
        data = rng.choice(seeds)
        config = None
        if kind == "darknet":
            config = DARKNET_CONFIG.encode()
            if rng.random() < 0.5:
                yield Mutant(data, damaged(config, [config], rng))
                continue
        if data.startswith(b"PK") and rng.random() < 0.6:
            yield Mutant(_inside(data, rng))  # the archive itself is whole, and its check sums right
        else:
            yield Mutant(damaged(data, seeds, rng), config)


def damaged(data: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    """One to three kinds of damage, one after the other."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            data = rng.choice(DAMAGES)(bytearray(data), seeds, rng)
    return data or b"\0"


def _inside(data: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    worth = [name for name, content in members if name.endswith((".pkl", ".json", ".h5")) or len(content) > 100]
    chosen = rng.choice(worth if rng.random() < 0.8 else [name for name, _ in members])
    buffer = BytesIO()
    compression = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            changed = damaged(content, [content], rng) if name == chosen else content
            archive.writestr(zipfile.ZipInfo(name), changed, compression)
    return buffer.getvalue()


def _flip_bits(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 8, 32))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _flip_bits_early(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    """Heads say the most."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data[rng.randrange(min(len(data), 256))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _overwrite(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    start, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 16, 100))
    length = min(length, len(data) - start)
    fill = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"0", b"9", b"{", None))
    data[start : start + length] = rng.randbytes(length) if fill is None else fill * length
    return bytes(data)


def _truncate(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    return bytes(data[: rng.randrange(len(data))])


def _remove(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 2, 4, 8, 64, 512))]
    return bytes(data)


def _repeat(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    part = bytes(data[start : start + rng.choice((1, 2, 8, 64, 512))])
    data[start:start] = part * rng.choice((1, 1, 2, 50))
    return bytes(data)


def _splice(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice(seeds)
    place, start = rng.randrange(len(data)), rng.randrange(len(other))
    return bytes(data[:place]) + other[start : start + rng.choice((4, 32, 256, len(other)))] + bytes(data[place:])


def _insert(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    data[place:place] = rng.randbytes(rng.choice((1, 2, 4, 8, 64)))
    return bytes(data)


_ODD = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**20, 2**28, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)


def _number(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    """Put an odd number where a length, an offset or a size may stand."""
    width = rng.choice((1, 2, 4, 4, 8, 8))
    if len(data) < width:
        return bytes(data)
    start = rng.randrange(len(data) - width + 1)
    if rng.random() < 0.5:
        start -= start % width
    old = int.from_bytes(data[start : start + width], "little")
    new = rng.choice((*_ODD, old + 1, old - 1, old * 2, old * 1000)) % 2 ** (8 * width)
    data[start : start + width] = new.to_bytes(width, rng.choice(("little", "little", "big")))
    return bytes(data)


def _digits(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytes:
    """Another number where one is written out in digits."""
    places = [index for index, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not places:
        return _number(data, seeds, rng)
    start = rng.choice(places)
    end = start
    while end < len(data) and 0x30 <= data[end] <= 0x39:
        end += 1
    odd = rng.choice(
        (b"0", b"-1", b"1", b"7", b"99999999", b"4294967296", b"18446744073709551616", b"1e9", b"9" * 5000)
    )
    return bytes(data[:start]) + odd + bytes(data[end:])


DAMAGES = (
    *(_flip_bits, _flip_bits_early, _overwrite, _truncate, _remove, _repeat, _splice, _insert),
    *(_number, _number, _digits),
)


if __name__ == "__main__":
    chosen, number, first = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
    for kind in KINDS if chosen == "all" else [chosen]:
        report = fuzz(kind, number, first)
        print(report, flush=True)  # noqa: T201
        for line in (*report.faults[:3], *report.stopped[:5], *report.unnamed[:3]):
            print("   ", line, flush=True)  # noqa: T201
