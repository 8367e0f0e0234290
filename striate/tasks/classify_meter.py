"""The figures of classification."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from striate.data.records import Batch, Classes
from striate.data.targets import ClassIndex
from striate.tasks.counted import Counted
from striate.tasks.intervals import wilson_interval

CALIBRATION_BINS = 15
"""Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4."""

COUNTED = {
    "true": torch.int64,
    "first": torch.int64,
    "rank": torch.int64,
    "confidence": torch.float64,
    "loss": torch.float64,
}
"""What is kept of each picture."""


def class_indices(batch: Batch) -> Tensor:
    """The classes of a batch's pictures, int64 ``[N]``."""
    return torch.tensor([cast("ClassIndex", target).index for target in batch.targets], dtype=torch.int64)


class ClassifyMeter:
    """Counts predictions; keeps five numbers a picture, whatever the number of classes."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self._counted = Counted(COUNTED)

    def add(self, outputs: Tensor, batch: Batch) -> None:
        """Count logits ``[N, classes]`` against the classes of the batch's records."""
        # Float64, so that the figures do not depend on how pictures were put into batches.
        logs = torch.log_softmax(outputs.detach().cpu().double(), dim=1)
        true = class_indices(batch)
        of_true = logs.gather(1, true[:, None])
        best, first = logs.max(dim=1)
        # A tie with the true class counts against it: a network that says one thing always is never right by it. Nor
        # is one whose outputs are NaN, which is why this asks what is not below.
        rank = (~(logs < of_true)).sum(dim=1) - 1
        self._counted.add(
            {"true": true, "first": first, "rank": rank, "confidence": best.exp(), "loss": -of_true[:, 0]}
        )

    def state(self) -> Mapping[str, Tensor]:
        """For each picture its class, the first answer, the rank of its class, the confidence and the loss."""
        return self._counted.state()

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Pool the pictures of another meter's `state` into this one."""
        self._counted.add(state)

    def rows(self) -> list[dict[str, Any]]:
        """Of each picture ``true`` and ``answered`` (names), ``probability``, ``loss`` and ``right``.

        Right is a picture whose class was the first answer, and alone.
        """
        names, state = self.classes.names, {name: part.tolist() for name, part in self.state().items()}
        return [
            {"true": names[true], "answered": names[first], "probability": confidence, "loss": loss, "right": rank == 0}
            for true, first, rank, confidence, loss in zip(*(state[name] for name in COUNTED), strict=True)
        ]

    def figures(self) -> dict[str, Any]:
        """``images, top1, top5, loss, ece, interval, per_class, confusion``; see ``docs/json.md``."""
        state = self.state()
        true, first, rank, confidence, loss = (state[name].numpy() for name in COUNTED)
        images = len(true)
        right = rank == 0
        count = len(self.classes)
        confusion = np.zeros((count, count), dtype=np.int64)
        np.add.at(confusion, (true, first), 1)
        return {
            "images": images,
            "top1": float(right.mean()) if images else None,
            "top5": float((rank < 5).mean()) if images else None,
            "loss": float(loss.mean()) if images else None,
            "ece": calibration_error(confidence, right) if images else None,
            "interval": list(wilson_interval(int(right.sum()), images)) if images else None,
            "per_class": self._per_class(confusion),
            "confusion": confusion.tolist(),
        }

    def _per_class(self, confusion: np.ndarray) -> list[dict[str, Any]]:
        rows = []
        for index, name in enumerate(self.classes.names):
            images, answered = int(confusion[index].sum()), int(confusion[:, index].sum())
            right = int(confusion[index, index])
            rows.append(
                {
                    "name": name,
                    "id": self.classes.ids[index] if self.classes.ids else None,
                    "images": images,
                    "recall": right / images if images else None,
                    "precision": right / answered if answered else None,
                }
            )
        return rows


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over 15 equal bins of confidence (Guo et al. 2017, equation 3), 0..1.

    ``confidence`` is float ``[N]`` in 0..1, ``right`` bool ``[N]``.
    """
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    error = 0.0
    for index in np.unique(bins):
        members = bins == index
        error += members.mean() * abs(confidence[members].mean() - right[members].mean())
    return float(error)
