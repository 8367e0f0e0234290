"""What must be known of every file before a run: its content hash, and whether it can be read at all.

Both are remembered in the user's cache folder, by path, size and times, so that the next run on the same folder
starts at once. Losing that memory costs time, never correctness. Verdicts hold for the decoders that gave them, and
only what lies in a file's content is remembered: too many open files, a disk that fails or a lack of memory may pass.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar, cast

import PIL
import simplejpeg
from PIL import features

from striate.base.atomic import write_text
from striate.base.errors import DataError, DecodeError, OutputError
from striate.base.folders import cache_folder
from striate.data.cache import PictureCache
from striate.data.names import counted, listed, printable
from striate.data.records import Dataset, Record, occurring_in
from striate.pictures.decode import decode, read_header
from striate.pictures.likeness import SIDE, likeness_hash
from striate.pictures.preprocess import Preprocess
from striate.pictures.remarks import Remark, Remarks

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_FORMAT = 2  # 1 had verdicts that lay in no content
_CODECS = ("libjpeg_turbo", "zlib", "libtiff", "jpg_2000", "webp", "avif")
_SETTLED_NS = 2_000_000_000  # a file younger than this may change again within one tick of its clock
_SAMPLED = 16
_LOST = "it could not be read at first, and can be now; start again"


@dataclass(slots=True)
class _Seen:
    """What is known of one file: its stamp (size, mtime, ctime), hash, and verdicts (the reason, or "" for fine)."""

    stamp: list[int]
    content: str | None = None
    verdicts: dict[str, str] = field(default_factory=dict)


class _Memory:
    """What earlier scans found below ``root``; files are kept by their path relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = os.path.join(root, "")  # noqa: PTH118 (for its ending)
        self._seen: dict[str, _Seen] = {}
        self.changed = False  # whether something was learnt which `save` should keep
        self._decoders = _decoders()
        try:
            name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]
            self._file: Path | None = cache_folder() / "scans" / f"{name}.json"
            content = json.loads(self._file.read_text(encoding="utf-8"))
            if content["format"] in (1, _FORMAT):
                same = content.get("decoders") == self._decoders
                rows = content["files"].items()
                self._seen = {path: _Seen(stamp, sha, said if same else {}) for path, (stamp, sha, said) in rows}
        except OutputError:
            self._file = None  # no cache folder can be made: every scan is the first
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # never scanned, or damaged

    def of(self, path: Path) -> _Seen:
        """What is known of the file as it is now; raises OSError if it cannot be asked."""
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        name = os.fspath(path)  # plain text: pathlib would take longer than asking for the status
        key = name[len(self._prefix) :] if name.startswith(self._prefix) else os.fspath(path.absolute())
        seen = self._seen.get(key)
        if seen is None or seen.stamp != stamp:
            seen = _Seen(stamp)
            if max(stamp[1:]) < time.time_ns() - _SETTLED_NS:
                self._seen[key] = seen
        return seen

    def verdict(self, record: Record, what: str) -> str | None:
        """The remembered reason why ``what`` of the picture cannot be read, "" if it can, None if nothing is known."""
        assert isinstance(record.handle, Path)
        try:
            return self.of(record.handle).verdicts.get(what)
        except OSError:
            return None

    def learn(self, record: Record, what: str, reason: str) -> None:
        """Remember a verdict on the content of a file that can be asked for its size and times."""
        assert isinstance(record.handle, Path)
        with contextlib.suppress(OSError):
            self.of(record.handle).verdicts[what] = reason
            self.changed = True

    def save(self) -> None:
        """Keep what was learnt; a cache that cannot be written is no failure of the scan."""
        if not self.changed or self._file is None:
            return
        rows = {path: [seen.stamp, seen.content, seen.verdicts] for path, seen in sorted(self._seen.items())}
        with contextlib.suppress(OSError, OutputError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            content = {"format": _FORMAT, "decoders": self._decoders, "root": printable(self.root), "files": rows}
            write_text(self._file, json.dumps(content))


def _decoders() -> dict[str, str | None]:
    """What reads pictures here, in which versions; None for a codec that is not there, or could not be loaded now.

    ``rules`` change with what of it we accept.
    """
    codecs = {name: features.version(name) for name in _CODECS}
    codecs["pillow-heif"] = version("pillow-heif") if find_spec("pillow_heif") else None
    return {"rules": "2", "pillow": PIL.__version__, "simplejpeg": simplejpeg.__version__, **codecs}


def hash_files(paths: Sequence[Path], *, root: Path, workers: int) -> list[bytes]:
    """The sha256 of each file's bytes (32 bytes each); ``b""`` for a file that cannot be read.

    ``root`` is a folder that holds them all; what is learnt is remembered under its name.
    """
    memory = _Memory(root)

    def content(path: Path) -> bytes:
        try:
            seen = memory.of(path)
            if seen.content is None:
                if not path.is_file():  # a pipe would be waited for
                    return b""
                with path.open("rb") as file:
                    seen.content = hashlib.file_digest(file, "sha256").hexdigest()
                memory.changed = True
            return bytes.fromhex(seen.content)
        except OSError:
            return b""

    hashes = [found or content(path) for path, found in zip(paths, _in_threads(content, paths, workers), strict=True)]
    memory.save()
    return hashes


def picture_sizes(paths: Sequence[Path], *, root: Path, workers: int) -> list[tuple[int, int] | None]:
    """The upright height and width of each picture, from its header; None for one that cannot be read.

    ``root`` is as in `hash_files`, and they are remembered likewise.
    """

    def size(path: Path) -> str:
        header = read_header(path)
        return f"{header.height} {header.width}"

    words = [found.split() if found else None for found in found_in(paths, "size", size, root, workers)]
    return [(int(found[0]), int(found[1])) if found else None for found in words]


def likeness_hashes(paths: Sequence[Path], *, root: Path, workers: int) -> list[int | None]:
    """What each picture looks like, as `likeness_hash` has it; None for one that cannot be read.

    ``root`` is as in `hash_files`, and they are remembered likewise.
    """

    def likeness(path: Path) -> str:
        return f"{likeness_hash(decode(path, 'grey', SIDE).pixels):016x}"

    found = found_in(paths, "likeness", likeness, root, workers)
    return [int(word, 16) if word else None for word in found]


def found_in(
    paths: Sequence[Path], what: str, find: Callable[[Path], str], root: Path, workers: int
) -> list[str | None]:
    """What ``find`` says of each picture, which is remembered as ``what``; None for one that cannot be read.

    ``root`` is as in `hash_files`.
    """
    memory = _Memory(root)

    def look(path: Path) -> str | None:
        try:
            verdicts = memory.of(path).verdicts
            if what not in verdicts:
                verdicts[what] = find(path)
                memory.changed = True
            return verdicts[what]
        except (OSError, DecodeError):
            return None

    found = list(_in_threads(look, paths, workers))
    memory.save()
    return found


def check_readable(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    cache: PictureCache,
    workers: int,
    remarks: Remarks | None = None,
    whole: bool = False,
) -> list[DecodeError]:
    """Find all pictures that cannot be read, in the data set's order; each error's path is its record's name.

    Pictures that fit into the cache are decoded through it, which fills it; of more than that only the headers are
    read, unless ``whole`` has all of them decoded. Files whose verdict is remembered are not opened again, and where
    the fault may not be the file's it is asked twice. A picture without a hash (`hash_files`) counts as unreadable.
    ``remarks`` hear what was odd about pictures that were decoded, now or when their verdict was found.
    """
    records = [record for record in dataset.records if isinstance(record.handle, Path)]
    memory = _Memory(dataset.root)
    pixels = f"pixels as {preprocess.channels}"
    reasons = {position: memory.verdict(record, pixels) for position, record in enumerate(records)}
    unknown = [position for position, reason in reasons.items() if reason is None]
    fits = whole or (
        bool(unknown) and cache.fits(estimate_bytes([records[position] for position in unknown], preprocess, cache))
    )

    odd: dict[str, Remark] = {}

    def attempt(position: int) -> tuple[str, bool]:
        if fits:
            return _try_pixels(records[position], preprocess, cache, odd)
        return _try_header(records[position], memory)

    for position, (reason, lasting) in zip(unknown, _in_threads(attempt, unknown, workers), strict=True):
        if not lasting:
            reason, lasting = attempt(position)
        reasons[position] = reason
        if lasting:
            memory.learn(records[position], pixels if fits else "header", reason)
        if remark := odd.get(records[position].name):
            memory.learn(records[position], "remark", remark)
    memory.save()
    if remarks is not None:
        for record in records:
            remarks.add(record.name, odd.get(record.name) or cast(Remark, memory.verdict(record, "remark") or ""))
    return [
        DecodeError(record.name, reason or _LOST)
        for record, reason in zip(records, reasons.values(), strict=True)
        if reason or not record.content
    ]


def _in_threads(function: Callable[[_In], _Out], items: Sequence[_In], workers: int) -> Iterator[_Out]:
    """The function of each item, in order; an interrupt drops what has not begun."""
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def estimate_bytes(records: Sequence[Record], preprocess: Preprocess, cache: PictureCache) -> int:
    """About how many bytes the pictures take once decoded for ``preprocess``, from a sample of them."""
    sizes = []
    for record in records[:: max(len(records) // _SAMPLED, 1)]:
        with contextlib.suppress(DataError):
            sizes.append(cache.picture(record, preprocess).pixels.nbytes)
    return sum(sizes) * len(records) // max(len(sizes), 1)


def _try_pixels(
    record: Record, preprocess: Preprocess, cache: PictureCache, odd: dict[str, Remark]
) -> tuple[str, bool]:
    """Decode the picture into the cache, and note in ``odd`` what was odd; the verdict as in `_verdict`."""

    def read() -> None:
        odd[record.name] = cache.picture(record, preprocess).remark

    return _verdict(read)


def _try_header(record: Record, memory: _Memory) -> tuple[str, bool]:
    handle = record.handle
    assert isinstance(handle, Path)
    if (known := memory.verdict(record, "header")) is not None:
        return known, True
    return _verdict(lambda: read_header(handle, name=record.name))


def _verdict(read: Callable[[], object]) -> tuple[str, bool]:
    """Why a picture cannot be read, "" if it can, and whether that will last: lies in the content of the file."""
    try:
        read()
    except DecodeError as error:
        cause = error.__cause__
        systems = isinstance(cause, MemoryError) or (isinstance(cause, OSError) and bool(cause.errno))
        # Codecs say it in words: Pillow "out of memory error when reading image file", libavif "Out of memory".
        return error.reason, not systems and "memory" not in str(cause).lower()
    return "", True


def skip_unreadable(
    dataset: Dataset, errors: Iterable[DecodeError], *, every_class: bool = True, kind: str = "unreadable"
) -> Dataset:
    """The data set without the pictures that cannot be read, with a notice that says how many of that kind, and which.

    Raises:
        DataError: a class is left without a picture, and ``every_class`` needs some.
    """
    names = {str(error.path) for error in errors}
    if not names:
        return dataset
    kept = tuple(record for record in dataset.records if record.name not in names)
    gone = occurring_in(dataset.records) - occurring_in(kept)
    if every_class and gone:
        lost = listed([repr(dataset.classes.names[target]) for target in sorted(gone)])
        raise DataError(f"without its {kind} pictures {printable(dataset.root)} has none left of {lost}")
    which = listed([record.name for record in dataset.records if record.name in names], most=50)
    notice = f"skipped {counted(len(names), f'{kind} picture')}: {which}"
    return replace(dataset, records=kept, notices=(*dataset.notices, notice))
