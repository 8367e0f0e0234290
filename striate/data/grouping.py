"""Which pictures belong together although their bytes differ: copies in other sizes or qualities, or what a file says.

A split never parts them (`Record.group`).
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from striate.base.errors import DataError
from striate.base.nearest import did_you_mean
from striate.data.names import counted, listed, printable, quoted
from striate.data.records import Dataset, Record
from striate.data.scan import likeness_hashes
from striate.data.sources.text_files import divider, read_rows, read_text
from striate.pictures.likeness import alike, likeness_hash

NEAR = "near"
_COLUMNS = ("picture", "group")
_TABLE = "a CSV file whose first line names the columns picture and group"


def grouped(dataset: Dataset, group: str, workers: int) -> Dataset:
    """The data set with groups in its records; a notice says which there are.

    ``group`` is "near", which joins pictures that look alike (`striate.pictures.likeness`), or a CSV file, from here or
    from the data's folder, with the columns picture (its name in reports, or as much of that name's end as means one
    picture alone) and group. ``workers`` threads look at the pictures, and what they see is remembered.

    Raises:
        DataError: there is no such file, or it is not such a file, speaks of a picture that is not there or speaks of
            one twice, or leaves one out.
    """
    records, notice = _by_likeness(dataset, workers) if group == NEAR else _by_file(dataset, group)
    return replace(dataset, records=records, notices=(*dataset.notices, *notice))


def _by_likeness(dataset: Dataset, workers: int) -> tuple[tuple[Record, ...], list[str]]:
    different: dict[bytes, Record] = {}
    for record in dataset.records:
        if record.content:
            different.setdefault(record.content, record)
    hashes = _hashes(list(different.values()), dataset.root, workers)
    seen = [record for record, found in zip(different.values(), hashes, strict=True) if found is not None]
    firsts, pairs = alike(np.array([found for found in hashes if found is not None], dtype=np.uint64))
    sizes = Counter(firsts)
    groups = {
        record.content: seen[first].content for record, first in zip(seen, firsts, strict=True) if sizes[first] > 1
    }
    records = tuple(replace(record, group=groups.get(record.content)) for record in dataset.records)
    if not pairs:
        return records, ["no picture looks like another, but for copies of equal bytes"]
    of_two = [(seen[one], seen[other]) for one, other in pairs]
    what = counted(len(pairs), "picture looks like an earlier one", "pictures look like earlier ones")
    largest = max(sizes.values())
    of_many = f"; the largest group has {largest} pictures" if largest > 2 else ""
    notices = [f"{what}, and no split parts them: {listed([_pair(*each) for each in of_two])}{of_many}"]
    if parted := [_pair(*each) for each in of_two if each[0].split != each[1].split]:
        what = counted(len(parted), "picture looks", "pictures look")
        notices.append(f"{what} like one in another split, so the figures will flatter: {listed(parted)}")
    return records, notices


def _pair(one: Record, other: Record) -> str:
    return f"{one.name} ~ {other.name}"


def _hashes(records: Sequence[Record], root: Path, workers: int) -> list[int | None]:
    """What each picture looks like; in arrays the bands' mean counts, as they may have any number."""
    files = [record.handle for record in records if isinstance(record.handle, Path)]
    of_files = iter(likeness_hashes(files, root=root, workers=workers) if files else ())
    found: list[int | None] = []
    for record in records:
        if isinstance(record.handle, Path):
            found.append(next(of_files))
        else:
            pixels = np.atleast_3d(record.handle.array[record.handle.index])
            found.append(likeness_hash(pixels.mean(axis=2, keepdims=True).astype(np.uint8)))
    return found


def _by_file(dataset: Dataset, group: str) -> tuple[tuple[Record, ...], list[str]]:
    # By os.path, which takes a name that is too long, or has a null in it, for that of no file.
    path = next((each for each in (Path(group), dataset.root / group) if os.path.isfile(each)), None)  # noqa: PTH113
    if path is None:
        raise DataError(
            f"group is {quoted(group, 200)}, and there is no such file here or in {printable(dataset.root)}."
            f'{did_you_mean(group, [NEAR])} Give "{NEAR}", or {_TABLE}'
        )
    where = printable(path)
    named = _Named(dataset)
    groups: dict[str, str] = {}
    places: dict[str, str] = {}
    for place, word, name in _rows(path, where):
        picture = named.picture(word, place)
        if picture in groups:
            raise DataError(f"{place}: {quoted(word, 200)} is in {places[picture]}, too; expected each picture once")
        groups[picture], places[picture] = name, place
    if left := [record.name for record in dataset.records if record.name not in groups]:
        what = counted(len(left), "picture has", "pictures have")
        raise DataError(
            f"{where}: {what} no group: {listed(left)}; give each a line, and one that belongs to no other a group of "
            "its own"
        )
    records = tuple(replace(each, group=groups[each.name].encode()) for each in dataset.records)
    count = len(set(groups.values()))
    notices = [f"{counted(len(records), 'picture')} in {counted(count, 'group')}, by {where}"]
    sides: dict[str, set[str | None]] = {}
    for record in records:
        sides.setdefault(groups[record.name], set()).add(record.split)
    if parted := [quoted(name) for name, splits in sides.items() if len(splits) > 1]:
        what = counted(len(parted), "group is", "groups are")
        notices.append(f"{what} in more than one split, so the figures will flatter: {listed(parted)}")
    return records, notices


def _rows(path: Path, where: str) -> Iterator[tuple[str, str, str]]:
    """Place, picture and group of each line."""
    text = read_text(path, where)
    if not text.strip():
        raise DataError(f"{where} is empty; expected {_TABLE}")
    lines = read_rows(text, where, divider(text.partition("\n")[0]))
    columns = [word.strip().lower() for word in next(lines)[1]]
    if not all(columns.count(name) == 1 for name in _COLUMNS):
        raise DataError(
            f"{where}:1: has the columns {listed([printable(each[:40]) for each in columns])}; expected {_TABLE}"
        )
    for place, words in lines:
        row = dict(zip(columns, map(str.strip, words), strict=False))
        if not any(words):
            continue
        if lacking := [name for name in _COLUMNS if not row.get(name)]:
            raise DataError(f"{place}: names no {lacking[0]}; expected a picture and its group in each line")
        yield place, row["picture"], row["group"]


class _Named:
    """The pictures of a data set by their names in reports, and by the ends of these, folder for folder."""

    def __init__(self, dataset: Dataset) -> None:
        self._root = dataset.root
        self._names = {record.name for record in dataset.records}
        self._ends: dict[str, list[str]] = {}
        for name in self._names:
            end = name
            while end := end.partition("/")[2]:
                self._ends.setdefault(end, []).append(name)

    def picture(self, word: str, place: str) -> str:
        """The name of the picture that ``word`` means; raises DataError if it means none, or several."""
        plain = word.replace("\\", "/").removeprefix("./")
        found = [plain] if plain in self._names else self._ends.get(plain, [])
        if len(found) > 1:
            raise DataError(f"{place}: {quoted(word, 200)} may be {listed(sorted(found))}; write it with its folders")
        if not found:
            hint = did_you_mean(plain[-200:], self._names)
            raise DataError(f"{place}: there is no picture {quoted(word, 200)} in {printable(self._root)}.{hint}")
        return found[0]
