"""A large picture cut so that a network answers its tiles as it would answer the whole.

All tiles are of one size. Each answers for its *core*, and shows around it what the network looks at; where the picture
ends, the core does, too. How a network looks is its own to say; here are the integers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, slots=True)
class Axis:
    """How a picture's rows, or columns, are cut: ``before`` and ``after`` around a core are looked at from it.

    ``side`` is the picture's, ``tile`` the tiles', in pixels; all are multiples of ``step``. Of what lies before a core
    so many pixels next to it, ``seam``, would be answered right as well.

    Example:
        >>> Axis(side=96, tile=48, step=8, before=8, after=16).places()
        [(0, (0, 32)), (24, (32, 56)), (48, (56, 96))]
    """

    side: int
    tile: int
    step: int
    before: int
    after: int
    seam: int = 0

    def __post_init__(self) -> None:
        if any(number % self.step for number in (self.side, self.tile, self.before, self.after)):
            raise AssertionError(f"a fault of ours: {self} are not all multiples of the step")
        if self.tile < self.side and self.tile < self.least:
            raise AssertionError(f"a fault of ours: a tile of {self} answers for nothing")

    @property
    def least(self) -> int:
        """The least side of a tile that answers for something wherever it lies."""
        return min(self.side, self.before + self.step + self.after)

    @property
    def count(self) -> int:
        """How many tiles lie one behind the other."""
        if self.tile >= self.side:
            return 1
        return 1 + -(-(self.side - self.tile) // (self.tile - self.before - self.after))

    def places(self) -> list[tuple[int, tuple[int, int]]]:
        """Where each tile begins, and from where to where its core goes."""
        advance = self.tile - self.before - self.after
        begins = [min(at * advance, self.side - self.tile) for at in range(self.count)]
        borders = [0, *(begin + self.before for begin in begins[1:]), self.side]
        return list(zip(begins, pairwise(borders), strict=True))

    def with_tiles(self, count: int) -> "Axis | None":
        """The same in so many of the smallest tiles, or in fewer where that does; None if they overlap too much."""
        needed = -(-(self.side + (count - 1) * (self.before + self.after)) // count)
        tile = min(self.side, math.ceil(needed / self.step) * self.step)
        return None if tile < self.least else replace(self, tile=tile)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: what it shows and what it answers for, as (top, left, bottom, right) in the whole picture.

    ``seam`` is the core with what tiles before it have answered already, and it would answer as well.
    """

    shows: tuple[int, int, int, int]
    core: tuple[int, int, int, int]
    seam: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class ExactTiles:
    """A picture's tiles, row by row.

    ``wholes`` are operations that take all of a tile together, as ``mean in head.pyramid``: with these a tile's answer
    is not quite that of the whole.
    """

    rows: Axis
    columns: Axis
    wholes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the whole picture with what was added so that strides leave nothing of it."""
        return self.rows.side, self.columns.side

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of each."""
        return self.rows.tile, self.columns.tile

    @property
    def count(self) -> int:
        """How many there are."""
        return self.rows.count * self.columns.count

    @property
    def again(self) -> float:
        """What is computed more than once, over what there is: 1 is as much again."""
        return self.count * math.prod(self.tile) / math.prod(self.size) - 1

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        height, width = self.tile
        return {
            "count": self.count,
            "height": height,
            "width": width,
            "again": self.again,
            "wholes": list(self.wholes),
        }

    def __iter__(self) -> Iterator[Tile]:
        for top, (first, last) in self.rows.places():
            for left, (begin, end) in self.columns.places():
                seams = first - self.rows.seam * (top > 0), begin - self.columns.seam * (left > 0)
                yield Tile(
                    (top, left, top + self.rows.tile, left + self.columns.tile),
                    (first, begin, last, end),
                    (*seams, last, end),
                )


class Seams:
    """Collects how pictures of a call were cut, and what two tiles answered otherwise, and says it.

    Example:
        >>> axis = Axis(side=96, tile=48, step=8, before=8, after=16)
        >>> seams = Seams()
        >>> seams.cut(ExactTiles(axis, axis))
        >>> seams.sentences()
        ['answered in 9 tiles of 48x48 pixels; around what each answers, 125% of the pixels are computed again']
    """

    def __init__(self) -> None:
        self._cut: dict[ExactTiles, None] = {}
        self._answered = self._otherwise = 0

    def add(self, answered: int, otherwise: int) -> None:
        """Count places that a tile answers after others did, and of these those that it answers otherwise."""
        self._answered, self._otherwise = self._answered + answered, self._otherwise + otherwise

    def cut(self, tiles: ExactTiles) -> None:
        """Remember how a picture was cut."""
        self._cut[tiles] = None

    def sentences(self) -> list[str]:
        """A sentence for each way in which pictures were cut, and one for operations that see more than a tile."""
        cut = [tiles for tiles in self._cut if tiles.count > 1]
        said = [
            f"answered in {tiles.count} tiles of {tiles.tile[0]}x{tiles.tile[1]} pixels; around what each answers, "
            f"{tiles.again:.0%} of the pixels are computed again"
            for tiles in cut
        ]
        if wholes := list(dict.fromkeys(name for tiles in cut for name in tiles.wholes)):
            names = wholes[0] + (f" and {len(wholes) - 1} more" if len(wholes) > 1 else "")
            said.append(
                f"{names} take all of a picture together, in tiles of each alone, so that the answer is not quite that "
                f"of the whole{self._moved()}"
            )
        return said

    def _moved(self) -> str:
        if not self._answered:
            return ""
        share = self._otherwise / self._answered
        return f"; of the places that two tiles have answered they answered {share:.2%} otherwise"


def fewest_pixels(rows: Axis, columns: Axis, pixels: float, longest: int | None = None) -> ExactTiles | None:
    """Of all ways to cut the one that computes least, with tiles of at most so many pixels; None if there is none.

    The axes say the sides; what tiles they have does not count. ``longest`` is the most that a side of a tile may have.
    """
    best: ExactTiles | None = None
    across = list(_ways(columns, longest))
    for tall in _ways(rows, longest):
        for wide in across:
            if tall.tile * wide.tile <= pixels:
                tiles = ExactTiles(tall, wide)
                if best is None or tiles.again < best.again:
                    best = tiles
                break  # narrower ones overlap more
    return best


def _ways(axis: Axis, longest: int | None) -> Iterator[Axis]:
    """An axis in more and more tiles, as long as these become smaller."""
    tile = axis.side + 1
    for count in range(1, axis.side // axis.step + 2):
        way = axis.with_tiles(count)
        if way is None:
            return
        if way.tile < tile:
            tile = way.tile
            if longest is None or tile <= longest:
                yield way
