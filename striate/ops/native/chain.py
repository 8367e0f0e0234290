"""A network that only answers, by our own kernels: windows, pools and additions of maps, all layers in one call.

Layer by layer a library spends as much on being called as on a small layer, and moves large maps out of the caches and
back. The reference are torch's operations in float32, which this equals to rounding.
"""

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from striate.ops.native.tensors import address, channels_last, floats, padded

Kind = Literal["window", "depthwise", "maximum", "mean", "nearest"]
KINDS: tuple[Kind, ...] = ("window", "depthwise", "maximum", "mean", "nearest")
Map = tuple[int, int, int]
"""Channels, height and width."""

CACHED = 128 << 10
"""Numbers that one picture's maps of a layer may have and stay in a core's own caches, which hold half a megabyte."""
_LINE = 16  # numbers of one line of the cache


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: which maps it reads (0 is the pictures, i what the layer before place i gives), and what it does.

    ``window``, ``stride`` and ``before``, the padding at the top and at the left, walk over ``inputs`` and stop at
    ``outputs``; what they read beyond the border is zero (nothing, where a maximum is taken). ``weight``
    ``[out, in, h, w]`` and ``bias`` ``[out]`` are for windows alone. "nearest" enlarges a map by its nearest places, or
    leaves it as it is. Maps ``adds`` are for that and for "window"; ``bounds`` are those of the activation behind all
    else.
    """

    kind: Kind
    reads: int
    inputs: Map
    outputs: Map
    window: tuple[int, int] = (1, 1)
    stride: int = 1
    before: tuple[int, int] = (0, 0)
    weight: Tensor | None = None
    bias: Tensor | None = None
    adds: int | None = None
    bounds: tuple[float, float] = (-math.inf, math.inf)


class _Layer(ctypes.Structure):
    """``Layer`` of chain.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("kind", "reads", "adds", "writes", "h", "w", "c", "oh", "ow", "o")),
        *((name, ctypes.c_int64) for name in ("high", "wide", "stride", "top", "left")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias")),
        *((name, ctypes.c_float) for name in ("floor", "ceiling")),
    ]


class _Room(NamedTuple):
    """Memory for the maps of so many pictures, and where in it each map lies."""

    pictures: int
    memory: Tensor
    maps: Any
    desk: ctypes.c_void_p


class Chain:
    """Layers, each of which reads pictures or what those before it gave; the maps at ``answers`` are asked for.

    Places are counted as in `Layer`; by default the last layer's. It keeps the numbers that the weights have now.
    Threads may share it.
    """

    def __init__(self, library: Any, layers: Sequence[Layer], answers: Sequence[int] | None = None) -> None:
        self._library = library
        self._layers = tuple(layers)
        self._answers = tuple(answers or [len(layers)])
        self._kept = [_packed(library, layer) for layer in layers]
        rows = [_row(place, *each) for place, each in enumerate(zip(layers, self._kept, strict=True), start=1)]
        self._rows = (_Layer * len(rows))(*rows)
        self._singly = _singly(layers)
        maps = [layers[0].inputs, *(layer.outputs for layer in layers)]
        self._sizes = [math.prod(size) for size in maps]
        self._asked = [(place, (*maps[place][1:], maps[place][0])) for place in self._answers]
        # Maps that only layers of one picture at a time read and write hold one picture.
        later = {place for layer in layers[self._singly :] for place in _read(layer)} | {0, *self._answers}
        self._whole = [place in later or place > self._singly for place in range(len(self._sizes))]
        apart = [size * whole for size, whole in zip(self._sizes, self._whole, strict=True)]
        self._apart = (ctypes.c_int64 * len(apart))(*apart)
        self._spare: list[_Room] = []

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Float32 images ``[N, C, H, W]`` to the maps that are asked for, ``[N, C_i, H_i, W_i]``, channels-last."""
        images = channels_last(images)
        pictures = images.shape[0]
        try:
            room = self._spare.pop()  # nobody else then writes into it
        except IndexError:
            room = None
        if room is None or room.pictures != pictures:
            room = self._room(images)
        room.maps[0] = address(images)
        answers = []
        for place, shape in self._asked:
            answers.append(floats(images, pictures, *shape))
            room.maps[place] = address(answers[-1])
        counts = ctypes.c_int64(len(self._layers)), ctypes.c_int64(self._singly)
        rest = room.desk, ctypes.c_int64(pictures), torch.get_num_threads()
        self._library.chain_run(self._rows, *counts, room.maps, self._apart, *rest)
        self._spare[:] = [room]
        return [answer.permute(0, 3, 1, 2) for answer in answers]

    def _room(self, images: Tensor) -> _Room:
        """Memory in which maps lie where others lay that nobody reads any more."""
        pictures = len(images)
        last = {place: index for index, layer in enumerate(self._layers) for place in _read(layer)}
        free, places, end = list[tuple[int, int]](), {}, 0
        for index, layer in enumerate(self._layers):
            place = index + 1
            if place not in self._answers:  # each call makes new ones
                size = -(-self._sizes[place] * (pictures if self._whole[place] else 1) // _LINE) * _LINE
                # The next picture writes its maps over those of this one: what holds all pictures lies alone.
                lone = self._whole[place] and index < self._singly
                fitting = [] if lone else [piece for piece in free if piece[1] >= size]
                piece = min(fitting, key=lambda piece: piece[1], default=(end, size))
                if piece in free:
                    free.remove(piece)
                else:
                    end += size
                places[place] = (piece, lone)
            over = [p for p in {*_read(layer)} if p in places and last[p] == index]
            free += [places[p][0] for p in over if not places[p][1]]
        counts = [1] * self._singly + [pictures] * (len(self._layers) - self._singly)
        desk = max(_desk(layer) * count for layer, count in zip(self._layers, counts, strict=True))
        memory = floats(images, end + desk + _LINE)
        start = memory.data_ptr() + -memory.data_ptr() % (4 * _LINE)
        maps = (ctypes.c_void_p * len(self._sizes))()
        for place, (piece, _) in places.items():
            maps[place] = start + 4 * piece[0]
        return _Room(pictures, memory, maps, ctypes.c_void_p(start + 4 * end))


def _read(layer: Layer) -> tuple[int, ...]:
    return (layer.reads,) if layer.adds is None else (layer.reads, layer.adds)


def _singly(layers: Sequence[Layer]) -> int:
    """How many of the first layers are computed picture by picture: up to the last with maps that fill the caches."""
    large = [math.prod(layer.inputs) + math.prod(layer.outputs) > CACHED for layer in layers]
    return max((place for place, is_large in enumerate(large, start=1) if is_large), default=0)


def _desk(layer: Layer) -> int:
    """Numbers of one picture's map with its padding, where a window needs it."""
    if layer.kind != "window" or layer.window == (1, 1):
        return 0
    sides = zip(layer.outputs[1:], layer.window, strict=True)
    return layer.inputs[0] * math.prod((count - 1) * layer.stride + size for count, size in sides)


def _packed(library: Any, layer: Layer) -> tuple[Tensor | None, Tensor | None]:
    """Weight and bias as the kernels want them, filled up to whole blocks of outputs."""
    if layer.weight is None:
        return None, None
    outputs = layer.outputs[0]
    bias = floats(layer.weight, padded(outputs)).zero_()
    if layer.bias is not None:
        bias[:outputs] = layer.bias
    if layer.kind == "depthwise":
        weight = floats(layer.weight, math.prod(layer.window), padded(outputs)).zero_()
        weight[:, :outputs] = layer.weight.flatten(1).t()
        return weight, bias
    rows = layer.weight.permute(0, 2, 3, 1).contiguous()
    inputs = rows.numel() // outputs
    weight = floats(rows, inputs * padded(outputs))
    library.chain_pack(address(rows), address(weight), ctypes.c_int64(outputs), ctypes.c_int64(inputs))
    return weight, bias


def _row(place: int, layer: Layer, kept: tuple[Tensor | None, Tensor | None]) -> _Layer:
    numbers = (KINDS.index(layer.kind), layer.reads, -1 if layer.adds is None else layer.adds, place)
    (c, h, w), (o, oh, ow) = layer.inputs, layer.outputs
    bounds = [math.nan if math.isinf(bound) else bound for bound in layer.bounds]
    tables = [address(table) for table in kept]
    return _Layer(*numbers, h, w, c, oh, ow, o, *layer.window, layer.stride, *layer.before, *tables, *bounds)
