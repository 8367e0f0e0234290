"""What must be known of every mask before a run: its size, and which values it has in how many pixels.

Both are remembered as hashes are (`striate.data.scan`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.base.errors import DecodeError
from striate.data.scan import found_in
from striate.pictures.mask_files import Kind, Numbers, StoredMask, read_mask

MOST = 300
"""So many different values are told apart; a mask of more has no classes for values."""


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """A mask as it is stored; height and width are upright.

    ``counts`` are the pixels of each number (see `StoredMask`): of the `MOST` most frequent where ``many`` says that
    there are more. ``colours`` are those of a palette's places.
    """

    height: int
    width: int
    kind: Kind
    counts: Mapping[int, int]
    many: bool
    colours: Mapping[int, int]
    lossy: str
    see_through: bool
    turned: bool
    wide: bool

    @property
    def all_grey(self) -> bool:
        """Whether it is stored in colours, all of which are grey."""
        return self.kind == "colour" and all(colour == (colour & 0xFF) * 0x010101 for colour in self.counts)

    def by_value(self) -> Mapping[int, int]:
        """Pixels of each grey value or place."""
        return {number & 0xFF: count for number, count in self.counts.items()} if self.all_grey else self.counts

    def by_colour(self) -> Mapping[int, int]:
        """Pixels of each colour; those of grey of 16 bits stay what they are."""
        if self.kind == "colour" or self.wide:
            return self.counts
        counts: dict[int, int] = {}
        for number, count in self.counts.items():
            colour = self.colours.get(number, 0) if self.kind == "palette" else number * 0x010101
            counts[colour] = counts.get(colour, 0) + count
        return counts


def mask_facts(paths: Sequence[Path], *, root: Path, workers: int) -> list[MaskFacts | DecodeError]:
    """The facts of each mask, or why it cannot be read; ``root`` is as in `hash_files`."""
    found = found_in(paths, "mask 2", lambda path: _described(read_mask(path)), root, workers)
    return [_facts(words) if words is not None else _reason(path) for path, words in zip(paths, found, strict=True)]


def _reason(path: Path) -> MaskFacts | DecodeError:
    try:
        return _facts(_described(read_mask(path)))
    except DecodeError as error:
        return error


def _described(mask: StoredMask) -> str:
    values, counts = _counted(mask.numbers)
    order = np.argsort(-counts, kind="stable")[:MOST]
    pairs = sorted(zip(values[order].tolist(), counts[order].tolist(), strict=True))
    colours = [[value, mask.palette[value]] for value, _ in pairs if value < len(mask.palette)]
    marks = [mask.see_through, mask.turned, mask.numbers.dtype == np.uint16]
    return json.dumps([*mask.numbers.shape, mask.kind, pairs, colours, len(values) > MOST, mask.lossy, *marks])


def _counted(numbers: Numbers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different numbers, in order, and how often each occurs."""
    if numbers.dtype == np.uint32:
        values, counts = np.unique(numbers, return_counts=True)
        return values.astype(np.int64), counts.astype(np.int64)
    counts = np.bincount(numbers.ravel())
    values = np.flatnonzero(counts)
    return values.astype(np.int64), counts[values].astype(np.int64)


def _facts(words: str) -> MaskFacts:
    height, width, kind, pairs, colours, many, lossy, see_through, turned, wide = json.loads(words)
    return MaskFacts(height, width, kind, dict(pairs), many, dict(colours), lossy, see_through, turned, wide)
