"""The last step of every source: records out of columns, and the checks that no format may skip."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable
from striate.data.records import Classes, Dataset, Handle, Record, Split

_EMPTY_FILE = sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class Columns:
    """The records of a source as columns of equal length; see `Record`."""

    handles: Sequence[Handle]
    targets: Sequence[int]
    contents: Sequence[bytes]
    names: Sequence[str]
    splits: Sequence[Split | None]


def assemble(
    root: Path, format: str, classes: Classes, columns: Columns, *, channels: int, notices: Sequence[str]
) -> Dataset:
    """Make the data set, or say why it contradicts itself.

    A source whose only split is "train" has no splits of its own: its records go without.

    Raises:
        DataError: fewer than two classes, or the same picture under two labels.
    """
    if len(classes) < 2:
        only = f"one class only, {classes.names[0]!r}" if classes.names else "no classes"
        raise DataError(
            f"{printable(root)} holds {only}; to tell pictures apart takes at least two classes with pictures of each"
        )
    splits: Sequence[Split | None] = columns.splits
    if set(splits) == {"train"}:
        splits = [None] * len(splits)
    records = tuple(map(Record, columns.handles, columns.targets, columns.contents, columns.names, splits))
    shared = _check_copies(root, classes, records)
    fixed = any(split is not None for split in splits)
    return Dataset(root, format, classes, records, channels, fixed, (*notices, *shared))


def _check_copies(root: Path, classes: Classes, records: Sequence[Record]) -> list[str]:
    """Refuse equal pictures with different labels; return notices about those in more than one split."""
    first: dict[bytes, Record] = {}
    shared: list[str] = []
    for record in records:
        other = first.setdefault(record.content, record)
        if other is record or record.content in (b"", _EMPTY_FILE):  # unreadable and empty files are the scan's affair
            continue
        if other.target != record.target:
            raise DataError(
                f"the same picture has two labels in {printable(root)}: {other.name} is "
                f"{classes.names[other.target]!r} and {record.name} is {classes.names[record.target]!r}; "
                "remove the one that is wrong"
            )
        if other.split != record.split:
            shared.append(f"{other.name} = {record.name}")
    if not shared:
        return []
    what = counted(len(shared), "picture is", "pictures are")
    return [f"{what} in more than one split, so the figures will flatter: {listed(shared, most=3)}"]
