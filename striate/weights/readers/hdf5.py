"""HDF5 files that anybody may have written: what is read is checked first, and nothing outside the file is touched.

HDF5 can declare more than it stores, and point to other files. Sizes are compared with what is stored before a byte is
read, and links, external storage and virtual datasets are refused: no framework writes them.
"""

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.errors import WeightsError

LARGEST_TOTAL = 4 << 30  # bytes of all arrays; VGG-19, the largest of the classics, has 575 million
LARGEST_TEXT = 64 << 20
MOST_OBJECTS = 50_000
MOST_NAMES = 50_000
DEEPEST = 32
MOST_EXPANSION = 1000  # an array is at most so many times as large as what is stored of it
SMALL_CHUNK = 16 << 20

# What h5py raises for damaged files, whichever layer finds the damage.
DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, AttributeError, EOFError)


class Hdf5:
    """An open file of ``size`` bytes. Everything read through it has been checked.

    Raises:
        WeightsError: from every method, when the file holds what is refused; says what and where.
    """

    def __init__(self, root: Any, size: int) -> None:
        self.root, self.size = root, size
        self._total = 0
        self._read: set[tuple[int, int]] = set()

    def refuse(self, where: str, why: str) -> WeightsError:
        """The error for the object at ``where``."""
        return WeightsError(f"is refused: its {where.strip('/') or 'root'} {why}; no weights are written like that")

    def member(self, group: Any, path: str) -> Any:
        """The group or dataset at ``path`` below ``group``, or None where there is none."""
        import h5py

        steps = [step for step in path.split("/") if step]
        if len(steps) > DEEPEST:
            raise self.refuse(path[:80], f"lies more than {DEEPEST} groups deep")
        for step in steps:
            if not isinstance(group, h5py.Group) or step not in group:
                return None
            link = group.get(step, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise self.refuse(f"{group.name}/{step}", "is a link to another place or file")
            group = group[step]
        return group

    def names(self, group: Any) -> list[str]:
        """The names in a group, in the file's order."""
        found = list(group)
        if any(not isinstance(name, str) for name in found):  # h5py gives what is not UTF-8 as bytes
            raise self.refuse(group.name, "holds a name that is no text")
        return found

    def datasets(self, group: Any) -> Iterator[tuple[str, Any]]:
        """Every dataset below ``group`` as (path, dataset), depth first, names in the file's order."""
        import h5py

        pending: list[tuple[str, Any]] = [("", group)]
        seen = 0
        while pending:
            path, item = pending.pop()
            if isinstance(item, h5py.Dataset):
                yield path, item
                continue
            if path.count("/") >= DEEPEST:
                raise self.refuse(path[:80], f"lies more than {DEEPEST} groups deep")
            inner = []
            for name in self.names(item):
                seen += 1
                if seen > MOST_OBJECTS:
                    raise self.refuse("", f"has more than {MOST_OBJECTS} objects")
                inner.append((f"{path}/{name}".lstrip("/"), self.member(item, name)))
            pending.extend(reversed(inner))

    def array(self, dataset: Any) -> np.ndarray:
        """The dataset's numbers: floating point as float32, whole numbers as int64."""
        import h5py

        where = dataset.name
        if not isinstance(dataset, h5py.Dataset):
            raise self.refuse(where, "is a group where an array is expected")
        if dataset.is_virtual or dataset.external:
            raise self.refuse(where, "keeps its numbers in another file or dataset")
        identity = h5py.h5o.get_info(dataset.id)
        if (identity.fileno, identity.addr) in self._read:
            raise self.refuse(where, "is an array that has another name too")
        self._read.add((identity.fileno, identity.addr))
        if dataset.shape is None:
            raise self.refuse(where, "has no shape")
        brain = (dataset.dtype.kind, dataset.dtype.itemsize) == ("V", 2) and self.text(dataset, "dtype") == "bfloat16"
        if not brain and (dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8):
            raise self.refuse(where, f"holds {dataset.dtype}, not numbers")
        self._check_size(dataset)
        found = np.asarray(dataset[()])
        if brain:  # the upper half of a float32
            return (np.frombuffer(found.tobytes(), "<u2").astype(np.uint32) << 16).view(np.float32).reshape(found.shape)
        return found.astype(np.float32 if found.dtype.kind == "f" else np.int64, order="C", copy=False)

    def texts(self, owner: Any, name: str) -> list[str] | None:
        """The attribute ``name`` as a list of texts, or None where there is none.

        A list too long for one attribute is spread over ``name0``, ``name1`` and so on, as Keras does.
        """
        if name in owner.attrs:
            return self._texts(owner, name)
        parts: list[list[str]] = []
        while f"{name}{len(parts)}" in owner.attrs and len(parts) < MOST_NAMES:
            parts.append(self._texts(owner, f"{name}{len(parts)}"))
        if sum(len(part) for part in parts) > MOST_NAMES:
            raise self.refuse(owner.name, f"lists more than {MOST_NAMES} {name}")
        return [text for part in parts for text in part] if parts else None

    def text(self, owner: Any, name: str) -> str | None:
        """The attribute ``name`` as one text, or None where there is none."""
        found = self.texts(owner, name) if name in owner.attrs else None
        return found[0] if found else None

    def _texts(self, owner: Any, name: str) -> list[str]:
        attribute = owner.attrs.get_id(name)
        count = 0 if attribute.shape is None else math.prod(attribute.shape)
        if count == 0:  # whose storage HDF5 does not know
            return []
        if count > MOST_NAMES or attribute.get_storage_size() > LARGEST_TEXT:
            raise self.refuse(owner.name, f"has an attribute {name} of absurd size")
        values = np.atleast_1d(np.asarray(owner.attrs[name], dtype=object)).ravel().tolist()
        found = [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]
        if sum(len(text) for text in found) > LARGEST_TEXT:
            raise self.refuse(owner.name, f"has an attribute {name} of absurd size")
        return found

    def _check_size(self, dataset: Any) -> None:
        declared = math.prod(dataset.shape) * dataset.dtype.itemsize
        stored = dataset.id.get_storage_size()
        if stored > self.size or (dataset.chunks is None and declared > stored):
            raise self.refuse(dataset.name, f"declares {declared} bytes, more than the file has of it")
        if declared > MOST_EXPANSION * stored:
            raise self.refuse(dataset.name, f"declares {declared} bytes and stores {stored}")
        self._total += declared
        if self._total > LARGEST_TOTAL:
            raise self.refuse(dataset.name, f"brings the arrays to more than {LARGEST_TOTAL >> 30} GiB")
        if dataset.chunks is not None:
            self._check_packing(dataset, declared)

    def _check_packing(self, dataset: Any, declared: int) -> None:
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
        if chunk > max(declared, SMALL_CHUNK):
            raise self.refuse(dataset.name, f"is packed in pieces of {chunk} bytes, larger than itself")
        filters = dataset.id.get_create_plist()
        known = {1, 2, 3, 4, 32000}  # gzip, shuffle, checksum, szip, lzf
        if any(filters.get_filter(number)[0] not in known for number in range(filters.get_nfilters())):
            raise self.refuse(dataset.name, "is packed by a program that would have to be loaded")


_HEAP = b"GCOL\x01"  # and three bytes that the library does not look at


def broken_heap(data: bytes | mmap.mmap) -> bool:
    """Whether a global heap of the file, where HDF5 keeps texts, does not hold together.

    The library follows its sizes without asking, for ever if one of them is 0. (HDF5 file format specification 3.0,
    section III.E.)
    """
    at = data.find(_HEAP)
    while at >= 0:
        size = int.from_bytes(data[at + 8 : at + 16], "little")
        if 4096 <= size <= len(data) - at and not _holds_together(data[at : at + size]):
            return True
        at = data.find(_HEAP, at + 8)
    return False


def _holds_together(heap: bytes) -> bool:
    place = 16
    while place + 16 <= len(heap):
        index, _, size = struct.unpack_from("<HH4xQ", heap, place)
        if index == 0:  # the free space, which is last and counts its own head
            return bool(size == len(heap) - place)
        if size > len(heap) - place - 16:
            return False
        place += 16 + (size + 7) // 8 * 8
    return True


def _has_broken_heap(file: Path | BytesIO) -> bool:
    if isinstance(file, BytesIO):
        return broken_heap(file.getvalue())
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return broken_heap(mapped)


@contextmanager
def open_hdf5(file: Path | BytesIO, size: int) -> Iterator[Hdf5]:
    """The file of ``size`` bytes, or the open one, for checked reading.

    Raises:
        WeightsError: the file is damaged, now or while it is read.
    """
    import h5py

    try:
        if _has_broken_heap(file):
            raise WeightsError("is not an HDF5 file, or is damaged or truncated (in the storage of its texts)")
        with h5py.File(file, "r") as opened:
            yield Hdf5(opened, size)
    except DAMAGE as error:
        raise WeightsError(f"is not an HDF5 file, or is damaged or truncated ({error})") from error
