"""A large photograph in tiles, so that a network sees what is small on it as large as it has learnt it."""

import math
from dataclasses import dataclass

from striate.base.errors import ModelError
from striate.pictures.geometry import Crop, Geometry

OVERLAP = 0.25
"""The part of a tile's side that neighbours share when nobody says how much."""
LEAST = 16
MANY = 500
"""Tiles of one photograph from which on it is said, before they are answered, how many they are."""
MOST_OVERLAP = 0.9


@dataclass(frozen=True, slots=True)
class Tiling:
    """Squares with sides of ``side`` of the photograph's pixels; neighbours share at least the part ``overlap`` of one.

    What is at most `shared` pixels wide and high lies whole in one of them, wherever it is. ``margin`` is how far a
    network looks around each pixel, where what it answers nearer to a tile's border is not to be believed.

    Raises:
        ModelError: ``side`` is no whole number from 16, or too small for ``margin``; ``overlap`` is not from 0 to 0.9.

    Example:
        >>> tiling = Tiling(100, overlap=0.25)
        >>> [place.steps[0] for place in tiling.places(80, 180)]  # doctest: +NORMALIZE_WHITESPACE
        [Crop(top=0, left=0, height=80, width=100), Crop(top=0, left=75, height=80, width=100),
         Crop(top=0, left=80, height=80, width=100)]
        >>> tiling.shared
        25
    """

    side: int
    overlap: float = OVERLAP
    margin: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.side, bool) or not hasattr(self.side, "__index__") or self.side < LEAST:
            raise ModelError(f"tile is {self.side!r}; expected its side in pixels of the photograph, {LEAST} or more")
        part: object = self.overlap
        if isinstance(part, bool) or not (isinstance(part, int | float) and 0 <= part <= MOST_OVERLAP):
            raise ModelError(
                f"overlap is {self.overlap!r}; expected the part of a tile's side that neighbours share, 0 to "
                f"{MOST_OVERLAP}"
            )
        if self.side <= 2 * self.margin:
            raise ModelError(
                f"tile is {self.side}, but this network looks {self.margin} pixels around each; expected a side of "
                f"{2 * self.margin + 1} or more"
            )

    @property
    def shared(self) -> int:
        """How many pixels neighbours share at least."""
        return max(math.floor(self.side * self.overlap), 2 * self.margin)

    def cuts(self, height: int, width: int) -> bool:
        """Whether a photograph of this size has more tiles than one."""
        return max(height, width) > self.side

    def places(self, height: int, width: int) -> tuple[Geometry, ...]:
        """Where the tiles of a photograph of this size lie, row by row: geometries of one `Crop`.

        The last of a row and of a column are moved inwards, so that all are of one size. Where the photograph is
        smaller than a tile they are as large as it is, so that of a small one there is one place alone.
        """
        photograph = Geometry(height, width)
        size = min(self.side, height), min(self.side, width)
        return tuple(
            photograph.then(Crop(top, left, *size)) for top in self._starts(height) for left in self._starts(width)
        )

    def _starts(self, length: int) -> list[int]:
        last = max(0, length - self.side)
        # Whatever begins between two starts ends before the tile of the first does, if it is no longer than `shared`.
        return [*range(0, last, self.side - self.shared), last]


def announced(name: str, count: int) -> list[str]:
    """The notice that a photograph of this name is answered in so many tiles, if these are many."""
    many = f"{name}: answered in {count:,} tiles, one after the other, which takes long"
    return [many] * (count > MANY)
