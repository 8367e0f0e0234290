"""What a network learns that says one box and one class, from raw outputs ``[N, 4 + classes]``; all in float32.

The box is left, top, right, bottom in pixels of the input, the others are a logit for each class.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.data.records import Batch
from striate.data.targets import Boxes
from striate.ops.boxes import giou, xyxy_to_cxcywh

_THIN = 1e-4  # of a picture's side: the square root of what is thinner has a gradient that wrecks a step


@dataclass(frozen=True, slots=True)
class Objects:
    """The object of each picture of a batch: xyxy ``[N, 4]`` in pixels of the input, and its class ``[N]``.

    ``there`` ``[N]`` says whether it is to be seen, since a random window may miss it. ``size`` is the input's (height,
    width).
    """

    boxes: Tensor
    classes: Tensor
    there: Tensor
    size: tuple[int, int]


def objects_of(batch: Batch, device: torch.device) -> Objects:
    """What is on the pictures; of several objects the largest."""
    targets = [cast("Boxes", target).largest() for target in batch.targets]
    there = torch.tensor([len(target) > 0 for target in targets])
    boxes, classes = torch.zeros(len(targets), 4), torch.zeros(len(targets), dtype=torch.int64)
    for row, target in enumerate(targets):
        if there[row]:
            boxes[row], classes[row] = torch.from_numpy(target.xyxy[0]), int(target.classes[0])
    height, width = batch.images.shape[2:]
    return Objects(boxes.to(device), classes.to(device), there.to(device), (height, width))


def by_giou(said: Tensor, true: Tensor, size: tuple[int, int]) -> Tensor:
    """1 - GIoU of each pair of boxes, 0 to 2 (Rezatofighi et al. 2019, section 3.1)."""
    return 1 - giou(said, true)


def by_square_roots(said: Tensor, true: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean squared error of a box's centre and of the square roots of its sides, all in parts of the picture's sides.

    As in Redmon et al., "You only look once", CVPR 2016, section 2.2: the root makes an error matter more in a small
    box than in a large one.
    """
    height, width = size
    numbers = []
    for boxes in (said, true):
        middles, sides = (xyxy_to_cxcywh(boxes) / boxes.new_tensor([width, height] * 2)).split(2, -1)
        numbers.append(torch.cat([middles, sides.clamp(min=_THIN).sqrt()], -1))
    return (numbers[0] - numbers[1]).square().mean(-1)


BOX_LOSSES: Mapping[str, Callable[[Tensor, Tensor, tuple[int, int]], Tensor]] = {
    "giou": by_giou,
    "square_roots": by_square_roots,
}
"""By the recipe's ``box_loss``: said and true boxes xyxy ``[N, 4]`` and the input's size to ``[N]``."""


def localization_losses(outputs: Tensor, objects: Objects, box_loss: str) -> dict[str, Tensor]:
    """Of each picture ``[N]``: ``class`` is cross-entropy, ``box`` what `BOX_LOSSES` has."""
    outputs = outputs.float()
    return {
        "class": F.cross_entropy(outputs[:, 4:], objects.classes, reduction="none"),
        "box": BOX_LOSSES[box_loss](outputs[:, :4], objects.boxes, objects.size),
    }
