"""The last step of every source: records out of columns, and the checks that no format may skip."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable
from striate.data.records import Classes, Dataset, Handle, Record, Split, copies
from striate.data.targets import Target

KEPT = (
    "; of equal bytes, they stay on one side of a split (striate train --group near also keeps copies in other sizes "
    "or qualities together)"
)
"""What becomes of copies where no folder names decide."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The records of a source as columns of equal length; see `Record`."""

    handles: Sequence[Handle]
    targets: Sequence[Target]
    contents: Sequence[bytes]
    names: Sequence[str]
    splits: Sequence[Split | None]


def agreed(root: Path, names: Sequence[str], splits: Sequence[Split | None]) -> Sequence[Split | None]:
    """The splits of the pictures ``names``; raises DataError where some are in one and others in none."""
    if None in splits and set(splits) != {None}:
        without = [name for name, split in zip(names, splits, strict=True) if split is None]
        named = [name for name, split in zip(names, splits, strict=True) if split is not None]
        raise DataError(
            f"{printable(root)}: {counted(len(without), 'picture')} in no split ({listed(without, most=3)}), and "
            f"{len(named)} in splits ({listed(named, most=3)}); move them into a split, or give one split's folder"
        )
    return splits


def assemble(
    root: Path,
    format: str,
    classes: Classes,
    columns: Columns,
    *,
    channels: int,
    notices: Sequence[str],
    task: str,
) -> Dataset:
    """Make the data set; notices say which copies are in more than one split, and of which other things are said.

    A source whose only split is "train" has no splits of its own: its records go without.
    """
    splits: Sequence[Split | None] = columns.splits
    if set(splits) == {"train"}:
        splits = [None] * len(splits)
    records = tuple(map(Record, columns.handles, columns.targets, columns.contents, columns.names, splits))
    fixed = any(split is not None for split in splits)
    names = [name.encode("utf-8", "surrogateescape") for name in classes.names]
    pairs = [(first, copy, f"{first.name} = {copy.name}") for first, copy in copies(records)]
    if shared := [text for first, copy, text in pairs if first.split != copy.split]:
        what = counted(len(shared), "picture is", "pictures are")
        notices = (*notices, f"{what} in more than one split, so the figures will flatter: {listed(shared, most=3)}")
    # Of classes this is an error, which the task makes of it; for others it may be two who drew alike.
    if other := [text for first, copy, text in pairs if first.target.as_bytes(names) != copy.target.as_bytes(names)]:
        what = counted(len(other), "copy differs", "copies differ")
        notices = (
            *notices,
            f"{what} from the first picture in what is said of it: {listed(other)}{'' if fixed else KEPT}",
        )
    return Dataset(root, format, classes, records, channels, fixed, task, tuple(notices))
