"""A network's layers as one chain for our own kernels, where they know all of them: `striate.ops.native.chain`."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx, nn

from striate.answering.layer_list import Layer, LayerList, is_plain
from striate.answering.packed import folded_weights
from striate.base.errors import ModelError
from striate.layers import Conv2d, GlobalAveragePool, Linear, MaxPool2d
from striate.ops.axes import Size, each_axis, each_padding
from striate.ops.batch_normalization import BOUNDS
from striate.ops.enlarging import NO_CHANNELS, add_enlarged
from striate.ops.native import kernels_at_hand
from striate.ops.native.chain import Chain, Kind, Map
from striate.ops.native.chain import Layer as Link
from striate.ops.native.depthwise import STRIDES, WINDOWS
from striate.ops.shapes import output_size, padding_amounts


@dataclass(frozen=True, slots=True)
class Chained:
    """One call for all layers that have weights, and those that are left to make the answer of what it gives.

    ``given`` are the nodes whose values it gives, each with whether that is ``[N, C]`` instead of ``[N, C, 1, 1]``. If
    those that are left want to know the size of the images, these are given, too, first.
    """

    run: Chain
    given: dict[fx.Node, bool]
    rest: tuple[Layer, ...]
    shown: bool

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Images ``[N, C, H, W]`` to the values of the nodes, in their order."""
        maps = [images] * self.shown + self.run(images)
        return [x.flatten(1) if flat else x for x, flat in zip(maps, self.given.values(), strict=True)]


_ADDITIONS = (operator.add, add_enlarged)


def chained(listed: LayerList, images: Tensor) -> Chained | None:
    """What computes all layers that have weights, for images of this shape; None if there is one that it cannot.

    Layers without weights may be left, which sort and join what heads give. Nobody waits for a compiler: without
    kernels at hand there is no chain either.
    """
    if images.device.type != "cpu" or images.dtype != torch.float32 or (library := kernels_at_hand()) is None:
        return None
    sizes: list[Map] = [(images.shape[1], images.shape[2], images.shape[3])]
    places: dict[fx.Node, int] = {listed.images: 0}
    flat: set[fx.Node] = set()
    read = {listed.images}
    links: list[Link] = []
    rest: list[Layer] = []
    shown: dict[fx.Node, bool] = {}
    for layer in listed.layers:
        reads = [places[node] for node in layer.reads if node in places]
        dense = is_plain(layer.run, nn.Linear, Linear)
        link = None
        if len(reads) == len(layer.reads) and all((node in flat) == dense for node in layer.reads):
            link = _link(layer, reads, [sizes[place] for place in reads])
        if link is None:
            if layer.weighs:
                return None
            if _is_size(layer, listed):
                shown = {listed.images: False}
            rest.append(layer)
            continue
        links.append(link)
        sizes.append(link.outputs)
        places[layer.node] = len(links)
        read.update(layer.reads)
        if dense or is_plain(layer.run, GlobalAveragePool):
            flat.add(layer.node)
    answer = listed.layers[-1].node
    if answer in places:
        rest = []
    wanted = {node for layer in rest if not _is_size(layer, listed) for node in layer.reads} | {answer}
    given = {node: node in flat for node in places if node in wanted}
    # What is left may change what it reads, which so must be nobody else's.
    if not links or any(node in given for node in read):
        return None
    return Chained(Chain(library, links, [places[node] for node in given]), shown | given, tuple(rest), bool(shown))


def _is_size(layer: Layer, listed: LayerList) -> bool:
    """Whether it takes the size of the images, which has no numbers that anybody could change."""
    return layer.node.target is operator.getitem and layer.node.args == (listed.images, NO_CHANNELS)


def _link(layer: Layer, reads: Sequence[int], sizes: Sequence[Map]) -> Link | None:
    """The layer over maps of these sizes, if there is a kernel for it."""
    if layer.conv is not None:
        return _window(layer, layer.conv, reads, sizes)
    if layer.node.target in _ADDITIONS and len(reads) == 2 and not layer.node.kwargs:
        return _addition(layer, reads, sizes)
    if len(reads) != 1:
        return None
    read, size = reads[0], sizes[0]
    if is_plain(layer.run, GlobalAveragePool):
        return Link("mean", read, size, (size[0], 1, 1))
    if is_plain(layer.run, MaxPool2d):
        return _walking("maximum", read, size, size[0], layer.run, layer.run.kernel_size)
    dense = layer.run
    if is_plain(dense, nn.Linear, Linear) and size == (dense.in_features, 1, 1) and _in_floats(dense.weight):
        numbers, outputs = dense.state_dict(), (dense.out_features, 1, 1)
        return Link("window", read, size, outputs, weight=numbers["weight"][:, :, None, None], bias=numbers.get("bias"))
    return None


def _addition(layer: Layer, reads: Sequence[int], sizes: Sequence[Map]) -> Link | None:
    (fine, coarse), (outputs, size) = reads, sizes
    if size[0] != outputs[0] or (size != outputs and layer.node.target is not add_enlarged):
        return None
    return Link("nearest", coarse, size, outputs, adds=fine)


def _window(layer: Layer, conv: Conv2d, reads: Sequence[int], sizes: Sequence[Map]) -> Link | None:
    depthwise = conv.groups > 1
    if not _in_floats(conv.weight) or (depthwise and (conv.weight.shape[:2] != (conv.groups, 1) or len(reads) > 1)):
        return None
    outputs, _, *window = conv.weight.shape
    kind: Kind = "depthwise" if depthwise else "window"
    found = _walking(kind, reads[0], sizes[0], outputs, conv, (window[0], window[1]))
    if found is None or (depthwise and not (window[0] == window[1] in WINDOWS and found.stride in STRIDES)):
        return None
    if len(reads) > 1 and sizes[1] != found.outputs:
        return None
    weight, bias = folded_weights(conv, layer.norm)
    adds = reads[1] if len(reads) > 1 else None
    return replace(found, weight=weight, bias=bias, adds=adds, bounds=BOUNDS[layer.act])


def _walking(kind: Kind, read: int, size: Map, outputs: int, module: Conv2d | MaxPool2d, window: Size) -> Link | None:
    """A window that walks as the module's does, if kernels walk so."""
    windows, dilations = (each_axis("a chain", "sides", sides, 2) for sides in (window, module.dilation))
    strides = windows if module.stride is None else each_axis("a chain", "stride", module.stride, 2)
    if strides[0] != strides[1] or dilations != (1, 1):
        return None
    pools = kind == "maximum"
    axes = zip(
        size[1:], windows, strides, dilations, each_padding("a chain", module.padding, 2, pools=pools), strict=True
    )
    try:
        (top, down), (left, across) = ((padding_amounts(*axis)[0], output_size(*axis)) for axis in axes)
    except ModelError:  # who computes layer by layer will say where
        return None
    high, wide = windows
    if top >= high or left >= wide:
        return None
    return Link(kind, read, size, (outputs, down, across), window=(high, wide), stride=strides[0], before=(top, left))


def _in_floats(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32
