"""What masks show: how many pixels of each class, as their source knows it; only what it does not know is read."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from striate.base.hardware import cores
from striate.data.records import Record
from striate.data.targets import Mask
from striate.pictures.geometry import UNKNOWN


@dataclass(frozen=True, slots=True)
class Census:
    """Of each class how many masks show it, its pixels, and all known pixels of those masks."""

    pictures: tuple[int, ...]
    pixels: tuple[int, ...]
    of_pixels: tuple[int, ...]

    @classmethod
    def of(cls, records: Sequence[Record], classes: int) -> "Census":
        """Of the masks of these records."""
        with ThreadPoolExecutor(cores()) as pool:
            counts = np.array(list(pool.map(_pixels, records)), np.int64).reshape(-1, UNKNOWN + 1)[:, :classes]
        shown = counts > 0
        known = counts.sum(1, keepdims=True)
        return cls(*(tuple(each.sum(0).tolist()) for each in (shown, counts, shown * known)))

    @property
    def balanced(self) -> tuple[float, ...]:
        """A weight for each class: the median of all frequencies over its own; 1 for classes that no mask shows.

        A class's frequency is the part of its pixels in the masks that show it (Eigen and Fergus, "Predicting depth,
        surface normals and semantic labels with a common multi-scale convolutional architecture", ICCV 2015, section
        6.3; SegNet weighs CamVid so).
        """
        pixels, of_pixels = np.array(self.pixels, float), np.array(self.of_pixels, float)
        shown = pixels > 0
        if not shown.any():
            return (1.0,) * len(pixels)
        frequencies = pixels[shown] / of_pixels[shown]
        weights = np.ones(len(pixels))
        weights[shown] = np.median(frequencies) / frequencies
        return tuple(weights.tolist())


def _pixels(record: Record) -> NDArray[np.int64]:
    """How many pixels of each index 0..255 a record's mask has."""
    assert isinstance(record.target, Mask)
    areas = record.target.areas
    if areas is None or not all(areas.values()):
        return np.bincount(record.target.indices().reshape(-1), minlength=UNKNOWN + 1)
    counts = np.zeros(UNKNOWN + 1, np.int64)
    counts[list(areas)] = list(areas.values())
    return counts
