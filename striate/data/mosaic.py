"""Mosaics: four pictures put together, each in its own quarter, as one with the targets of all.

Bochkovskiy, Wang and Liao, "YOLOv4: Optimal speed and accuracy of object detection", 2020, section 3.4. Which pictures
come together, and how, are the numbers drawn for the first of them.
"""

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from striate.base.seeds import uniforms
from striate.data.augmentation import DRAWS
from striate.data.records import Record, Sample
from striate.data.targets import Target
from striate.pictures.geometry import Geometry, Pad

_MOSAIC = 2  # the stream of where the four meet and who the others are; each of those has one more for its own numbers
_MIDDLE = (0.3, 0.7)
"""Where the four meet, as a part of each side, least and most."""

Placed = Callable[[Record, tuple[int, int], NDArray[np.float64]], Sample]
"""A record as it is seen in a frame of (height, width), with its numbers ``[DRAWS]``."""


class Mosaics:
    """What is needed to put four of some records together; ``keys`` ``[N]`` name them, as in `uniforms`.

    Raises:
        DataError: such targets cannot be joined.
    """

    def __init__(self, records: Sequence[Record], keys: NDArray[np.uint64], seed: int) -> None:
        for record in records[:1]:
            record.target.joined(record.target)  # that such cannot be joined is said before anything is learnt
        self._records, self._keys, self._seed = records, keys, seed
        self._by_key = np.argsort(keys, kind="stable")  # so that it does not matter how they were listed

    def sample(
        self, position: int, epoch: int, size: tuple[int, int], draws: NDArray[np.float64], placed: Placed
    ) -> Sample:
        """The record at ``position`` in the upper left, with three others; the geometry is its own."""
        key = self._keys[position : position + 1]
        drawn = uniforms(self._seed, epoch, key, 5, stream=_MOSAIC)[0]
        low, high = _MIDDLE
        rows, columns = (
            min(max(1, round(side * (low + (high - low) * float(draw)))), side - 1)
            for side, draw in zip(size, drawn[:2], strict=True)
        )
        others = self._by_key[(drawn[2:] * len(self._records)).astype(np.int64)]
        streams = (uniforms(self._seed, epoch, key, DRAWS, stream=_MOSAIC + other)[0] for other in (1, 2, 3))
        frames = (
            (0, 0, rows, columns),
            (0, columns, rows, size[1] - columns),
            (rows, 0, size[0] - rows, columns),
            (rows, columns, size[0] - rows, size[1] - columns),
        )
        parts = [
            _moved(placed(self._records[at], (height, width), numbers), size, top, left)
            for at, (top, left, height, width), numbers in zip(
                (position, *others.tolist()), frames, (draws, *streams), strict=True
            )
        ]
        image = np.empty((*size, parts[0].image.shape[2]), np.uint8)
        for part, (top, left, height, width) in zip(parts, frames, strict=True):
            image[top : top + height, left : left + width] = part.image
        target = reduce(lambda whole, part: whole.joined(part), (part.target for part in parts))
        return Sample(image, target, parts[0].geometry)


def _moved(part: Sample, size: tuple[int, int], top: int, left: int) -> Sample:
    """The image as it is; target and geometry as in the whole, after what the frame cut off is gone."""
    height, width = part.image.shape[:2]
    pad = Pad(top, size[0] - top - height, left, size[1] - left - width)
    target: Target = part.target.moved(Geometry(height, width).then(pad))
    return Sample(part.image, target, part.geometry.then(pad))
