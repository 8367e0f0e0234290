"""The figures of classification."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from striate.data.records import Classes, Record

CALIBRATION_BINS = 15
"""Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4."""


class ClassifyMeter:
    """Counts predictions; keeps four numbers a picture, whatever the number of classes."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self._true: list[np.ndarray] = []
        self._first: list[np.ndarray] = []
        self._rank: list[np.ndarray] = []
        self._confidence: list[np.ndarray] = []
        self._loss: list[np.ndarray] = []

    def add(self, outputs: Tensor, records: Sequence[Record]) -> None:
        """Count logits ``[N, classes]`` against the records' classes."""
        # Float64, so that the figures do not depend on how pictures were put into batches.
        logs = torch.log_softmax(outputs.detach().cpu().double(), dim=1)
        true = torch.tensor([record.target for record in records])
        of_true = logs.gather(1, true[:, None])
        best, first = logs.max(dim=1)
        self._true.append(true.numpy())
        self._first.append(first.numpy())
        # A tie with the true class counts against it: a network that says one thing always is never right by it. Nor
        # is one whose outputs are NaN, which is why this asks what is not below.
        self._rank.append(((~(logs < of_true)).sum(dim=1) - 1).numpy())
        self._confidence.append(best.exp().numpy())
        self._loss.append(-of_true[:, 0].numpy())

    def merge(self, other: Self) -> None:
        """Pool another meter's pictures into this one."""
        for name in ("_true", "_first", "_rank", "_confidence", "_loss"):
            getattr(self, name).extend(getattr(other, name))

    def right(self) -> tuple[bool, ...]:
        """Of each picture, in the order in which they came, whether its class was the first answer, and alone."""
        return tuple(bool(rank == 0) for part in self._rank for rank in part)

    def figures(self) -> dict[str, Any]:
        """``images, top1, top5, loss, ece, interval, per_class, confusion``; see ``docs/json.md``."""
        true, first, rank, confidence, loss = (
            np.concatenate(parts) if parts else np.zeros(0)
            for parts in (self._true, self._first, self._rank, self._confidence, self._loss)
        )
        images = len(true)
        right = rank == 0
        count = len(self.classes)
        confusion = np.zeros((count, count), dtype=np.int64)
        np.add.at(confusion, (true.astype(np.int64), first.astype(np.int64)), 1)
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


def wilson_interval(right: int, images: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The interval that holds the true rate with 95 % confidence (Wilson 1927).

    Example:
        >>> low, high = wilson_interval(81, 100)
        >>> round(low, 4), round(high, 4)
        (0.7222, 0.8749)
    """
    rate = right / images
    centre = (rate + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * math.sqrt(rate * (1 - rate) / images + z * z / (4 * images * images))
    return max(0.0, centre - half), min(1.0, centre + half)


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
