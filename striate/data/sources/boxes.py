"""Objects as annotation files have them to records of boxes, and the faults that no format may pass over.

Nothing is mended unless the settings ask for it, and then a notice counts it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable, quoted, unspaced
from striate.data.records import Classes, Dataset, Split
from striate.data.scan import hash_files, picture_sizes
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, agreed, assemble
from striate.data.sources.faults import Fault, Report
from striate.data.sources.picture_index import PictureIndex
from striate.data.targets import Boxes, Target


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object: ``where`` is its ``path:line`` or id, ``label`` an index into the classes, or a name.

    ``xyxy`` is as in `Boxes`, or in parts of width and height. ``outline`` is as in `Boxes`; it lies over those of
    lower ``layer``.
    """

    where: str
    label: int | str
    xyxy: tuple[float, float, float, float]
    difficult: bool = False
    crowd: bool = False
    id: str | None = None
    area: float | None = None
    outline: Any = None
    layer: int = 0


@dataclass(slots=True)
class Annotated:
    """A picture that annotations speak of, or that none does (``objects`` is None then).

    ``path`` is None where there is no such picture, ``where`` is what speaks of it, ``size`` the height and width that
    stand there.
    """

    path: Path | None
    where: str
    objects: list[Annotation] | None
    size: tuple[int, int] | None = None
    split: Split | None = None


OUTSIDE = Fault(
    "box reaches out of its picture",
    "boxes reach out of their pictures",
    "correct the annotation, or cut what is outside with --clip",
    "cut at the border",
)
DEGENERATE = Fault(
    "box has no area",
    "boxes have no area",
    "correct the annotation, or leave such boxes out with --drop-degenerate",
    "left out",
)
DUPLICATE = Fault(
    "box repeats another of its class",
    "boxes repeat others of their class",
    "keep one of them, or leave the others out with --drop-duplicates",
    "left out",
)
UNLABELLED = Fault(
    "picture has no annotations",
    "pictures have no annotations",
    "annotate what is missing, or take such pictures as without objects (--unlabelled background), or leave them out "
    "(--unlabelled skip)",
)
MISSING = Fault(
    "annotation is of a picture that is not there",
    "annotations are of pictures that are not there",
    "add what is missing, or remove what is said of it",
)
RESIZED = Fault(
    "picture is not of the size that its annotation says",
    "pictures are not of the size that their annotations say",
    "boxes are in pixels of the upright picture; take the picture that was annotated, or annotate this one",
)
TWICE = Fault(
    "picture is annotated in two places",
    "pictures are annotated in two places",
    "keep one, with all objects of the picture",
)
SEVERAL = Fault("picture has several objects", "pictures have several objects", "", "of which the largest is taken")
EMPTY = Fault("picture has no object", "pictures have no object", "", "left out")
SPELLED = Fault(
    "class has two names that differ in spelling alone",
    "classes have two names that differ in spelling alone",
    "give each class one name",
)


def boxes_dataset(
    index: PictureIndex,
    format: str,
    pictures: Sequence[Annotated],
    classes: Classes | None,
    settings: DataSettings,
    workers: int,
    *,
    notices: Sequence[str] = (),
    tolerance: float = 0.0,
    relative: bool = False,
    hint: str = "",
) -> Dataset:
    """The data set of annotated pictures; without ``classes`` they are the labels' names, sorted.

    A box may be out of its picture by ``tolerance``, which is what the format's own rounding explains; it ends at the
    border then. ``relative`` says that boxes (and the tolerance) are in parts of width and height. ``hint`` is said
    where boxes reach out.

    Raises:
        DataError: something contradicts itself or the pictures and ``settings`` do not mend it; names what and where.
    """
    report = Report(hints={OUTSIDE: hint} if hint else {})
    taken = taken_of(index, pictures, settings, report)
    paths = [path for path, _ in taken]
    sizes = picture_sizes(paths, root=index.root, workers=workers)
    names = classes.names if classes is not None else names_of([each for _, each in taken], report)
    numbers: dict[int | str, int] = {} if classes else {name: number for number, name in enumerate(names)}
    mending = _Mending(settings, report, tolerance, relative)
    targets = [mending.boxes(each, size, numbers) for (_, each), size in zip(taken, sizes, strict=True)]
    report.refuse(index.root)
    if not relative:
        _refuse_parts(index, taken, sizes)
    if settings.largest:
        taken, targets = _largest(index, taken, targets, report)
    if not any(len(target) for target in targets):
        raise DataError(f"{printable(index.root)} has no object in any of {counted(len(paths), 'picture')}")
    return annotated_dataset(
        index, format, classes or Classes(tuple(names)), taken, targets, report, workers, notices=notices, task="detect"
    )


def _refuse_parts(
    index: PictureIndex, taken: Sequence[tuple[Path, Annotated]], sizes: Sequence[tuple[int, int] | None]
) -> None:
    """See that not all boxes lie within the first pixel, as they do who are in parts of the pictures' sides."""
    boxes = [(each, size) for (_, picture), size in zip(taken, sizes, strict=True) for each in picture.objects or ()]
    if boxes and all(0 <= edge <= 1 for each, _ in boxes for edge in each.xyxy) and max(boxes[0][1] or (1,)) > 1:
        first, (height, width) = boxes[0][0], boxes[0][1] or (1, 1)
        left, top, right, bottom = first.xyxy
        raise DataError(
            f"{printable(index.root)}: no edge of any box is above 1, as in {first.where} ({left:g}, {top:g} to "
            f"{right:g}, {bottom:g} in {width} x {height}); these seem to be parts of the pictures' sides, and this "
            "format has pixels: multiply them by width and height"
        )


def annotated_dataset(
    index: PictureIndex,
    format: str,
    classes: Classes,
    taken: Sequence[tuple[Path, Annotated]],
    targets: Sequence[Target],
    report: Report,
    workers: int,
    *,
    notices: Sequence[str],
    task: str,
) -> Dataset:
    """The data set of the pictures of `taken_of` and what their annotations became, with all that is to be told."""
    paths = [path for path, _ in taken]
    names = [index.where(path) for path in paths]
    columns = Columns(
        handles=paths,
        targets=targets,
        contents=hash_files(paths, root=index.root, workers=workers),
        names=names,
        splits=agreed(index.root, names, [each.split or index.split_of(path) for path, each in taken]),
    )
    notices = (*notices, *index.notices(), *report.notices())
    return assemble(index.root, format, classes, columns, channels=3, notices=notices, task=task)


def passed_over(index: PictureIndex, pictures: Iterable[Annotated]) -> list[str]:
    """The notice on pictures that lie there and are not among those of a list, if there are any."""
    named = {picture.path for picture in pictures}
    left = [index.where(path) for path in index.pictures if path not in named]
    return [f"passed over {counted(len(left), 'picture')} that the annotations do not list: {listed(left)}"] * bool(
        left
    )


def boxed(outlines: Sequence[str]) -> list[str]:
    """The notice on outlines, by their places, of which only the boxes around are taken, if there are any."""
    return [f"{counted(len(outlines), 'outline')} taken for the boxes around: {listed(outlines)}"] * bool(outlines)


def taken_of(
    index: PictureIndex,
    pictures: Sequence[Annotated],
    settings: DataSettings,
    report: Report,
    missing: Fault = MISSING,
) -> list[tuple[Path, Annotated]]:
    """The pictures that are there and are to be taken; for others the report has the fault ``missing``."""
    taken: dict[Path, Annotated] = {}
    for picture in pictures:
        path = picture.path
        if path is None:
            report.add(missing, picture.where)
        elif path in taken:
            report.add(TWICE, f"{index.where(path)} in {taken[path].where} and {picture.where}")
        elif picture.objects is not None or settings.unlabelled == "background":
            taken[path] = picture
        if picture.objects is None and path is not None:
            skipped = settings.unlabelled in ("skip", "ignore")
            fault = replace(UNLABELLED, mended="left out" if skipped else "taken for backgrounds")
            if settings.unlabelled == "error":
                report.add(UNLABELLED, picture.where)
            else:
                report.add(fault, picture.where, mended=True)
    return list(taken.items())


def resized(picture: Annotated, size: tuple[int, int] | None, report: Report) -> bool:
    """Whether a picture has another ``size`` than its annotation says, which the report then has."""
    if not size or not picture.size or size == picture.size:
        return False
    (height, width), (theirs, other) = size, picture.size
    report.add(RESIZED, f"{picture.where} ({width} x {height}, and it says {other} x {theirs})")
    return True


def _largest(
    index: PictureIndex, taken: Sequence[tuple[Path, Annotated]], targets: Sequence[Boxes], report: Report
) -> tuple[list[tuple[Path, Annotated]], list[Boxes]]:
    """The pictures that have an object, each with its largest alone."""
    kept = []
    for (path, picture), target in zip(taken, targets, strict=True):
        largest = target.largest()
        if len(largest):
            kept.append(((path, picture), largest))
        if int((~target.crowd).sum()) != 1:
            report.add(SEVERAL if len(largest) else EMPTY, index.where(path), mended=True)
    return [each for each, _ in kept], [largest for _, largest in kept]


def names_of(pictures: Sequence[Annotated], report: Report) -> tuple[str, ...]:
    """The classes by name, where no list of them is given."""
    first: dict[str, str] = {}
    for picture in pictures:
        for each in picture.objects or ():
            first.setdefault(str(each.label), each.where)
    alike: dict[str, str] = {}
    for name, where in first.items():
        other = alike.setdefault(unspaced(name), name)
        if other != name:
            report.add(SPELLED, f"{quoted(other)} ({first[other]}) and {quoted(name)} ({where})")
    return tuple(sorted(first))


@dataclass(frozen=True, slots=True)
class _Mending:
    """Annotations of a picture to its `Boxes`, by the settings."""

    settings: DataSettings
    report: Report
    tolerance: float
    relative: bool

    def boxes(self, picture: Annotated, size: tuple[int, int] | None, numbers: Mapping[int | str, int]) -> Boxes:
        """What is left of the picture's objects; ``size`` is the picture's own, None if it cannot be read."""
        objects = picture.objects or []
        if resized(picture, size, self.report):
            return Boxes.of([], [])
        # That a picture cannot be read is for others to say; parts of its sides stay what they are.
        size = size or picture.size or ((1, 1) if self.relative else None)
        xyxy = np.array([each.xyxy for each in objects], dtype=np.float64).reshape(-1, 4)
        if size is not None:
            self._inside(xyxy, objects, size)
        kept = self._whole(xyxy, objects)
        objects = [objects[position] for position in kept]
        ids = tuple(each.id for each in objects if each.id is not None)
        areas = [each.area for each in objects if each.area is not None]
        return Boxes(
            xyxy[kept],
            np.array([numbers.get(each.label, each.label) for each in objects], dtype=np.int64),
            np.array([each.difficult for each in objects], dtype=bool),
            np.array([each.crowd for each in objects], dtype=bool),
            ids if objects and len(ids) == len(objects) else None,
            np.array(areas, dtype=np.float64) if objects and len(areas) == len(objects) else None,
            tuple(each.outline for each in objects) if any(each.outline for each in objects) else None,
        )

    def _inside(self, xyxy: NDArray[np.float64], objects: Sequence[Annotation], size: tuple[int, int]) -> None:
        """Bring boxes to pixels and to the border, in place, as far as rounding and the settings allow."""
        height, width = size
        border = np.array([width, height, width, height], dtype=np.float64)
        tolerance = np.full(4, self.tolerance)
        if self.relative:
            xyxy *= border
            tolerance *= border
        clipped = np.clip(xyxy, 0.0, border)
        beyond = np.any(np.abs(clipped - xyxy) > tolerance, axis=1)
        for position in np.flatnonzero(beyond).tolist():
            left, top, right, bottom = xyxy[position]
            where = f"{objects[position].where} ({left:g}, {top:g} to {right:g}, {bottom:g} in {width} x {height})"
            self.report.add(OUTSIDE, where, mended=self.settings.clip)
        ends = np.ones(len(xyxy), dtype=bool) if self.settings.clip else ~beyond
        xyxy[ends] = clipped[ends]

    def _whole(self, xyxy: NDArray[np.float64], objects: Sequence[Annotation]) -> list[int]:
        """The boxes that are to be kept: by the settings those with an area, and each once."""
        kept, seen = [], set()
        for position, (box, each) in enumerate(zip(xyxy.tolist(), objects, strict=True)):
            key = (each.label, each.crowd, *box)
            if box[2] <= box[0] or box[3] <= box[1]:
                self.report.add(DEGENERATE, each.where, mended=self.settings.drop_degenerate)
            elif key in seen:
                self.report.add(DUPLICATE, each.where, mended=self.settings.drop_duplicates)
            else:
                kept.append(position)
            seen.add(key)
        return kept
