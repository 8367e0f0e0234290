"""The idx files of MNIST and its kin: ``train-images-idx3-ubyte[.gz]`` and ``train-labels-idx1-ubyte[.gz]``.

The format: two zero bytes, a byte for the type (8: uint8), a byte for the number of axes, the axes as big-endian
uint32, then the numbers (http://yann.lecun.com/exdb/mnist). ``train`` and ``t10k`` are the splits train and test.
"""

import gzip
import math
import re
import struct
import zlib
from collections.abc import Sequence
from hashlib import md5
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.base.errors import DataError
from striate.data.names import counted, printable
from striate.data.records import ArrayHandle, Classes, Dataset, Split
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, assemble
from striate.data.sources.class_labels import index_labels, picture_contents
from striate.data.targets import class_targets

_IMAGES = re.compile(
    r"(?P<prefix>(?:.*[-_])?(?P<part>train|t10k|test|val))-images[-.]idx[34]-ubyte(?:\.gz)?", re.IGNORECASE
)
_PARTS: dict[str, Split] = {"train": "train", "t10k": "test", "test": "test", "val": "val"}
_MOST_BYTES = 64 << 30

_FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
# Label files say only 0..9; these are known by the md5 of their labels (header apart) and so get their names.
_KNOWN_LABELS = {
    "3236f6424fc25388b2834cb19942cf7e": _FASHION,  # train
    "8dea97a4e78c1bd1b5a6e8efbb870b6e": _FASHION,  # t10k
}


def recognises(path: Path) -> bool:
    """Whether the file, or a file in the folder, has the name of idx images."""
    try:
        return bool(_pairs(path))
    except OSError:
        return False


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read the pairs of images and labels in a folder (or the pair of one images file).

    Raises:
        DataError: no images file, a labels file missing, a wrong magic number, a damaged or truncated file, another
            number of labels than of images, a label in test that train lacks, fewer than two classes.
    """
    pairs = _pairs(path)
    if not pairs:
        raise DataError(
            f"{printable(path)} holds no idx images; expected files such as train-images-idx3-ubyte.gz and "
            "train-labels-idx1-ubyte.gz"
        )
    images: dict[Split, NDArray[np.uint8]] = {}
    labels: dict[Split, NDArray[np.uint8]] = {}
    for split, file in sorted(pairs.items(), key=lambda pair: ("train", "val", "test").index(pair[0])):
        images[split] = _pictures(read_idx(file), file)
        labels[split] = read_idx(partner := _labels_of(file))
        if labels[split].shape != (len(images[split]),):
            raise DataError(
                f"{printable(partner)} has labels of shape {list(labels[split].shape)} for the "
                f"{len(images[split])} images of {printable(file)}; expected one label an image"
            )
    _check_same_size(images, pairs)
    known = (_KNOWN_LABELS.get(md5(part.tobytes(), usedforsecurity=False).hexdigest()) for part in labels.values())
    names, targets = index_labels(labels, next(filter(None, known), None), where=printable(path))
    splits = [split for split, part in images.items() for _ in range(len(part))]
    columns = Columns(
        handles=[ArrayHandle(part, index) for part in images.values() for index in range(len(part))],
        targets=class_targets([target for split in images for target in targets[split]]),
        contents=[content for part in images.values() for content in picture_contents(part)],
        names=[f"{printable(pairs[s].name)}[{index}]" for s, part in images.items() for index in range(len(part))],
        splits=splits,
    )
    channels = next(iter(images.values())).shape[3:] or (1,)
    return assemble(path, "idx", Classes(names), columns, channels=channels[0], notices=(), task="classify")


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one idx file of uint8, gzipped or not, of any shape.

    Raises:
        DataError: it cannot be read, is no idx file, holds other numbers than uint8, or is shorter or longer than its
            header says.
    """
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0":
                raise DataError(f"{printable(path)} is not an idx file: it starts with {magic!r}, not two zero bytes")
            if magic[2] != 8:
                raise DataError(f"{printable(path)} holds numbers of idx type {magic[2]:#04x}; expected 0x08, uint8")
            axes = file.read(4 * magic[3])
            shape = struct.unpack(f">{magic[3]}I", axes) if len(axes) == 4 * magic[3] else (_MOST_BYTES,)
            size = math.prod(shape)
            if size > _MOST_BYTES:
                raise DataError(f"{printable(path)} is damaged: its header speaks of {list(shape)} numbers")
            content = _read_up_to(file, size + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{printable(path)} is a damaged or truncated gzip file ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror or error}") from error
    if len(content) != size:
        more = "more" if len(content) > size else f"only {len(content)}"
        raise DataError(f"{printable(path)} is damaged: its header promises {size} numbers and it holds {more}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _read_up_to(file: object, size: int) -> bytes:
    """Read in pieces, so that a lying header costs no more memory than the file really holds."""
    pieces, left = [], size
    while left > 0 and (piece := file.read(min(left, 1 << 24))):  # type: ignore[attr-defined]
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _pairs(path: Path) -> dict[Split, Path]:
    """The images files by split; where a file lies beside its gzipped copy, the plain one."""
    files: Sequence[Path] = sorted(path.iterdir()) if path.is_dir() else [path]
    matches = [(file, match) for file in files if (match := _IMAGES.fullmatch(file.name))]
    pairs: dict[Split, Path] = {}
    for file, match in matches:
        split = _PARTS[match["part"].lower()]
        if split not in pairs:
            pairs[split] = file
        elif file.name.removesuffix(".gz") != pairs[split].name.removesuffix(".gz"):
            raise DataError(
                f"{printable(pairs[split])} and {printable(file.name)} both are images of the split {split}; "
                "keep one data set a folder"
            )
    return pairs


def _labels_of(images: Path) -> Path:
    match = _IMAGES.fullmatch(images.name)
    prefix = match["prefix"] if match else ""
    names = [f"{prefix}-labels{dash}idx1-ubyte{ending}" for dash in "-." for ending in ("", ".gz")]
    for name in names:
        if (candidate := images.with_name(name)).exists():
            return candidate
    expected = " or ".join(printable(name) for name in names[:2])
    raise DataError(f"{printable(images)} has no labels beside it; expected {expected}")


def _pictures(array: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DataError(
            f"{printable(path)} holds an array of shape {list(array.shape)}; expected pictures, [number, height, "
            "width] or [number, height, width, channels]"
        )
    return array


def _check_same_size(images: dict[Split, NDArray[np.uint8]], pairs: dict[Split, Path]) -> None:
    (first, one), *others = images.items()
    for split, part in others:
        if part.shape[3:] != one.shape[3:]:
            raise DataError(
                f"{printable(pairs[first])} has {counted(*_bands(one))} and {printable(pairs[split])} "
                f"{counted(*_bands(part))}; expected the same"
            )


def _bands(array: NDArray[np.uint8]) -> tuple[int, str]:
    return (array.shape[3] if array.ndim == 4 else 1), "channel"
