"""Which splits several annotation files are, by their names or their folders'."""

from collections.abc import Sequence
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import listed, printable
from striate.data.records import Split
from striate.data.sources.layouts import split_names
from striate.data.sources.picture_index import PictureIndex


def file_splits(index: PictureIndex, files: Sequence[Path], kind: str, *, parts: bool) -> list[Split | None]:
    """The split of each file, None for one alone; where they may be ``parts``, several of one split or of none.

    Raises:
        DataError: some names say a split and others do not, or without ``parts`` not one each.
    """
    if len(files) < 2:
        return [None] * len(files)
    folders = [file.parent.name if file.parent != index.root else "" for file in files]
    ways = [[file.stem for file in files], folders]
    read = [split_names(names) for names in ways]
    for names, found in zip(ways, read, strict=True):
        splits: list[Split | None] = [found.get(name) for name in names]
        if None not in splits and (parts or len(set(splits)) == len(files)):
            return splits
    if parts and not any(read):
        return [None] * len(files)
    shown = listed([index.where(file) for file in files])
    raise DataError(
        f"{printable(index.root)} holds several {kind} files ({shown}), whose names do not say one split each; give "
        "one of them, or call them train, val and test"
    )
