"""What detection counts: what was found and what is there, in the photographs' own pixels."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.data.records import Batch, Classes
from striate.data.targets import Boxes
from striate.tasks.detect_answers import found_in_photographs
from striate.tasks.detect_figures import figures_of, rows_of
from striate.tasks.detect_form import Form
from striate.tasks.detect_matching import Measured
from striate.tasks.detect_objects import objects_of, of_picture

LEAST_SCORE = 0.01
"""Less sure ones are not measured: what they add to a curve's end is nothing, and there are thousands."""


class DetectMeter:
    """Keeps what was found and what is there, and counts when it is asked.

    ``score_threshold`` is the score from which on the task gives answers; None: it goes by what is best here.
    Its state is ``found`` float64 ``[M, 7]`` (picture, xyxy, score, class), ``true`` float64 ``[T, 9]`` (picture, xyxy,
    class, area, crowd, difficult) and ``losses`` float64 ``[N]``, of every picture one.
    """

    def __init__(self, classes: Classes, form: Form, iou_threshold: float, score_threshold: float | None) -> None:
        self._classes, self._form, self._iou_threshold = classes, form, iou_threshold
        self._score_threshold = score_threshold
        self._found: list[NDArray[np.float64]] = []
        self._true: list[NDArray[np.float64]] = []
        self._losses: list[float] = []

    def add(self, outputs: Tensor, batch: Batch) -> None:
        """Count a batch's raw outputs."""
        objects = objects_of(batch, outputs.device)
        found = found_in_photographs(
            self._form,
            outputs,
            batch.geometries,
            classes=len(self._classes),
            iou_threshold=self._iou_threshold,
            score_threshold=LEAST_SCORE,
        )
        for picture, ((boxes, scores, classes), record) in enumerate(
            zip(found, batch.records, strict=True), start=len(self._losses)
        ):
            self._found.append(_rows(picture, boxes, scores[:, None], classes[:, None]))
            self._true.append(_rows(picture, *_columns(cast("Boxes", record.target))))
        losses = [self._form.loss(outputs[row : row + 1], of_picture(objects, row)) for row in range(len(found))]
        self._losses += torch.stack([torch.stack(list(parts.values())).sum() for parts in losses]).tolist()

    def state(self) -> Mapping[str, Tensor]:
        """All that was counted."""
        return {
            "found": torch.from_numpy(np.concatenate([np.zeros((0, 7)), *self._found])),
            "true": torch.from_numpy(np.concatenate([np.zeros((0, 9)), *self._true])),
            "losses": torch.tensor(self._losses, dtype=torch.float64),
        }

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Pool the pictures of another meter's `state` into this one."""
        for name, to in (("found", self._found), ("true", self._true)):
            rows = state[name].numpy().copy()
            rows[:, 0] += len(self._losses)
            to.append(rows)
        self._losses += state["losses"].tolist()

    def figures(self) -> dict[str, Any]:
        """All figures of ``docs/json.md``; None where there are no such objects."""
        loss = float(np.mean(self._losses)) if self._losses else None
        found = figures_of(self._measured(), self._classes, self._score_threshold)
        return {"images": len(self._losses), "loss": loss} | found

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A result a picture, with the keys of `rows_of`."""
        return rows_of(self._measured(), self._losses, self._score_threshold)

    def _measured(self) -> Measured:
        state = self.state()
        found, true = state["found"].numpy(), state["true"].numpy()
        return Measured.of(found, true, images=len(self._losses), classes=len(self._classes))


def _rows(picture: int, *columns: NDArray[Any]) -> NDArray[np.float64]:
    return np.concatenate([np.full((len(columns[0]), 1), picture), *columns], axis=1, dtype=np.float64)


def _columns(target: Boxes) -> list[NDArray[Any]]:
    sides = target.xyxy[:, 2:] - target.xyxy[:, :2]
    areas = sides.prod(axis=1) if target.areas is None else target.areas
    return [target.xyxy, *(each[:, None] for each in (target.classes, areas, target.crowd, target.difficult))]
