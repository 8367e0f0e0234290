"""Shapes as annotation files have them to masks: the faults that no format of them may pass over, and the ground.

What no shape covers is class 0, "background", or nobody's where ``unlabelled`` is "ignore"; a class of that name is
taken for it. Classes called "void" and the like are nobody's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.base.errors import DataError
from striate.data.drawn_mask import BENEATH, DrawnMask, Shape
from striate.data.names import counted, listed, printable, unspaced
from striate.data.records import Classes, Dataset
from striate.data.scan import picture_sizes
from striate.data.settings import DataSettings
from striate.data.sources.boxes import MISSING, Annotated, Annotation, annotated_dataset, names_of, resized, taken_of
from striate.data.sources.class_table import IGNORED
from striate.data.sources.faults import Fault, Report
from striate.data.sources.picture_index import PictureIndex
from striate.data.sources.text_files import whole
from striate.data.targets import Mask
from striate.pictures.decode import MAX_PIXELS
from striate.pictures.geometry import UNKNOWN

GROUND = "background"

SHAPELESS = Fault(
    "object has no outline",
    "objects have no outlines",
    "draw what is missing, or remove the object; where all have boxes alone these are data for detect (--task detect)",
)
OUTSIDE = Fault(
    "shape reaches out of its picture",
    "shapes reach out of their pictures",
    "correct the annotation, or cut what is outside with --clip",
    "cut at the border",
)
FAR = Fault(
    "shape lies far out of its picture",
    "shapes lie far out of their pictures",
    "correct the annotation, or remove it; such ones are not cut",
)
RUNS = Fault(
    "run-length mask does not fit its picture",
    "run-length masks do not fit their pictures",
    "a mask's size is its picture's height and width, and its counts add up to their product",
)
FLAT = Fault("shape covers no pixel", "shapes cover no pixel", "", "left out")

_BEYOND = 1.0  # pixels by which a shape may end beyond the border: what programs make of half pixels
_FAR = 10  # times the picture's sides, beyond which no shape is drawn at all


def shapes_dataset(
    index: PictureIndex,
    format: str,
    pictures: Sequence[Annotated],
    names: Sequence[str] | None,
    settings: DataSettings,
    workers: int,
    *,
    notices: Sequence[str] = (),
    relative: bool = False,
    missing: Fault = MISSING,
) -> Dataset:
    """The data set of pictures with shapes; without ``names`` the classes are the labels' names, sorted.

    An annotation's outline is a list of polygons, or an object with size and counts, as COCO's JSON has them.
    ``relative`` says that points are in parts of width and height, ``missing`` what annotations without pictures are.

    Raises:
        DataError: something contradicts itself or the pictures and ``settings`` do not mend it; names what and where.
    """
    report = Report()
    taken = taken_of(index, pictures, settings, report, missing)
    paths = [path for path, _ in taken]
    sizes = picture_sizes(paths, root=index.root, workers=workers)
    given = names if names is not None else names_of([each for _, each in taken], report)
    try:
        classes, numbers, ground = _classes(index.root, given, settings)
    except DataError:
        report.refuse(index.root)  # what is missing may have the other classes
        raise
    keys: Mapping[int | str, int] = dict(enumerate(numbers)) | dict(zip(given, numbers, strict=True))
    drawn = [
        _drawn(each, size, keys, ground, settings, report, relative=relative)
        for (_, each), size in zip(taken, sizes, strict=True)
    ]
    report.refuse(index.root)
    if not any(mask.shapes for mask in drawn):
        raise DataError(f"{printable(index.root)} has no shape in any of {counted(len(paths), 'picture')}")
    said = f"what no shape covers is {f'class 0, {GROUND}' if ground == 0 else 'not counted'}"
    ignored = [printable(name) for name, number in zip(given, numbers, strict=True) if number == UNKNOWN]
    said += f"; {counted(len(ignored), 'class is', 'classes are')} not counted: {listed(ignored)}" if ignored else ""
    targets = [_target(mask) for mask in drawn]
    notices = (*notices, said)
    return annotated_dataset(
        index, format, Classes(classes), taken, targets, report, workers, notices=notices, task="segment"
    )


def _classes(root: Path, given: Sequence[str], settings: DataSettings) -> tuple[tuple[str, ...], list[int], int]:
    """The classes, the index in them of each given name (255: nobody's), and what the ground is."""
    ground = UNKNOWN if settings.unlabelled == "ignore" else 0
    classes = [GROUND] if ground == 0 else []
    numbers = []
    for name in given:
        if unspaced(name) in IGNORED:
            numbers.append(UNKNOWN)
        elif ground == 0 and unspaced(name) == GROUND:
            numbers.append(0)
        else:
            numbers.append(len(classes))
            classes.append(name)
    if len(classes) > UNKNOWN:
        raise DataError(f"{printable(root)} has {len(classes)} classes; masks have {UNKNOWN} at most")
    if len(classes) < 2:
        way = "draw another, or let what no shape covers be the background"
        way = "draw shapes of another" if ground == 0 else way
        raise DataError(
            f"{printable(root)} has one class alone, {', '.join(classes) or 'nobody'}, where it is told from nothing; "
            f"{way}"
        )
    return tuple(classes), numbers, ground


def _target(mask: DrawnMask) -> Mask:
    occurring = {shape.index for shape in mask.shapes} | {mask.ground}
    areas = dict.fromkeys(sorted(occurring - {UNKNOWN}), 0)  # how many pixels only drawing would tell
    return Mask(mask, mask.content(), None, areas)


def _drawn(
    picture: Annotated,
    size: tuple[int, int] | None,
    numbers: Mapping[int | str, int],
    ground: int,
    settings: DataSettings,
    report: Report,
    *,
    relative: bool,
) -> DrawnMask:
    """What the picture's annotations draw; ``size`` is the picture's own, None if it cannot be read."""
    height, width = size or picture.size or (1, 1)  # that it cannot be read is for others to say
    shapes = []
    for each in () if resized(picture, size, report) else picture.objects or ():
        index = UNKNOWN if each.crowd else numbers[each.label]
        shape = _shape(each, index, (height, width), settings, report, relative=relative)
        if shape is not None:
            shapes.append(shape)
    return DrawnMask(picture.where, height, width, tuple(shapes), ground)


def _shape(
    each: Annotation, index: int, size: tuple[int, int], settings: DataSettings, report: Report, *, relative: bool
) -> Shape | None:
    """The shape of one annotation; None where it has a fault."""
    layer = BENEATH if each.crowd else each.layer
    if isinstance(each.outline, dict):
        runs = runs_of(each.outline, size)
        if runs is None:
            report.add(RUNS, each.where)
            return None
        if not runs[1::2].any():
            report.add(FLAT, each.where, mended=True)
            return None
        return Shape(index, runs=runs, layer=layer)
    if not each.outline:
        report.add(SHAPELESS, each.where)
        return None
    border = np.array(size[::-1], dtype=np.float64)
    scale = border if relative else 1.0
    polygons = tuple((np.array(polygon, dtype=np.float64).reshape(-1, 2) * scale).ravel() for polygon in each.outline)
    points = np.concatenate(polygons).reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    if (low < -_BEYOND).any() or (high > border + _BEYOND).any():
        far = bool((np.abs(points) > _FAR * (border + 1)).any())
        where = f"{each.where} ({low[0]:g}, {low[1]:g} to {high[0]:g}, {high[1]:g} in {size[1]} x {size[0]})"
        report.add(FAR if far else OUTSIDE, where, mended=settings.clip and not far)
        if far or not settings.clip:
            return None
    return Shape(index, polygons, layer=layer)


def runs_of(outline: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.int64] | None:
    """The counts of COCO's run-lengths, also packed into text; None where they are none, or not of this size.

    Example:
        >>> runs_of({"size": [2, 3], "counts": [1, 2, 3]}, (2, 3)).tolist()
        [1, 2, 3]
    """
    counts = outline["counts"]
    if isinstance(counts, str):
        counts = unpacked(counts)
    if [*outline["size"]] != [*size] or not counts:
        return None
    if not all(isinstance(each, int) and 0 <= each <= size[0] * size[1] for each in counts):
        return None
    return np.array(counts, dtype=np.int64) if sum(counts) == size[0] * size[1] else None


def runs_in(covered: NDArray[np.bool_]) -> dict[str, Any]:
    """Run-lengths, as COCO's JSON has them, of the pixels ``[H, W]`` that are covered.

    Example:
        >>> runs_in(np.array([[False, True], [True, True]]))
        {'size': [2, 2], 'counts': [1, 3]}
    """
    flat = np.concatenate([[False], covered.T.ravel()])  # counts begin with what is not covered
    ends = np.flatnonzero(np.diff(flat)).tolist()
    counts = np.diff([0, *ends, covered.size]).tolist()
    return {"size": [*covered.shape], "counts": counts}


def undrawn(lines: Sequence[str]) -> list[str]:
    """The notice on lines and points, by their places, which cover nothing, if there are any."""
    what = counted(len(lines), "line or point", "lines and points")
    return [f"passed over {what}: {listed(lines)}"] * bool(lines)


def sides_of(height: object, width: object, where: str) -> tuple[int, int]:
    """The height and width that an annotation file says; raises DataError where no picture has them."""
    sides = whole(height, where, "height"), whole(width, where, "width")
    if min(sides) < 1 or sides[0] * sides[1] > MAX_PIXELS:
        raise DataError(f"{where}: claims a picture of {sides[1]} x {sides[0]} pixels")
    return sides


def circle(x: float, y: float, across: float, down: float, corners: int = 64) -> NDArray[np.float64]:
    """So many points ``[corners, 2]`` on an ellipse around x, y with these radii."""
    turns = np.arange(corners) * (2 * np.pi / corners)
    return np.stack([x + across * np.cos(turns), y + down * np.sin(turns)], axis=1)


def unpacked(text: str) -> list[int]:
    """The counts that COCO's tools pack into text, five bits a character; [] where it is none of theirs.

    From the fourth on they are differences from the last but one.

    Example:
        >>> unpacked("122")
        [1, 2, 2]
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0  # a sign
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts
