"""A data set of boxes to a folder in another format: all of it or nothing."""

import itertools
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from striate.base.atomic import output_error
from striate.base.errors import DataError, OutputError
from striate.data.names import listed, printable
from striate.data.reading import readable
from striate.data.records import Classes, Dataset, Record, Split
from striate.data.scan import picture_sizes
from striate.data.targets import Boxes
from striate.pictures.preprocess import Preprocess


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to write: its file, its new name (no other has its stem), size in pixels, split and objects."""

    file: Path
    name: str
    height: int
    width: int
    split: Split | None
    boxes: Boxes

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePath(self.name).stem


Write = Callable[[Path, Sequence[Picture], Classes], list[str]]

_SMALL = Preprocess(size=(16, 16))
"""As what pictures are decoded that are only to be seen whole."""


_RESERVED = {"", "classes"}
"""Stems that no picture has: ``classes.txt`` is YOLO's list of classes."""


def convert(
    dataset: Dataset,
    out: Path,
    place: Callable[[Picture], str],
    write: Write,
    *,
    workers: int = 1,
    skip_unreadable: bool = False,
) -> Dataset:
    """Write the data set into the new folder ``out``, pictures copied.

    Returns:
        What was written of it; its notices say what the format cannot hold and, with ``skip_unreadable``, which
        pictures were left out.

    Raises:
        DataError: the data are no boxes of picture files, or a picture cannot be read.
        OutputError: ``out`` exists and is not empty, or cannot be written.
    """
    if not all(isinstance(each.handle, Path) and isinstance(each.target, Boxes) for each in dataset.records):
        raise DataError(
            f"{printable(dataset.root)} holds no boxes (its format is {dataset.format}); only these are converted"
        )
    _refuse_place(out)
    dataset, _ = readable(dataset, _SMALL, skip=skip_unreadable, every_class=False, keep=False)
    pictures = _pictures(dataset, workers)
    partial = out.with_name(f".{out.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
        notices = write(partial, pictures, dataset.classes)
        for picture in pictures:
            target = partial / place(picture)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture.file, target)
        partial.replace(out)
    except OSError as error:
        raise output_error(out, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return replace(dataset, notices=(*dataset.notices, *notices))


def _refuse_place(out: Path) -> None:
    """See that nothing is there yet but an empty folder, which is replaced."""
    try:
        there = out.exists() and (not out.is_dir() or any(out.iterdir()))
        here = out.exists() and out.samefile(Path())  # whoever is in it would be left in a folder that is gone
    except OSError as error:
        raise output_error(out, error) from error
    if there or here:
        why = "it exists" if there else "it is the folder that you are in"
        raise OutputError(f"cannot write {printable(out)}: {why}; give a folder that is not there yet")


def _pictures(dataset: Dataset, workers: int) -> list[Picture]:
    files = [record.handle for record in dataset.records if isinstance(record.handle, Path)]
    boxes = [record.target for record in dataset.records if isinstance(record.target, Boxes)]
    sizes = picture_sizes(files, root=dataset.root, workers=workers)
    if unreadable := [record.name for record, size in zip(dataset.records, sizes, strict=True) if size is None]:
        raise DataError(f"{printable(dataset.root)}: pictures that cannot be read any more: {listed(unreadable)}")
    return [
        Picture(file, name, *size, record.split, target)
        for file, name, size, record, target in zip(
            files, _names(dataset.records, files), sizes, dataset.records, boxes, strict=True
        )
        if size is not None
    ]


def _names(records: Sequence[Record], files: Sequence[Path]) -> list[str]:
    """Names whose stems are all different: the files' own, else with their folders, else with their suffixes, too.

    One that a format cannot hold is another, with a number where that is a picture's already.
    """
    paths = [PurePath(record.name) for record in records]
    joined = ["-".join(path.with_suffix("").parts) for path in paths]
    ways = (
        [file.stem for file in files],
        joined,
        [f"{name}-{file.suffix[1:]}" for name, file in zip(joined, files, strict=True)],
    )
    stems = next((stems for stems in ways if len({stem.casefold() for stem in stems}) == len(stems)), None)
    if stems is None:
        raise DataError("two pictures would have the same name in one folder; give them different names")
    # Readers take a backslash for a folder's end, and a name that is not UTF-8 fits into no file of theirs, nor does a
    # space at an end into a list.
    plain = [printable(stem).replace("\\", "_").strip() for stem in stems]
    taken = _RESERVED | {stem.casefold() for stem, own in zip(plain, stems, strict=True) if stem == own}
    found = []
    for stem, own, file in zip(plain, stems, files, strict=True):
        if stem != own or stem.casefold() in _RESERVED:
            numbered = (f"{stem}-{number}" for number in itertools.count(2))
            stem = next(each for each in itertools.chain([stem], numbered) if each.casefold() not in taken)
            taken |= {stem.casefold()}
        found.append(stem + file.suffix)
    return found
