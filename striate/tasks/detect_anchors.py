"""Detectors with anchors: where their places lie, which of them answers for an object, and what all of them learn.

Redmon and Farhadi, "YOLOv3: an incremental improvement", 2018, sections 2.1 to 2.3. A place is a cell of a scale and
one of that scale's anchors. Places come scale by scale, in the order in which the scales are given, the cells of each
row by row, and the anchors of a cell one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.data.records import ArrayHandle, Record
from striate.data.targets import Boxes
from striate.models.table import architecture
from striate.ops.anchors import AnchorReport, anchor_report, anchors_by_kmeans, size_overlaps
from striate.ops.boxes import iou, xyxy_to_cxcywh
from striate.ops.grids import cell_centres, decode_anchors, encode_anchors
from striate.pictures.decode import read_header
from striate.pictures.geometry import Geometry
from striate.recipe import Recipe
from striate.tasks.detect_objects import Objects

IGNORED = 0.7
"""A place that answers for no object, but whose box overlaps one by more than this IoU, is not told that it errs."""

_Pixels = Annotated[float, Field(gt=0, le=1 << 16)]
Size = tuple[_Pixels, _Pixels]
"""Width and height of an anchor, in pixels of the network's input."""
Sizes = Annotated[tuple[Size, ...], Field(min_length=1)]
Scales = Annotated[tuple[Sizes, ...], Field(min_length=1)]
Stride = Annotated[int, Field(ge=1, le=1 << 16)]
Reach = Annotated[float, Field(gt=0, le=16)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Places:
    """The places of an input: of each its cell's centre ``[P, 2]``, stride and reach ``[P]``, and anchor ``[P, 2]``."""

    centres: Tensor
    strides: Tensor
    reaches: Tensor
    anchors: Tensor

    def boxes(self, numbers: Tensor) -> Tensor:
        """The boxes xyxy that the numbers x, y, w, h of all places ``[N, P, 4]`` say.

        Raises:
            ModelError: a network of other places says them.
        """
        if numbers.shape[1] != len(self.centres):
            raise ModelError(
                f"the network answers for {numbers.shape[1]} places, and its anchors and strides make "
                f"{len(self.centres)}; they belong to another network"
            )
        return decode_anchors(numbers, self.centres, self.strides, self.anchors, scale_xy=self.reaches)

    def numbers(self, boxes: Tensor, places: Tensor) -> Tensor:
        """What the places with these indices ``[N, K]`` must say for each its box ``[N, K, 4]``."""
        centres, strides, reaches, anchors = (
            part[places] for part in (self.centres, self.strides, self.reaches, self.anchors)
        )
        return encode_anchors(boxes, centres, strides, anchors, scale_xy=reaches)


def places_of(
    size: tuple[int, int],
    anchors: Sequence[Sequence[Size]],
    strides: Sequence[int],
    scale_xy: Sequence[float],
    device: torch.device,
) -> Places:
    """The places of an input of ``size`` (height, width), for the anchors, the stride and the reach of each scale."""
    parts = []
    for sizes, stride, reach in zip(anchors, strides, scale_xy, strict=True):
        centres, steps = (part.repeat_interleave(len(sizes), 0) for part in cell_centres(size, (stride,)))
        own = torch.tensor(sizes, dtype=centres.dtype).repeat(len(steps) // len(sizes), 1)
        parts.append((centres, steps, torch.full_like(steps, reach), own))
    return Places(*(torch.cat(part).to(device) for part in zip(*parts, strict=True)))


@dataclass(frozen=True, slots=True)
class Answering:
    """For each object ``[N, K]`` the index of the place that answers for it, and whether it does.

    It does not where it answers for an object before this one already, which is so lost.
    """

    places: Tensor
    do: Tensor


@torch.no_grad()
def answering(objects: Objects, anchors: Sequence[Sequence[Size]], strides: Sequence[int]) -> Answering:
    """Of all anchors that which fits an object's size best, in the cell of its scale in which the object's centre lies.

    One place for each object, and no more (section 2.1).
    """
    sizes = torch.tensor([size for scale in anchors for size in scale], device=objects.boxes.device)
    rows, first = [], 0
    for scale, stride in zip(anchors, strides, strict=True):
        down, across = (-(-side // stride) for side in objects.size)
        rows += [(stride, down, across, first, len(scale), index) for index in range(len(scale))]
        first += down * across * len(scale)
    middles, own = xyxy_to_cxcywh(objects.boxes).split(2, -1)
    chosen = size_overlaps(own, sizes).argmax(-1)
    steps, lines, columns, begin, count, index = torch.tensor(rows, device=chosen.device)[chosen].unbind(-1)
    column, line = (middles / steps[..., None]).long().unbind(-1)
    cells = torch.minimum(line, lines - 1) * columns + torch.minimum(column, columns - 1)
    places = begin + cells * count + index
    alike = (places[:, :, None] == places[:, None]) & objects.there[:, None]
    return Answering(places, objects.there & ~alike.tril(-1).any(2))


def anchored_loss(
    numbers: Tensor,
    class_errors: Callable[[Tensor], Tensor],
    objects: Objects,
    places: Places,
    answers: Answering,
) -> dict[str, Tensor]:
    """``box``, ``object``, ``background``, ``class``: sums over each picture, as in the paper, and the pictures' mean.

    ``numbers`` are x, y, w, h and objectness of all places ``[N, P, 5]``; ``class_errors`` gives what the places that
    answer for the objects, ``[N, K]``, know wrong of their classes, ``[N, K]``. Objectness is cross-entropy of the
    places that answer for an object, and of all others but those that are ignored (`IGNORED`). Width and height have
    half the squared error, whose gradient is what is said less what is true. So is that of x and y, but behind the
    sigmoid, as in the authors' code: at a cell's border, what is true before it is infinite.
    """
    mine = numbers.gather(1, answers.places[..., None].expand(-1, -1, 5))
    wanted = places.numbers(objects.boxes, answers.places)
    within = wanted[..., :2].sigmoid()
    entropy = F.binary_cross_entropy_with_logits
    middles = entropy(mine[..., :2], within, reduction="none") - entropy(wanted[..., :2], within, reduction="none")
    off = middles.sum(-1) + (mine[..., 2:4] - wanted[..., 2:4]).square().sum(-1) / 2
    there = torch.zeros_like(numbers[..., 4]).scatter_reduce_(1, answers.places, answers.do.float(), "amax")
    errors = entropy(numbers[..., 4], there, reduction="none")
    elsewhere = ~_overlapping(places.boxes(numbers[..., :4]), objects) * (1 - there)
    parts = {
        "box": off * answers.do,
        "object": errors * there,
        "background": errors * elsewhere,
        "class": class_errors(answers.places) * answers.do,
    }
    return {name: part.sum() / len(numbers) for name, part in parts.items()}


def weighed(parts: Mapping[str, Tensor], box: float, background: float) -> dict[str, Tensor]:
    """The parts of `anchored_loss`, two of them by their weights, as in "You only look once" (2016), equation 3.

    YOLOv3 has weights of 1 and half a million steps. In a few hundred, places without objects, which are thousands,
    leave those with one unheard: after 8 epochs of 160 raccoons AP50 was 0.43 with a background of 1 (at 320 pixels),
    0.74 with 0.1 and 0.69 with 0.03 (at 224), and AP 0.31 with boxes of 1, 0.34 with 2.
    """
    return {**parts, "box": box * parts["box"], "background": background * parts["background"]}


@torch.no_grad()
def _overlapping(boxes: Tensor, objects: Objects) -> Tensor:
    """Whether a place's box overlaps an object by more than `IGNORED`, bool ``[N, P]``."""
    overlaps = iou(objects.boxes[:, :, None], boxes[:, None]) * objects.there[:, :, None]
    return overlaps.amax(1) > IGNORED


def turned(numbers: Tensor, width: int, stride: int) -> Tensor:
    """What a scale says of mirrored pictures ``[N, cells, A, M]``, x first of M numbers, as for the pictures.

    It is exact where the stride divides the pictures' ``width``.
    """
    cells = numbers.unflatten(1, (-1, -(-width // stride))).flip(2).flatten(1, 2)
    return torch.cat([-cells[..., :1], cells[..., 1:]], -1)


def boxes_in_input(recipe: Recipe, records: Sequence[Record]) -> list[Tensor]:
    """The objects' boxes of each picture, xyxy ``[K, 4]`` where they lie in the network's input without augmentation.

    Of the pictures only headers are read.
    """
    preprocess = architecture(recipe.model).preprocess
    preprocess = replace(preprocess, size=recipe.size or preprocess.size, resize=recipe.fit or preprocess.resize)
    boxes = []
    for record in records:
        target = cast("Boxes", record.target).moved(preprocess.geometry(Geometry(*_size(record))))
        boxes.append(torch.from_numpy(target.xyxy[~target.crowd]))
    return boxes


def _size(record: Record) -> tuple[int, int]:
    if isinstance(record.handle, ArrayHandle):
        height, width = record.handle.array.shape[1:3]
        return height, width
    header = read_header(record.handle, record.name)
    return header.height, header.width


@dataclass(frozen=True, slots=True)
class FittedAnchors:
    """Anchors of data's own, of each scale, in the order of their strides, and what can be found with them."""

    anchors: tuple[tuple[Size, ...], ...]
    report: AnchorReport


def fitted_anchors(
    recipe: Recipe, records: Sequence[Record], count: int, strides: Sequence[int]
) -> FittedAnchors | None:
    """Anchors made of the pictures' boxes by k-means, ``count`` for each stride, the small ones for the fine strides.

    None if there are fewer different sizes than that.
    """
    boxes = boxes_in_input(recipe, records)
    corners = torch.cat([torch.zeros(0, 4), *boxes]).double()
    sizes = corners[:, 2:] - corners[:, :2]
    if len(sizes.unique(dim=0)) < count * len(strides):
        return None
    found = anchors_by_kmeans(sizes, count * len(strides), recipe.seed)
    report = anchor_report(boxes, found, sorted(strides))
    rows = [(max(0.01, round(width, 2)), max(0.01, round(height, 2))) for width, height in found.tolist()]
    by_stride = {stride: tuple(rows[at * count : (at + 1) * count]) for at, stride in enumerate(sorted(strides))}
    return FittedAnchors(tuple(by_stride[stride] for stride in strides), report)


def remark_on(anchors: Sequence[Sequence[Size]], report: AnchorReport | None) -> str:
    """The sentence that the user hears of the anchors before anything is trained."""
    sizes = ", ".join(f"{width:.0f}x{height:.0f}" for scale in anchors for width, height in scale)
    if report is None:
        return (
            f"anchors: the training pictures have fewer boxes of different sizes than there are anchors; those "
            f"of another data set are taken ({sizes})"
        )
    return (
        f"anchors: {sizes} (width x height in pixels of the network's input), by k-means over the boxes of the "
        f"training pictures. Mean best IoU {report.mean_best_iou:.2f}; of {report.objects:,} objects "
        f"{report.reachable:.1%} reach an IoU of 0.5 with an anchor, {report.collisions:,} are lost because another "
        f"has their anchor in their cell, and {report.small:,} are smaller than a cell"
    )
