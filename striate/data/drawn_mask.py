"""Masks that are drawn from shapes: polygons and runs, each of one class, over a ground.

Of shapes that overlap the smaller lies over the larger, by the pixels that each alone would have, and of equal ones the
later over the earlier; but a higher layer lies over all lower ones. Polygons are drawn by faster-coco-eval, as COCO's
own tools draw them.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

BENEATH = -(1 << 31)
"""The layer of what lies beneath all else: crowds that nobody counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What one object covers.

    ``polygons`` are float64 ``[2 n]``, x and y by turns in pixels; what any of them covers is covered. ``runs`` are
    int64: how many pixels are not covered, then how many are, and so on, by columns from the left, each from the top.
    One of the two is given. ``index`` is the class's, 255 for nobody's.
    """

    index: int
    polygons: tuple[NDArray[np.float64], ...] = ()
    runs: NDArray[np.int64] | None = None
    layer: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class DrawnMask:
    """Shapes over ``ground``, a class or 255, on a picture of this size; ``name`` is what errors call it."""

    name: str
    height: int
    width: int
    shapes: tuple[Shape, ...]
    ground: int

    def read(self) -> NDArray[np.uint8]:
        """Draw it: uint8 ``[H, W]``."""
        whole = np.full((self.height, self.width), self.ground, np.uint8)
        runs = [self._runs(shape) for shape in self.shapes]
        areas = [_covered(each) for each in runs]
        # Sorting is stable: of equal ones the later is drawn later.
        order = sorted(range(len(runs)), key=lambda each: (self.shapes[each].layer, -areas[each]))
        for each in order:
            if areas[each]:
                whole[self._pixels(runs[each])] = self.shapes[each].index
        return whole

    def content(self) -> bytes:
        """A hash of all that is drawn."""
        digest = sha256(f"{self.height} {self.width} {self.ground}".encode())
        for shape in self.shapes:
            parts = [part.tobytes() for part in shape.polygons]
            parts += [] if shape.runs is None else [shape.runs.tobytes()]
            digest.update(f"{shape.index} {shape.layer} {[len(part) for part in parts]}".encode() + b"".join(parts))
        return digest.digest()

    def _runs(self, shape: Shape) -> Any:
        """The runs of a shape, or COCO's own form of them for polygons."""
        if shape.runs is not None:
            return shape.runs
        from faster_coco_eval.core.mask import frPyObjects, merge

        return merge(frPyObjects([polygon.tolist() for polygon in shape.polygons], self.height, self.width))

    def _pixels(self, runs: Any) -> NDArray[np.bool_]:
        if isinstance(runs, np.ndarray):
            covered = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
            return covered.reshape(self.width, self.height).T
        from faster_coco_eval.core.mask import decode

        return np.asarray(decode(runs)).astype(bool)


def _covered(runs: Any) -> int:
    """The number of pixels that runs cover."""
    if isinstance(runs, np.ndarray):
        return int(runs[1::2].sum())
    from faster_coco_eval.core.mask import area

    return int(area(runs))
