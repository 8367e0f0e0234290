"""Whatever network a darknet ``.cfg`` describes: its layers are rows, which are the builder's arguments.

Darknet (Redmon, 2013 to 2018, https://pjreddie.com/darknet, and its fork by Bochkovskiy) writes a network down as a
list of layers. Each reads the one before it, but routes and shortcuts name others, by their number from 0. Known are
those that YOLOv3 and its followers are made of (`striate.models.darknet_rows`).

By itself it is YOLOv3-tiny, the smallest of darknet's own detectors (``yolov3-tiny.cfg``), at 416:

======  =======================================================  =======================
block   layers                                                   shape
======  =======================================================  =======================
stem    3x3 convolution                                          16x416x416
stage1  max pool, 3x3 convolution                                32x208x208
stage2  the same                                                 64x104x104
stage3  the same                                                 128x52x52
stage4  the same                                                 256x26x26
stage5  the same; max pool of stride 1, 3x3 convolution;         512x13x13, 1024x13x13,
        1x1, 3x3 for the first scale                             256x13x13, 512x13x13
neck    the 256 channels by 1x1 to 128, upsampled; with those    384x26x26
        of stage4; 3x3 for the second scale                      256x26x26
head    a 1x1 convolution a scale                                255x13x13, 255x26x26
======  =======================================================  =======================

A layer's modules have its number as darknet prints it: ``conv8``, ``bn8``.
"""

from functools import partial
from itertools import accumulate

import torch
from torch import Tensor

from striate.base.errors import ModelError
from striate.layers import begin_he_
from striate.models.darknet_rows import Convolution, Detections, Map, MaxPool, Route, Row, Upsample
from striate.models.network import Network

BOX = 5
"""What an anchor says beside its classes: x, y, width, height and objectness."""

_leaky = partial(Convolution, norm=True, activation="leaky")
_wide = partial(_leaky, size=3, padding=1)
_pool = partial(MaxPool, size=2, padding=1)

YOLOV3_TINY: tuple[Row, ...] = (
    *(row for filters in (16, 32, 64, 128, 256) for row in (_wide(filters=filters), _pool(stride=2))),
    *(_wide(filters=512), _pool(stride=1), _wide(filters=1024)),
    *(_leaky(filters=256), _wide(filters=512), Convolution(filters=None), Detections(anchors=3)),
    *(Route(layers=(13,)), _leaky(filters=128), Upsample(factor=2), Route(layers=(19, 8))),
    *(_wide(filters=256), Convolution(filters=None), Detections(anchors=3)),
)


class LayerError(ModelError):
    """A layer does not fit those before it; ``number`` says which, ``reason`` why."""

    def __init__(self, number: int, kind: str, reason: str) -> None:
        super().__init__(f"layer {number}, {kind}: {reason}")
        self.number, self.reason = number, reason


class Darknet(Network):
    """A network from its rows: ``[N, C, H, W]`` to ``[N, places, 5 + classes]``.

    The scales follow one another, the finest first, each as `Places` has it; the numbers are raw, as convolutions give
    them. Sides of pictures are multiples of the coarsest map's stride, so that maps of two strides lie upon each other.

    It runs as a whole; its blocks say what is frozen together: ``stem``, ``stage1``, ``stage2`` ... end where the
    stride grows, ``neck`` is what comes after the first scale, ``head`` the convolutions before detections.
    ``scales`` are the layers that say detections and their strides, the finest first.

    Raises:
        ModelError: no layer says detections; of a layer that does not fit a `LayerError`.

    Example:
        >>> network = Darknet(YOLOV3_TINY, classes=20, in_channels=3)
        >>> network(torch.zeros(1, 3, 64, 96)).shape  # 4 x 6 and 2 x 3 cells of three anchors
        torch.Size([1, 90, 25])
    """

    def __init__(self, rows: tuple[Row, ...], *, classes: int, in_channels: int) -> None:
        super().__init__(classes=classes, in_channels=in_channels, blocks={}, feature_info=())
        maps: list[Map] = []
        paths: list[tuple[str, ...]] = []
        for number, row in enumerate(rows):
            try:
                _check_reads(rows, number)
                before = [maps[read] for read in row.reads(number)] if number else [Map(in_channels, 1)]
                gives, modules = row.layer(before, _answers(rows, number, classes))
            except (ValueError, ModelError) as error:
                raise LayerError(number, row.kind, str(error)) from None
            for name, module in modules.items():
                self.add_module(f"{name}{number}", module)
            maps.append(gives)
            paths.append(tuple(f"{name}{number}" for name in modules))
        scales = [(number, maps[number].stride) for number, row in enumerate(rows) if isinstance(row, Detections)]
        if not scales:
            raise ModelError("no layer says detections, so that nothing would be found")
        self.scales = tuple(sorted(scales, key=lambda scale: scale[1]))
        coarsest = max(each.stride for each in maps)
        self.smallest = (coarsest, coarsest)
        self.blocks = _blocks(rows, [each.stride for each in maps], paths)
        reads = [row.reads(number) for number, row in enumerate(rows)]
        last = {read: number for number, each in enumerate(reads) for read in each}
        # Of each layer: its modules' paths, what it reads, and what of that nobody reads after it.
        self._layers = [
            (paths[number], each, [read for read in {*each} if last[read] == number])
            for number, each in enumerate(reads)
        ]
        begin_he_(self)

    def check_images(self, images: Tensor) -> None:
        """See `Network.check_images`."""
        super().check_images(images)
        stride = self.smallest[0]
        if images.shape[2] % stride or images.shape[3] % stride:
            raise ModelError(
                f"Darknet takes images whose sides are multiples of {stride}, the stride of its coarsest map; got "
                f"{list(images.shape)}"
            )

    def compute(self, x: Tensor) -> Tensor:
        """One layer after the other; maps that no later one reads are let go."""
        values = {-1: x}
        for number, (paths, reads, over) in enumerate(self._layers):
            first, *others = [self.get_submodule(path) for path in paths]
            value = first(*[values[read] for read in reads])
            for read in over:
                del values[read]
            for module in others:
                value = module(value)
            values[number] = value
        return torch.cat([values[number] for number, _ in self.scales], 1)


def darknet(*, classes: int, in_channels: int, rows: tuple[Row, ...] = YOLOV3_TINY) -> Darknet:
    """The network of these rows; by themselves YOLOv3-tiny: 8,852,366 parameters for 80 classes."""
    return Darknet(rows, classes=classes, in_channels=in_channels)


def _check_reads(rows: tuple[Row, ...], number: int) -> None:
    """See that a layer reads layers before it, and that detections and nobody else read what is answered."""
    if number == 0:
        if not isinstance(rows[0], Convolution):
            raise ValueError("the first layer is a convolution, which reads the pictures")
        return
    reads = rows[number].reads(number)
    if not reads or not all(0 <= read < number for read in reads):
        raise ValueError(f"reads the layers {list(reads)}, and {number} stand before it")
    for read in reads:
        row = rows[read]
        answers = isinstance(row, Convolution) and row.filters is None
        if isinstance(row, Detections) or answers != isinstance(rows[number], Detections):
            raise ValueError(
                f"reads layer {read}, {row.kind}; what is read by detections is a convolution whose filters they "
                "decide, and nobody else reads it or them"
            )


def _answers(rows: tuple[Row, ...], number: int, classes: int) -> int | None:
    """How many numbers the detections behind a layer want; None if there are none behind it."""
    after = rows[number + 1] if number + 1 < len(rows) else None
    return after.anchors * (BOX + classes) if isinstance(after, Detections) else None


def _blocks(rows: tuple[Row, ...], strides: list[int], paths: list[tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The modules by block, see `Darknet`."""
    first = next(number for number, row in enumerate(rows) if isinstance(row, Detections))
    coarsest = list(accumulate(strides[:first], max))
    steps = sorted(set(coarsest))
    blocks: dict[str, list[str]] = {}
    for number, modules in enumerate(paths):
        step = steps.index(coarsest[number]) if number < first else 0
        block = "neck" if number > first else f"stage{step}" if step else "stem"
        if isinstance(rows[number], Detections) or _answers(rows, number, 1):
            block = "head"
        blocks.setdefault(block, []).extend(modules)
    return {name: tuple(blocks[name]) for name in sorted(blocks, key="head".__eq__)}
