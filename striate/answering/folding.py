"""A network as it only answers: norms inside convolutions, and nothing done twice.

Its layers (`striate.answering.layer_list`) run from a flat list, each convolution with its norm and activation in it;
the way through the modules of EfficientNet-Lite0 takes a twentieth of its time for one picture. Where our own kernels
are at hand and know all layers, one call runs them all (`striate.answering.chaining`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from striate.answering.chaining import Chained, chained
from striate.answering.layer_list import Layer, LayerList, layers_of
from striate.answering.packed import packed_conv2d
from striate.base.errors import ModelError
from striate.models.network import Network
from striate.ops.axes import memory_format
from striate.ops.native.tensors import is_fake

PIXELS = 4 * 224 * 224
"""So many pixels of pictures go through a list of layers at once, but at least one picture.

The maps of four pictures of 224 pixels stay in a processor's caches, and the allocator keeps their memory. Of 16
pictures, EfficientNet-Lite0 spends a quarter of the time in the system, which hands out every large map anew.
"""
CHAINED_PIXELS = 16 * 224 * 224
"""So many where our own kernels run them all, which see to their caches and their memory themselves."""
PLANS = 4
"""Sizes of pictures for which a network's weights are kept as they are wanted, each time a copy of them."""


class FoldedNetwork:
    """What a network answers in evaluation, in less time: float32 ``[N, C, H, W]`` on the CPU to ``[N, classes]``.

    Nobody differentiates. Weights are as they were at the first call for pictures of one size, or the network's own.
    ``modules`` are those that run as they are, and so are in evaluation mode whenever it answers. Results equal the
    network's up to the rounding of float32.

    Threads may share it.

    Raises:
        ModelError: the network is in training mode.
        FoldingError: it is not made of layers that give one tensor; whoever wants its answers calls it as it is.

    Example:
        >>> from striate.models import build
        >>> network = build("resnet18", classes=10, seed=0).eval()
        >>> images = torch.ones(2, 3, 64, 64)
        >>> torch.allclose(FoldedNetwork(network)(images), network(images), atol=1e-4)
        True
    """

    def __init__(self, network: Network) -> None:
        if any(module.training for module in network.modules()):
            raise ModelError(
                f"{type(network).__name__} is in training mode, where norms do not fold; call eval() first"
            )
        self.network = network
        self._layers = layers_of(network)
        self.modules = tuple(layer.module for layer in self._layers.layers if layer.module is not None)
        self._plans: dict[tuple[torch.Size, torch.dtype], _Plan] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` to logits ``[N, classes]``.

        Raises:
            ModelError: the images do not fit the network.
        """
        self.network.check_images(images)
        if is_fake(images):  # a trace sees the network as it is written
            answer: Tensor = self.network(images)
            return answer
        height, width = images.shape[2:]
        if memory_format(images) != torch.channels_last:  # all maps would be in the order of the images
            images = torch.empty_like(images, memory_format=torch.channels_last).copy_(images)
        fits = images.shape[2:], images.dtype
        plan = self._plans.get(fits)
        if plan is None:
            plan = _planned(self._layers, images)
            # A new table each time: other threads read the old one meanwhile.
            self._plans = dict([*self._plans.items(), (fits, plan)][-PLANS:])
        parts = [plan(part) for part in images.split(max(1, plan.pixels // max(1, height * width)))]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class _Plan(NamedTuple):
    """How pictures of one size are answered: by a chain, if there is one, and the layers that it leaves."""

    chain: Chained | None
    steps: "_Steps"

    @property
    def pixels(self) -> int:
        """So many go through at once."""
        return PIXELS if self.chain is None else CHAINED_PIXELS

    def __call__(self, images: Tensor) -> Tensor:
        return self.steps([images] if self.chain is None else self.chain(images))


def _planned(listed: LayerList, images: Tensor) -> _Plan:
    """The plan for images of this shape; layers run once for it, on a copy, since some may change their input."""
    chain = chained(listed, images)
    if chain is None:
        return _Plan(None, _Steps(listed.layers, {listed.images: images.clone()}))
    return _Plan(chain, _Steps(chain.rest, dict(zip(chain.given, chain(images), strict=True))))


class _Steps:
    """Layers for pictures of one size, one after the other, from the values of some nodes to the last one's."""

    def __init__(self, layers: Sequence[Layer], given: Mapping[fx.Node, Tensor]) -> None:
        self._steps = tuple(_steps(layers, given))

    def __call__(self, given: list[Tensor]) -> Tensor:
        values: list[Any] = given + [None] * len(self._steps)
        for run, reads, writes, last_read in self._steps:
            values[writes] = run(*[values[place] for place in reads])
            for place in last_read:
                values[place] = None
        result: Tensor = values[-1]
        return result


class _Step(NamedTuple):
    """A layer for pictures of one size: it reads and writes places of a list, some of which nobody reads again."""

    run: Callable[..., Any]
    reads: tuple[int, ...]
    writes: int
    last_read: tuple[int, ...]


def _steps(layers: Sequence[Layer], given: Mapping[fx.Node, Tensor]) -> Iterator[_Step]:
    """A step for each layer; they are run once, since what fits a layer depends on the size of what it reads."""
    places = {node: place for place, node in enumerate([*given, *(layer.node for layer in layers)])}
    last = {read: layer for layer in layers for read in layer.reads}
    values: dict[fx.Node, Any] = dict(given)
    for layer in layers:
        run = layer.run
        if layer.conv is not None:
            shape, residual = values[layer.reads[0]].shape, len(layer.reads) > 1
            run = packed_conv2d(layer.conv, layer.norm, act=layer.act, residual=residual, shape=shape)
        assert run is not None, layer.node
        values[layer.node] = run(*[values[read] for read in layer.reads])
        over = [read for read in dict.fromkeys(layer.reads) if last[read] is layer]
        for read in over:
            del values[read]
        yield _Step(
            run, tuple(places[read] for read in layer.reads), places[layer.node], tuple(places[r] for r in over)
        )
    if layers and not isinstance(answer := values[layers[-1].node], Tensor):
        raise ModelError(f"a network answers with one tensor; this one's last layer gives a {type(answer).__name__}")
