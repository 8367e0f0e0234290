"""Masks whose files have colours, or grey values of 16 bits, where classes are meant."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from striate.data.names import printable
from striate.pictures.decode import explained
from striate.pictures.geometry import UNKNOWN
from striate.pictures.mask_files import read_mask


@dataclass(frozen=True, slots=True)
class CodedMask:
    """A file in which ``values[i]``, a grey value or a colour 0xRRGGBB, stands for i; all others are 255."""

    path: Path
    values: tuple[int, ...]
    coloured: bool

    @property
    def name(self) -> str:
        """The file's."""
        return printable(self.path)

    def read(self) -> NDArray[np.uint8]:
        """The position of each pixel's value in ``values``, uint8 ``[H, W]``.

        Raises:
            DecodeError: the file cannot be read.
        """
        stored = read_mask(self.path)
        with explained(self.path, None):
            numbers = stored.colours() if self.coloured else stored.values()
            return _positions(self.values, 1 << (24 if self.coloured else 16))[numbers]


@lru_cache(maxsize=2)  # 16 MiB for colours, which all masks of a data set share
def _positions(values: tuple[int, ...], count: int) -> NDArray[np.uint8]:
    """Of each of so many values its position among ``values``, or 255."""
    table = np.full(count, UNKNOWN, np.uint8)
    table[list(values)] = np.arange(len(values))
    return table
