"""From a detector's raw outputs to what it found, in the photographs' own pixels: what answers and figures share."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.base.errors import ModelError
from striate.data.names import counted
from striate.ops.grids import cell_places
from striate.ops.suppression import multiclass_nms
from striate.pictures.exact_tiles import Tile
from striate.pictures.geometry import Geometry
from striate.tasks.coco_figures import MOST
from striate.tasks.detect_form import Form

Found = tuple[NDArray[np.float64], NDArray[np.floating], NDArray[np.int64]]
"""Of one picture, the surest first: xyxy ``[K, 4]`` inside the photograph, scores ``[K]`` and class indices ``[K]``."""


def found_in_photographs(
    form: Form,
    outputs: Tensor,
    geometries: Sequence[Geometry],
    *,
    classes: int,
    iou_threshold: float,
    score_threshold: float,
) -> list[Found]:
    """What each picture's raw outputs say; its boxes end at the photograph's border, and all have an area.

    A box that lies beside the photograph, as in what a letterbox adds, is about nothing that anybody sees: it neither
    suppresses another nor counts among the most answers that a picture has.

    Raises:
        ModelError: these are no outputs of the form.
    """
    size = geometries[0].output_size
    _refuse_others(form, outputs, size, classes)
    boxes, scores = form.boxes(outputs, size).detach().cpu().numpy(), form.scores(outputs).detach().cpu().numpy()
    return _suppressed(boxes, scores, geometries, iou_threshold, score_threshold)


def found_in_tiles(
    form: Form,
    parts: Iterable[tuple[Tile, Tensor]],
    geometry: Geometry,
    *,
    classes: int,
    iou_threshold: float,
    score_threshold: float,
) -> Found:
    """What the raw outputs ``[1, ...]`` for a photograph's tiles say, as those for the whole would.

    Of each tile the places in its core count, and of these what scores enough is kept until all are there. ``geometry``
    is how the photograph came into what was cut.

    Raises:
        ModelError: these are no outputs of the form.
    """
    boxes, scores, places = ([np.zeros((0, count), kind)] for count, kind in ((4, "f4"), (classes, "f4"), (4, "i8")))
    strides = np.array([stride for stride, _ in form.maps])
    for tile, outputs in parts:
        top, left, bottom, right = tile.shows
        size = bottom - top, right - left
        _refuse_others(form, outputs, size, classes)
        numbers, there = form.scores(outputs)[0].detach().cpu().numpy(), cell_places(size, form.maps)
        rows, columns = there[:, 1] * strides[there[:, 0]] + top, there[:, 2] * strides[there[:, 0]] + left
        first, begin, last, end = tile.core
        inside = (first <= rows) & (rows < last) & (begin <= columns) & (columns < end)
        likely = np.flatnonzero(inside & (numbers >= score_threshold).any(axis=1))
        moved = np.array([left, top, left, top], np.float32)
        boxes.append(form.boxes(outputs, size)[0].detach().cpu().numpy()[likely] + moved)
        scores.append(numbers[likely])
        places.append(np.stack([there[:, 0], rows, columns, there[:, 3]], axis=1)[likely])
    order = np.lexsort(np.concatenate(places).T[::-1])  # as the whole's places: of equal scores the first is the surer
    (found,) = _suppressed(
        np.concatenate(boxes)[order][None],
        np.concatenate(scores)[order][None],
        [geometry],
        iou_threshold,
        score_threshold,
    )
    return found


def _suppressed(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    geometries: Sequence[Geometry],
    iou_threshold: float,
    score_threshold: float,
) -> list[Found]:
    """Of the boxes ``[N, P, 4]`` of places and their scores ``[N, P, C]`` what is left, in the photographs' pixels."""
    _drop_unseen(boxes, scores >= score_threshold, geometries)
    found = multiclass_nms(
        torch.from_numpy(boxes),
        torch.from_numpy(scores),
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        max_detections=MOST,
    )
    answers = []
    for each, geometry in zip(found, geometries, strict=True):
        there = geometry.undo_boxes(each.boxes.numpy())
        there = np.clip(there, 0, [geometry.width, geometry.height] * 2)
        whole = (there[:, :2] < there[:, 2:]).all(axis=1)  # also where rounding took the little that was seen
        answers.append((there[whole], each.scores.numpy()[whole], each.classes.numpy()[whole]))
    return answers


def _refuse_others(form: Form, outputs: Tensor, size: tuple[int, int], classes: int) -> None:
    said, expected = tuple(outputs.shape[1:]), form.shape(size, classes)
    if said != expected:
        raise ModelError(
            f"for a picture of {size[0]}x{size[1]} the network answers {' x '.join(map(str, said))} numbers, and its "
            f"form, {form.name} of {counted(classes, 'class', 'classes')}, means {' x '.join(map(str, expected))}; "
            "they belong to another network"
        )


def _drop_unseen(boxes: NDArray[np.float32], likely: NDArray[np.bool_], geometries: Sequence[Geometry]) -> None:
    """Make infinite what lies beside the photograph, of those boxes ``[N, P, 4]`` of which a class is ``[N, P, C]``."""
    pictures, places = np.nonzero(likely.any(axis=2))
    whole = [geometry.boxes(np.array([[0.0, 0.0, geometry.width, geometry.height]])) for geometry in geometries]
    frames = np.concatenate(whole).astype(np.float32)[pictures]
    some = boxes[pictures, places]
    low, high = np.maximum(some[:, :2], frames[:, :2]), np.minimum(some[:, 2:], frames[:, 2:])
    unseen = ~(low < high).all(axis=1)
    boxes[pictures[unseen], places[unseen]] = np.inf
