"""Pictures and masks to records, and the faults that no format of masks may pass over.

Nothing is mended unless the settings ask for it, and then a notice counts it.
"""

from collections.abc import Sequence
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable
from striate.data.records import Classes, Dataset
from striate.data.scan import hash_files
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, agreed, assemble
from striate.data.sources.class_table import ClassTable
from striate.data.sources.faults import Fault, Report
from striate.data.sources.folder_tree import Folder
from striate.data.sources.mask_pairs import Pairs
from striate.data.targets import Mask
from striate.pictures.geometry import UNKNOWN

WITHOUT_MASK = Fault(
    "picture has no mask",
    "pictures have no masks",
    "add what is missing, or leave such pictures out with --unlabelled skip; masks whose names have something behind "
    "their pictures' are found with --mask-suffix",
    "left out",
)
WITHOUT_PICTURE = Fault(
    "mask has no picture",
    "masks have no pictures",
    "a mask is called like its picture, perhaps with _gt, _mask, _label or what --mask-suffix says behind it; rename "
    "it, add the picture, or remove the mask",
)
SEVERAL = Fault(
    "picture and its mask cannot be told from others of that name",
    "pictures and their masks cannot be told from others of their names",
    "keep one picture and one mask of each name",
)


def masks_dataset(
    tree: Folder,
    format: str,
    pairs: Pairs,
    table: ClassTable,
    settings: DataSettings,
    workers: int,
    *,
    notices: Sequence[str] = (),
) -> Dataset:
    """The data set of pictures and their masks.

    Raises:
        DataError: something contradicts itself or the pictures, and ``settings`` do not mend it; names what and where.
    """
    root = tree.path
    report = Report()

    def where(path: Path) -> str:
        return printable(path.relative_to(root))

    for path in pairs.without_mask:
        report.add(WITHOUT_MASK, where(path), mended=settings.unlabelled == "skip")
    for path in pairs.without_picture:
        report.add(WITHOUT_PICTURE, where(path))
    for text in pairs.several:
        report.add(SEVERAL, text)
    report.refuse(root)
    if not pairs.pairs:
        raise DataError(f"{printable(root)} holds no picture with a mask; expected images/a.jpg beside masks/a.png")
    if pairs.passed_over:
        what = counted(len(pairs.passed_over), "file")
        notices = (
            *notices,
            f"passed over {what} without the masks' suffix: {listed([*map(where, pairs.passed_over)])}",
        )
    pictures, masks = ([pair[side] for pair in pairs.pairs] for side in (0, 1))
    hashes = hash_files([*pictures, *masks], root=root, workers=workers)
    numbers = _numbers(table)
    names = [where(path) for path in pictures]
    columns = Columns(
        handles=pictures,
        targets=[Mask(path, content, numbers) for path, content in zip(masks, hashes[len(pictures) :], strict=True)],
        contents=hashes[: len(pictures)],
        names=names,
        splits=agreed(root, names, pairs.splits),
    )
    notices = (*notices, *report.notices())
    return assemble(root, format, Classes(table.names), columns, channels=3, notices=notices, task="segment")


def _numbers(table: ClassTable) -> tuple[int, ...]:
    """The class index of each byte."""
    indices = {value: index for index, value in enumerate(table.values)}
    return tuple(indices.get(value, UNKNOWN) for value in range(UNKNOWN + 1))
