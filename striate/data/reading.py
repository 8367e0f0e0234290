"""See that all pictures can be read before any work is done with them, and keep them decoded while doing so."""

from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from striate.base.errors import DataError, DecodeError
from striate.base.hardware import available_memory, cores
from striate.data.cache import PictureCache
from striate.data.names import printable
from striate.data.records import Dataset
from striate.data.scan import check_readable, picture_sizes, skip_unreadable
from striate.pictures.preprocess import Preprocess
from striate.pictures.remarks import Remarks

CACHE_SHARE = 0.4
"""The part of the memory that is free at the start that decoded pictures may fill."""


def readable(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    skip: bool,
    every_class: bool = True,
    keep: bool = True,
    least_side: int = 1,
) -> tuple[Dataset, PictureCache]:
    """The data set with all its pictures readable, and the cache that reading them has filled.

    With ``skip`` those that cannot be read are left out, and a notice of the data set says which; ``every_class`` says
    that each class must keep some. Without ``keep`` the cache stays empty, and every picture is decoded, however many
    there are. Pictures of which a side is less than ``least_side`` are treated alike.

    Raises:
        DataError: some pictures cannot be read, or are too small, and ``skip`` is not given; names every one of them
            and why.
    """
    cache = PictureCache(int(available_memory() * CACHE_SHARE) if keep else 0)
    remarks = Remarks()
    errors = check_readable(dataset, preprocess, cache=cache, workers=cores(), remarks=remarks, whole=not keep)
    small = _too_small(dataset, least_side, {str(error.path) for error in errors})
    if (errors or small) and not skip:
        rows = "\n".join(f"  {error}" for error in (*errors, *small))
        raise DataError(
            f"{len(errors) + len(small)} of {len(dataset.records)} pictures in {printable(dataset.root)} cannot be "
            f"{'used' if small else 'read'}; mend or remove them, or leave them out with --skip-unreadable:\n{rows}"
        )
    dataset = skip_unreadable(dataset, errors, every_class=every_class)
    dataset = skip_unreadable(dataset, small, every_class=every_class, kind="too small")
    return replace(dataset, notices=(*dataset.notices, *remarks.sentences())), cache


def _too_small(dataset: Dataset, least_side: int, unreadable: Set[str]) -> list[DecodeError]:
    """Why each picture that is too small cannot be used, in the data set's order."""
    if least_side <= 1:
        return []
    records = [record for record in dataset.records if record.name not in unreadable]
    files = {record.name: record.handle for record in records if isinstance(record.handle, Path)}
    sizes = dict(zip(files, picture_sizes([*files.values()], root=dataset.root, workers=cores()), strict=True))
    found = [(record.name, sizes.get(record.name, dataset.picture_shape)) for record in records]
    wanted = f"where {least_side} x {least_side} or more are wanted"
    return [
        DecodeError(name, f"it has {size[1]} x {size[0]} pixels, {wanted}")
        for name, size in found
        if size and min(size) < least_side
    ]
