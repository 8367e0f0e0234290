"""See that all pictures can be read before any work is done with them, and keep them decoded while doing so."""

from dataclasses import replace

from striate.base.errors import DataError
from striate.base.hardware import available_memory, cores
from striate.data.cache import PictureCache
from striate.data.names import printable
from striate.data.records import Dataset
from striate.data.scan import check_readable, skip_unreadable
from striate.pictures.preprocess import Preprocess
from striate.pictures.remarks import Remarks

CACHE_SHARE = 0.4
"""The part of the memory that is free at the start that decoded pictures may fill."""


def readable(
    dataset: Dataset, preprocess: Preprocess, *, skip: bool, every_class: bool = True, keep: bool = True
) -> tuple[Dataset, PictureCache]:
    """The data set with all its pictures readable, and the cache that reading them has filled.

    With ``skip`` those that cannot be read are left out, and a notice of the data set says which; ``every_class`` says
    that each class must keep some. Without ``keep`` the cache stays empty, and every picture is decoded, however many
    there are.

    Raises:
        DataError: some pictures cannot be read and ``skip`` is not given; names every one of them and why.
    """
    cache = PictureCache(int(available_memory() * CACHE_SHARE) if keep else 0)
    remarks = Remarks()
    errors = check_readable(dataset, preprocess, cache=cache, workers=cores(), remarks=remarks, whole=not keep)
    if errors and not skip:
        rows = "\n".join(f"  {error}" for error in errors)
        raise DataError(
            f"{len(errors)} of {len(dataset.records)} pictures in {printable(dataset.root)} cannot be read; mend or "
            f"remove them, or leave them out with --skip-unreadable:\n{rows}"
        )
    dataset = skip_unreadable(dataset, errors, every_class=every_class)
    return replace(dataset, notices=(*dataset.notices, *remarks.sentences())), cache
