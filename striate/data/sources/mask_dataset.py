"""Files of masks to records, and the faults that no format of them may pass over.

Every mask is read once for that, by threads, and what was found is remembered. Nothing is mended unless the settings
ask for it; what is taken for what is said in notices.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from striate.base.errors import DataError
from striate.data.coded_mask import CodedMask
from striate.data.mask_facts import MaskFacts, mask_facts
from striate.data.names import counted, listed, printable
from striate.data.records import Classes, Dataset
from striate.data.scan import hash_files, picture_sizes
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, agreed, assemble
from striate.data.sources.class_table import ClassTable
from striate.data.sources.faults import Fault, Report
from striate.data.sources.mask_pairs import Pairs
from striate.data.sources.mask_values import Meaning, meaning_of
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
UNREADABLE = Fault("mask cannot be read", "masks cannot be read", "write such masks again, as PNG")
LOSSY = Fault(
    "mask is compressed with loss, which changes values",
    "masks are compressed with loss, which changes values",
    "save masks as PNG, from what they were made of",
)
RESIZED = Fault(
    "mask is not of its picture's size",
    "masks are not of their pictures' sizes",
    "a mask has a pixel for each of the upright picture; take the picture that was annotated, or annotate this one",
)
SEE_THROUGH = Fault("mask has pixels that are not opaque", "masks have pixels that are not opaque", "", "taken as such")
TURNED = Fault("mask was turned upright", "masks were turned upright", "", "as their EXIF says")
GREY = Fault("mask is stored in colours", "masks are stored in colours", "", "all of them grey, taken for grey values")
VOID = Fault("mask has no pixel of any class", "masks have no pixel of any class", "", "of which nothing counts")
_REMARKS = ((SEE_THROUGH, "see_through"), (TURNED, "turned"))


def masks_dataset(
    root: Path,
    format: str,
    pairs: Pairs,
    table: ClassTable | None,
    settings: DataSettings,
    workers: int,
    *,
    nameless: Sequence[str] = (),
    notices: Sequence[str] = (),
    hint: str = "",
) -> Dataset:
    """The data set of pictures and their masks; ``nameless`` is as in `meaning_of`.

    ``hint`` is said where pictures have no masks.

    Raises:
        DataError: something contradicts itself or the pictures, and ``settings`` do not mend it; names what and where.
    """
    report = Report(hints={WITHOUT_MASK: hint} if hint else {})

    def where(path: Path) -> str:
        return printable(path.relative_to(root))

    _refuse_unpaired(root, pairs, settings, report)
    if pairs.passed_over:
        what = counted(len(pairs.passed_over), "file")
        notices = (
            *notices,
            f"passed over {what} without the masks' suffix: {listed([*map(where, pairs.passed_over)])}",
        )
    pictures, masks = ([pair[side] for pair in pairs.pairs] for side in (0, 1))
    facts = _sound(root, pictures, masks, workers, report)
    try:
        meaning = meaning_of({where(path): each for path, each in facts.items()}, table, report, nameless=nameless)
    except DataError as error:
        report.refuse(root)
        raise DataError(f"{printable(root)}: {error}") from None
    report.refuse(root)
    if len(meaning.names) < 2:
        who = f"{table.where} has" if table else "masks have"
        raise DataError(
            f"{printable(root)}: {who} one class alone, {meaning.names[0]!r}; name what is not it as well, as "
            "'background'"
        )
    hashes = hash_files([*pictures, *masks], root=root, workers=workers)
    targets = [
        _target(path, content, meaning, facts[path])
        for path, content in zip(masks, hashes[len(pictures) :], strict=True)
    ]
    for path, target in zip(masks, targets, strict=True):
        if facts[path].all_grey and not meaning.coloured:
            report.add(GREY, where(path), mended=True)
        if not target.areas:
            report.add(VOID, where(path), mended=True)
    names = [where(path) for path in pictures]
    columns = Columns(pictures, targets, hashes[: len(pictures)], names, agreed(root, names, pairs.splits))
    notices = (*notices, *meaning.notices, *_on_classes(meaning, table, targets, facts), *report.notices())
    return assemble(root, format, Classes(meaning.names), columns, channels=3, notices=notices, task="segment")


def _refuse_unpaired(root: Path, pairs: Pairs, settings: DataSettings, report: Report) -> None:
    for fault, paths in ((WITHOUT_MASK, pairs.without_mask), (WITHOUT_PICTURE, pairs.without_picture)):
        for path in paths:
            skipped = fault is WITHOUT_MASK and settings.unlabelled == "skip"
            report.add(fault, printable(path.relative_to(root)), mended=skipped)
    for text in pairs.several:
        report.add(SEVERAL, text)
    report.refuse(root)
    if not pairs.pairs:
        raise DataError(f"{printable(root)} holds no picture with a mask; expected images/a.jpg beside masks/a.png")


def _sound(
    root: Path, pictures: Sequence[Path], masks: Sequence[Path], workers: int, report: Report
) -> dict[Path, MaskFacts]:
    """The facts of the masks that can be read and fit their pictures; the faults of the others go into the report."""
    sizes = picture_sizes(pictures, root=root, workers=workers)
    sound: dict[Path, MaskFacts] = {}
    for path, found, size in zip(masks, mask_facts(masks, root=root, workers=workers), sizes, strict=True):
        where = printable(path.relative_to(root))
        if not isinstance(found, MaskFacts):
            report.add(UNREADABLE, f"{where} ({found.reason})")
        elif found.lossy:
            report.add(LOSSY, f"{where} ({found.lossy})")
        elif size and size != (found.height, found.width):
            report.add(RESIZED, f"{where} ({found.width} x {found.height}, and the picture {size[1]} x {size[0]})")
        else:
            sound[path] = found
            for fault, mark in _REMARKS:
                if getattr(found, mark):
                    report.add(fault, where, mended=True)
    return sound


def _target(path: Path, content: bytes, meaning: Meaning, facts: MaskFacts) -> Mask:
    areas = meaning.areas(facts)
    if meaning.coloured or max(meaning.values) > UNKNOWN:
        coded = f"{meaning.values} {meaning.coloured}".encode()
        return Mask(CodedMask(path, meaning.values, meaning.coloured), sha256(content + coded).digest(), None, areas)
    indices = {value: index for index, value in enumerate(meaning.values)}
    return Mask(path, content, tuple(indices.get(value, UNKNOWN) for value in range(UNKNOWN + 1)), areas)


def _on_classes(
    meaning: Meaning, table: ClassTable | None, targets: Sequence[Mask], facts: Mapping[Path, MaskFacts]
) -> list[str]:
    """What is said of classes that are not counted, and of those that no mask has."""
    occurring = {index for target in targets for index in target.areas or ()}
    absent = [name for index, name in enumerate(meaning.names) if index not in occurring]
    ignored = [printable(name) for name in (table.ignored.values() if table else ())]
    pixels = sum(each.height * each.width for each in facts.values())
    left = 1 - sum(sum((target.areas or {}).values()) for target in targets) / max(1, pixels)
    called = f" (255, {', '.join(ignored)})" if ignored else " (255)"
    notices = [f"{left:.1%} of all pixels are nobody's{called} and not counted"] * bool(left > 0)
    what = counted(len(absent), "class has", "classes have")
    return notices + [f"{what} no pixel in any mask: {listed([*map(printable, absent)])}"] * bool(absent)
