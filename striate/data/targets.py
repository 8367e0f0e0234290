# ruff: noqa: D102  (what the methods of a target do is said once, in `Target`)
"""Targets: what is known of a picture, in its own upright pixels; one class a kind.

Whoever splits, counts, renumbers or moves pictures asks a target by the methods of `Target`. Only this file and the
tasks know the kinds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from striate.base.errors import DataError
from striate.data.names import printable
from striate.pictures.geometry import UNKNOWN, Geometry
from striate.pictures.mask_files import read_indices

VISIBLE = 0.2
"""A box of which less than this part of its area is left inside the picture is dropped with the rest."""


class Target(Protocol):
    """What is known of one picture. Frozen; two that say the same give equal `as_bytes`."""

    def as_bytes(self, names: Sequence[bytes]) -> bytes:
        """What it says, under the classes' ``names``: for fingerprints, and to tell whether copies agree."""

    def occurring(self) -> tuple[int, ...] | None:
        """The indices of the classes in it, each once; None where only reading it would tell."""

    def renumbered(self, indices: Mapping[int, int]) -> Self:
        """The same with ``indices[i]`` for each class index i that occurs."""

    def opened(self) -> Self:
        """The same with all in memory that it would read or draw anew each time; itself where there is no such thing.

        Raises:
            DataError: it cannot be read; names it.
        """

    @property
    def nbytes(self) -> int:
        """Bytes of what `opened` has in memory; 0 of a target that opens as itself."""

    def place(self, class_draw: float, place_draw: float) -> tuple[float, float] | None:
        """A place (x, y) in the photograph that shows a class, both drawn by numbers in [0, 1); None: there is none.

        Each class that occurs is as likely, and each of its places.
        """

    def moved(self, geometry: Geometry) -> Self:
        """The same in the pixels of the network's input."""

    def joined(self, other: Self) -> Self:
        """Both as one, where they say something of different parts of one picture.

        Raises:
            DataError: such targets cannot be joined.
        """


@dataclass(frozen=True, slots=True)
class ClassIndex:
    """One class for the whole picture.

    Example:
        >>> ClassIndex(1).renumbered({1: 4})
        ClassIndex(index=4)
    """

    index: int

    nbytes: ClassVar[int] = 0

    def opened(self) -> "ClassIndex":
        return self

    def as_bytes(self, names: Sequence[bytes]) -> bytes:
        return names[self.index]

    def occurring(self) -> tuple[int, ...]:
        return (self.index,)

    def renumbered(self, indices: Mapping[int, int]) -> "ClassIndex":
        return ClassIndex(indices[self.index])

    def place(self, class_draw: float, place_draw: float) -> None:
        return

    def moved(self, geometry: Geometry) -> "ClassIndex":
        """Itself: a class has no place."""
        return self

    def joined(self, other: "ClassIndex") -> "ClassIndex":
        raise DataError("a mosaic puts several pictures into one, which has one class only; give mosaic 0")


def class_targets(indices: Sequence[int]) -> tuple[ClassIndex, ...]:
    """A target for each class index; equal ones are one object, since there may be many."""
    known = {index: ClassIndex(index) for index in set(indices)}
    return tuple(known[index] for index in indices)


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Objects, each with a class and the upright box around it.

    ``xyxy`` is float64 ``[K, 4]``: left, top, right, bottom in pixels, right and bottom exclusive. ``classes`` is int64
    ``[K]``. ``difficult`` and ``crowd`` (bool ``[K]``) are what annotators marked as hard to see, and as a group that
    nobody counted. ``ids`` names the annotations where the data do, ``areas`` (float64 ``[K]``) are the data's own,
    which may be smaller than the boxes. ``outlines`` are what COCO's JSON says of each object's shape: a list of
    polygons, a run-length mask, or None.

    Example:
        >>> boxes = Boxes.of([[10, 20, 30, 60]], [0])
        >>> boxes.moved(Geometry(100, 100)).xyxy
        array([[10., 20., 30., 60.]])
    """

    xyxy: NDArray[np.float64]
    classes: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    ids: tuple[str, ...] | None = None
    areas: NDArray[np.float64] | None = None
    outlines: tuple[Any, ...] | None = None

    nbytes: ClassVar[int] = 0

    def opened(self) -> "Boxes":
        return self

    @classmethod
    def of(cls, xyxy: Sequence[Sequence[float]], classes: Sequence[int]) -> "Boxes":
        """Boxes of which nothing more is known."""
        none = np.zeros(len(classes), dtype=bool)
        numbers = np.asarray(xyxy, dtype=np.float64).reshape(len(classes), 4)
        return cls(numbers, np.asarray(classes, dtype=np.int64), none, none)

    def __len__(self) -> int:
        return len(self.classes)

    def as_bytes(self, names: Sequence[bytes]) -> bytes:
        rows = [
            b"%s\0%s%d%d" % (names[index], (box + 0.0).astype("<f8").tobytes(), difficult, crowd)  # no -0.0
            for box, index, difficult, crowd in zip(
                self.xyxy, self.classes.tolist(), self.difficult, self.crowd, strict=True
            )
        ]
        return b"boxes" + b"".join(len(row).to_bytes(4, "little") + row for row in sorted(rows))

    def occurring(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self.classes.tolist()))

    def renumbered(self, indices: Mapping[int, int]) -> "Boxes":
        numbers = [indices[index] for index in self.classes.tolist()]
        return replace(self, classes=np.array(numbers, dtype=np.int64))

    def place(self, class_draw: float, place_draw: float) -> tuple[float, float] | None:
        """The middle of a box."""
        if not len(self):
            return None
        there = np.unique(self.classes)
        boxes = self.xyxy[self.classes == _drawn(there, class_draw)]
        left, top, right, bottom = _drawn(boxes, place_draw).tolist()
        return (left + right) / 2, (top + bottom) / 2

    def moved(self, geometry: Geometry) -> "Boxes":
        """What of the boxes is inside; those of which less than `VISIBLE` is left are gone."""
        height, width = geometry.output_size
        whole = np.asarray(geometry.boxes(self.xyxy), dtype=np.float64)
        inside = np.clip(whole, 0.0, [width, height, width, height])
        kept = _areas(inside) >= np.maximum(VISIBLE * _areas(whole), np.finfo(np.float64).tiny)
        # Areas are in the photograph's pixels still: who counts small objects counts them as they were photographed.
        return replace(self, xyxy=inside)._only(np.flatnonzero(kept))

    def largest(self) -> "Boxes":
        """The largest object alone, by its box and the first of equal ones; none where all are groups.

        Example:
            >>> Boxes.of([[0, 0, 9, 9], [5, 0, 30, 20]], [1, 0]).largest().xyxy
            array([[ 5.,  0., 30., 20.]])
        """
        objects = np.flatnonzero(~self.crowd)
        return self._only(objects[np.argsort(-_areas(self.xyxy[objects]), kind="stable")][:1])

    def _only(self, rows: NDArray[np.int64]) -> "Boxes":
        return Boxes(
            self.xyxy[rows],
            self.classes[rows],
            self.difficult[rows],
            self.crowd[rows],
            None if self.ids is None else tuple(self.ids[row] for row in rows.tolist()),
            None if self.areas is None else self.areas[rows],
            None if self.outlines is None else tuple(self.outlines[row] for row in rows.tolist()),
        )

    def joined(self, other: "Boxes") -> "Boxes":
        def both(own: Any, others: Any) -> Any:
            return None if own is None or others is None else np.concatenate([own, others])

        return Boxes(
            both(self.xyxy, other.xyxy),
            both(self.classes, other.classes),
            both(self.difficult, other.difficult),
            both(self.crowd, other.crowd),
            None if self.ids is None or other.ids is None else self.ids + other.ids,
            both(self.areas, other.areas),
            None if self.outlines is None or other.outlines is None else self.outlines + other.outlines,
        )


def _drawn(values: NDArray[Any], draw: float) -> Any:
    """One of the values ``[N, ...]`` by a number in [0, 1)."""
    return values[int(draw * len(values))]


def _areas(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(xyxy[:, 2] - xyxy[:, 0], 0) * np.maximum(xyxy[:, 3] - xyxy[:, 1], 0)


class Drawing(Protocol):
    """A mask that is made or read when it is needed; frozen. ``name`` is what errors call it."""

    @property
    def name(self) -> str: ...

    def read(self) -> NDArray[np.uint8]:
        """Uint8 ``[H, W]``; raises DataError, which names it, where that cannot be had."""


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """What a mask's source said, class indices uint8 ``[H, W]``, under its name."""

    name: str
    pixels: NDArray[np.uint8]

    def read(self) -> NDArray[np.uint8]:
        return self.pixels


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A class for each pixel, from a picture of class indices that is read when it is needed.

    ``source`` is the file, what can draw it, or uint8 ``[H, W]``; 255 is nobody's class and never counted, so there are
    at most 255 classes. ``content`` is a hash of what the source says (of a file its sha256), if it is known.
    ``numbers`` says which index each byte of the source stands for. ``areas`` are the classes in it, each with its
    number of pixels (0 where that is not known), or None where only reading it would tell.
    """

    source: Path | Drawing | NDArray[np.uint8]
    content: bytes = b""
    numbers: tuple[int, ...] | None = None
    areas: Mapping[int, int] | None = None

    def indices(self) -> NDArray[np.uint8]:
        """Class indices, uint8 ``[H, W]``.

        Raises:
            DataError: the file cannot be read, or holds no picture of class indices.
        """
        source = self.source
        if not isinstance(source, np.ndarray):
            source = read_indices(source) if isinstance(source, Path) else source.read()
        return source if self.numbers is None else np.array(self.numbers, dtype=np.uint8)[source]

    def opened(self) -> "Mask":
        if isinstance(self.source, np.ndarray | _Opened):
            return self
        return replace(self, source=_Opened(_name_of(self.source), self.indices()), numbers=None)

    @property
    def nbytes(self) -> int:
        return self.source.pixels.nbytes if isinstance(self.source, _Opened) else 0

    def as_bytes(self, names: Sequence[bytes]) -> bytes:
        meanings = [*names, *[b""] * (UNKNOWN + 1 - len(names))]
        numbers = range(UNKNOWN + 1) if self.numbers is None else self.numbers
        content = self.content or sha256(self.indices().tobytes()).digest()
        return b"mask" + content + b"\0".join(meanings[number] for number in numbers)

    def occurring(self) -> tuple[int, ...] | None:
        return None if self.areas is None else tuple(self.areas)

    def renumbered(self, indices: Mapping[int, int]) -> "Mask":
        numbers = range(UNKNOWN + 1) if self.numbers is None else self.numbers
        areas: dict[int, int] | None = None if self.areas is None else {}
        for index, area in (self.areas or {}).items():
            if areas is not None and index in indices:
                areas[indices[index]] = areas.get(indices[index], 0) + area
        return replace(self, numbers=tuple(indices.get(number, UNKNOWN) for number in numbers), areas=areas)

    def place(self, class_draw: float, place_draw: float) -> tuple[float, float] | None:
        """The middle of a pixel."""
        indices = self.indices()
        there = np.flatnonzero(np.bincount(indices.reshape(-1), minlength=UNKNOWN + 1)[:UNKNOWN])
        if not len(there):
            return None
        row, column = divmod(
            int(_drawn(np.flatnonzero(indices == _drawn(there, class_draw)), place_draw)), indices.shape[1]
        )
        return column + 0.5, row + 0.5

    def moved(self, geometry: Geometry) -> "Mask":
        """By nearest pixels; 255 where nothing is known.

        Raises:
            DataError: it cannot be read, or is not of the picture's size; names it.
        """
        indices = self.indices()
        if indices.shape != (geometry.height, geometry.width):
            named = "a mask" if isinstance(self.source, np.ndarray) else _name_of(self.source)
            raise DataError(
                f"{named}: is {indices.shape[0]} x {indices.shape[1]} pixels, and its picture is {geometry.height} x "
                f"{geometry.width}"
            )
        return Mask(np.ascontiguousarray(geometry.mask(indices)), self.content)

    def joined(self, other: "Mask") -> "Mask":
        own, others = self.indices(), other.indices()
        return Mask(np.where(own == UNKNOWN, others, own))


def _name_of(source: Path | Drawing) -> str:
    return printable(source) if isinstance(source, Path) else source.name


@dataclass(frozen=True, slots=True)
class Larger:
    """Nothing but the picture itself, which is its own target: of a smaller one it is to be made again."""

    nbytes: ClassVar[int] = 0

    def opened(self) -> "Larger":
        return self

    def as_bytes(self, names: Sequence[bytes]) -> bytes:
        return b"larger"

    def occurring(self) -> tuple[int, ...]:
        return ()

    def renumbered(self, indices: Mapping[int, int]) -> "Larger":
        return self

    def place(self, class_draw: float, place_draw: float) -> None:
        return

    def moved(self, geometry: Geometry) -> "Larger":
        return self

    def joined(self, other: "Larger") -> "Larger":
        raise DataError("a mosaic has borders inside that no photograph has; give mosaic 0 where pictures are enlarged")


LARGER = Larger()
