"""From logits to a class for each pixel of the photograph.

Logits are brought back, not classes: where a photograph is larger than what the network saw of it, the border between
two classes runs where their logits are equal between four values, and not along the squares of the network's pixels.
It is done in bands of rows, so that no photograph needs room for all of its logits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.pictures.geometry import Geometry

BAND = 1 << 22
"""So many logits are interpolated at a time."""


def class_maps(outputs: Tensor, geometries: Sequence[Geometry]) -> list[NDArray[np.uint8]]:
    """The most probable class of each pixel, uint8 ``[height, width]`` of each photograph.

    ``outputs`` are logits ``[N, classes, H, W]`` of pictures that came there by ``geometries``, without a turn. Between
    the network's pixels they are interpolated bilinearly; beyond the outermost that show the photograph, those count.
    """
    return [np.concatenate([_first(band) for band in bands]) for bands in _brought_back(outputs, geometries)]


@dataclass(frozen=True, slots=True, eq=False)
class SureMap:
    """The most probable class of each pixel, uint8 ``[height, width]``, and its probability in parts of 255."""

    indices: NDArray[np.uint8]
    sure: NDArray[np.uint8]


def sure_maps(outputs: Tensor, geometries: Sequence[Geometry]) -> list[SureMap]:
    """As `class_maps`, with how probable each class is."""
    found = []
    for bands in _brought_back(outputs, geometries):
        best = [band.softmax(0).max(0) for band in bands]
        indices = torch.cat([each.indices for each in best]).to(torch.uint8)
        sure = (torch.cat([each.values for each in best]) * 255).round().to(torch.uint8)
        found.append(SureMap(indices.cpu().numpy(), sure.cpu().numpy()))
    return found


def _brought_back(outputs: Tensor, geometries: Sequence[Geometry]) -> Iterator[Iterator[Tensor]]:
    """Of each photograph its logits ``[classes, rows, width]``, band by band from the top."""
    if any(tuple(outputs.shape[2:]) != geometry.output_size for geometry in geometries):
        raise AssertionError(f"a fault of ours: logits {list(outputs.shape)} are not of the size of the pictures")
    return (_bands(logits, geometry) for logits, geometry in zip(outputs, geometries, strict=True))


def _bands(logits: Tensor, geometry: Geometry) -> Iterator[Tensor]:
    height, width = geometry.output_size
    down, across = geometry.positions()
    rows, columns = _Lines.of(down, height, logits.device), _Lines.of(across, width, logits.device)
    if rows.exact and columns.exact:
        yield logits
        return
    band = max(1, BAND // (len(logits) * len(across)))
    for start in range(0, len(down), band):
        part = rows.between(logits, 1, start, start + band)
        yield columns.between(part, 2, 0, len(across))


def _first(logits: Tensor) -> NDArray[np.uint8]:
    return logits.argmax(0).to(torch.uint8).cpu().numpy()


@dataclass(frozen=True, slots=True)
class _Lines:
    """For each row or column of the photograph the two of the network's that it lies between, and how far: ``[L]``."""

    before: Tensor
    after: Tensor
    part: Tensor
    exact: bool

    @classmethod
    def of(cls, positions: NDArray[np.float64], count: int, device: torch.device) -> "_Lines":
        """For positions ``[L]`` in the network's input, which has ``count`` rows or columns."""
        # A border or a letterbox is not the photograph: what the network says there is not mixed in.
        # (Of a single line nobody knows how wide it is; it is one at least.)
        half = abs(positions[-1] - positions[0]) / (len(positions) - 1) / 2 if len(positions) > 1 else 0.5
        low, high = min(positions[0], positions[-1]) - half, max(positions[0], positions[-1]) + half
        first = min(max(int(np.ceil(low - 1e-6)), 0), count - 1)
        last = max(min(int(np.floor(high + 1e-6)), count) - 1, first)
        places = np.clip(positions - 0.5, first, last)
        before = np.floor(places + 1e-9).astype(np.int64)
        part = np.maximum(places - before, 0)
        exact = len(before) == count and bool((before == np.arange(count)).all()) and bool((part < 1e-6).all())
        after = np.minimum(before + 1, last)
        first_of, second_of, share = (
            torch.from_numpy(each).to(device) for each in (before, after, part.astype(np.float32))
        )
        return cls(first_of, second_of, share, exact)

    def between(self, logits: Tensor, axis: int, start: int, stop: int) -> Tensor:
        """Logits ``[classes, H, W]`` at the lines from ``start`` to ``stop``, interpolated along the axis."""
        part = self.part[start:stop].view([-1, 1] if axis == 1 else [-1])
        return torch.lerp(
            logits.index_select(axis, self.before[start:stop]),
            logits.index_select(axis, self.after[start:stop]),
            part.to(logits.dtype),
        )
