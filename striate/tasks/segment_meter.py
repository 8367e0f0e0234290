"""What segmentation counts: answers and masks, pixel by pixel in the photographs' own."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.data.records import Batch, Classes
from striate.data.targets import Mask
from striate.pictures.geometry import UNKNOWN
from striate.tasks.counted import Counted
from striate.tasks.segment_boundaries import boundary_counts
from striate.tasks.segment_decoding import class_maps
from striate.tasks.segment_figures import COUNTS, figures_of, rows_of
from striate.tasks.segment_loss import SegmentLoss


def targets_of(batch: Batch, device: torch.device) -> Tensor:
    """The class indices of a batch's pixels, uint8 ``[N, H, W]``."""
    masks = [cast("Mask", target).indices() for target in batch.targets]
    return torch.from_numpy(np.stack(masks)).to(device)


class SegmentMeter:
    """Counts pixels; keeps seven numbers a class and picture (`COUNTS`), the confusion of all and each picture's loss.

    Its state is ``counts`` int64 ``[N, 7, K]``, ``losses`` float64 ``[N]`` (NaN where the network saw nothing known),
    and ``confusion`` int64 ``[1, K, K]``, true classes by answered ones.
    """

    def __init__(self, classes: Classes, loss: SegmentLoss) -> None:
        self._classes, self._loss = classes, loss
        self._counted = Counted({"counts": torch.int64, "losses": torch.float64})
        self._confusion = np.zeros((len(classes), len(classes)), np.int64)

    def add(self, outputs: Tensor, batch: Batch) -> None:
        """Count a batch's logits ``[N, K, H, W]``."""
        targets = targets_of(batch, outputs.device)
        counts, losses = [], []
        for row, (answered, record) in enumerate(
            zip(class_maps(outputs, batch.geometries), batch.records, strict=True)
        ):
            counts.append(self._compared(cast("Mask", record.target).indices(), answered))
            parts = self._loss.parts(outputs[row : row + 1], targets[row : row + 1])
            seen = bool((targets[row] != UNKNOWN).any())
            losses.append(float(sum(parts.values())) if seen else math.nan)
        self._counted.add(
            {"counts": torch.from_numpy(np.stack(counts)), "losses": torch.tensor(losses, dtype=torch.float64)}
        )

    def state(self) -> Mapping[str, Tensor]:
        """All that was counted."""
        state = self._counted.state()
        state["counts"] = state["counts"].reshape(-1, len(COUNTS), len(self._classes))
        return state | {"confusion": torch.from_numpy(self._confusion[None].copy())}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Pool the pictures of another meter's `state` into this one."""
        self._counted.add(state)
        self._confusion += state["confusion"].numpy().sum(0)

    def figures(self) -> dict[str, Any]:
        """All figures of ``docs/json.md``; None what does not exist."""
        state = self.state()
        return figures_of(state["counts"].numpy(), self._confusion, state["losses"].numpy(), self._classes)

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A result a picture, with the keys of `rows_of`."""
        state = self.state()
        return rows_of(state["counts"].numpy(), state["losses"].numpy())

    def _compared(self, true: NDArray[np.uint8], answered: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The `COUNTS` of one picture, whose confusion is added to that of all."""
        count = len(self._classes)
        known = true != UNKNOWN
        pairs = true[known].astype(np.int64) * count + answered[known]
        confusion = np.bincount(pairs, minlength=count * count).reshape(count, count)
        self._confusion += confusion
        pixels = [np.diagonal(confusion), confusion.sum(1), confusion.sum(0)]
        return np.concatenate([np.stack(pixels), boundary_counts(true, answered, count)]).astype(np.int64)
