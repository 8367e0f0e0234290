"""The objects of a batch as tensors whose shapes depend on shapes alone: what all detectors learn from."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from striate.data.records import Batch
from striate.data.targets import Boxes


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a batch: xyxy ``[N, K, 4]`` in pixels of the input, classes ``[N, K]``, and which are there.

    ``size`` is the input's (height, width).
    """

    boxes: Tensor
    classes: Tensor
    there: Tensor
    size: tuple[int, int]


def of_picture(objects: Objects, row: int) -> Objects:
    """The objects of one picture of the batch, as a batch."""
    boxes, classes, there = (part[row : row + 1] for part in (objects.boxes, objects.classes, objects.there))
    return Objects(boxes, classes, there, objects.size)


def objects_of(batch: Batch, device: torch.device) -> Objects:
    """What is on the pictures; groups that nobody counted are left out, since no place could answer for one."""
    targets = [cast("Boxes", target) for target in batch.targets]
    most = max((int((~target.crowd).sum()) for target in targets), default=0) or 1
    boxes = torch.zeros(len(targets), most, 4)
    classes = torch.zeros(len(targets), most, dtype=torch.int64)
    there = torch.zeros(len(targets), most, dtype=torch.bool)
    for row, target in enumerate(targets):
        counted = ~target.crowd
        count = int(counted.sum())
        boxes[row, :count] = torch.from_numpy(target.xyxy[counted]).float()
        classes[row, :count] = torch.from_numpy(target.classes[counted])
        there[row, :count] = True
    height, width = batch.images.shape[2:]
    return Objects(boxes.to(device), classes.to(device), there.to(device), (height, width))


def stated_boxes(size: tuple[int, int], objects: int) -> Boxes:
    """So many objects on a picture of this height and width: a quarter of its sides each, from corner to corner."""
    height, width = size
    steps = [place / max(1, objects - 1) * 0.75 for place in range(objects)]
    xyxy = [(x * width, x * height, (x + 0.25) * width, (x + 0.25) * height) for x in steps]
    return Boxes.of(xyxy, [0] * objects)
