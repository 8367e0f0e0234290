"""A network as it only answers: norms inside convolutions, and nothing done twice.

The network is traced (`torch.fx`) down to its layers. Each norm that alone reads a convolution, and each ReLU that
alone reads one, becomes part of it: `striate.layers.packed`. Jacob and others, "Quantization and training of neural
networks for efficient integer-arithmetic-only inference", 2018, section 3.2, says how a norm folds. The layers then run
from a flat list; the way through the modules of EfficientNet-Lite0 takes a twentieth of its time for one picture.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from striate.layers import BatchNormAct2d, Conv2d, DepthwiseConv2d
from striate.layers.packed import packed_conv2d
from striate.models.network import Network
from striate.ops.axes import memory_format
from striate.ops.batch_normalization import Activation
from striate.ops.pooling import global_average_pool

PIXELS = 4 * 224 * 224
"""So many pixels of pictures go through a folded network at once, but at least one picture.

The maps of four pictures of 224 pixels stay in a processor's caches, and the allocator keeps their memory. Of 16
pictures, EfficientNet-Lite0 spends a quarter of the time in the system, which hands out every large map anew.
"""

_NOTHING = (nn.Identity, nn.Dropout)


class FoldedNetwork:
    """What a network answers in evaluation, in less time: float32 ``[N, C, H, W]`` on the CPU to ``[N, classes]``.

    Nobody differentiates. Convolutions and their norms are as they were at the first call for pictures of one size,
    all else is the network's own, which stays in evaluation mode. Results equal the network's up to the rounding of
    float32.

    Raises:
        ValueError: the network is in training mode.

    Example:
        >>> from striate.models import build
        >>> network = build("resnet18", classes=10, seed=0).eval()
        >>> images = torch.ones(2, 3, 64, 64)
        >>> torch.allclose(FoldedNetwork(network)(images), network(images), atol=1e-4)
        True
    """

    def __init__(self, network: Network) -> None:
        if any(module.training for module in network.modules()):
            raise ValueError(f"{type(network).__name__} is in training mode, where norms do not fold")
        self.network = network
        self._layers = tuple(_layers(network))
        self._plan: tuple[torch.Size, tuple[_Step, ...]] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` to logits ``[N, classes]``.

        Raises:
            ModelError: the images do not fit the network.
        """
        self.network.check_images(images)
        height, width = images.shape[2:]
        if memory_format(images) != torch.channels_last:  # all maps would be in the order of the images
            images = torch.empty_like(images, memory_format=torch.channels_last).copy_(images)
        parts = [self._run(part) for part in images.split(max(1, PIXELS // max(1, height * width)))]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _run(self, images: Tensor) -> Tensor:
        if self._plan is None or self._plan[0] != images.shape[2:]:
            self._plan = images.shape[2:], tuple(_planned(self._layers, images))
        values: list[Any] = [images] + [None] * len(self._layers)
        for run, reads, writes, last_read in self._plan[1]:
            values[writes] = run(*[values[place] for place in reads])
            for place in last_read:
                values[place] = None
        result: Tensor = values[-1]
        return result


@dataclass(frozen=True, slots=True)
class _Layer:
    """What is computed from the values of the nodes ``reads``, by ``run`` or, if there is a ``conv``, all in one."""

    node: fx.Node
    reads: tuple[fx.Node, ...]
    run: Callable[..., Any] | None
    conv: Conv2d | None = None
    norm: BatchNormAct2d | None = None
    act: Activation = "none"


class _Step(NamedTuple):
    """A layer for pictures of one size: it reads and writes places of a list, some of which nobody reads again."""

    run: Callable[..., Any]
    reads: tuple[int, ...]
    writes: int
    last_read: tuple[int, ...]


def _planned(layers: Sequence[_Layer], images: Tensor) -> Iterator[_Step]:
    """A step for each layer; they are run once, since what fits a layer depends on the size of what it reads."""
    places = {layers[0].reads[0]: 0} | {layer.node: place for place, layer in enumerate(layers, start=1)}
    last = {read: layer for layer in layers for read in layer.reads}
    values: dict[fx.Node, Any] = {layers[0].reads[0]: images}
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


# From modules to layers


class _Sequence(nn.Module):
    """The blocks of a network one after the other: `Network.run` without its questions about sizes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any) -> Any:
        for paths in self.network.blocks.values():
            for path in paths:
                x = self.network.get_submodule(path)(x)
        return x


class _Tracer(fx.Tracer):
    """Stops at what has no layers inside, and at the one function that asks for sizes."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=(global_average_pool,))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return next(m.children(), None) is None


def _layers(network: Network) -> Iterator[_Layer]:
    """The layers in the order in which they run; the first reads the images, the last gives the answer."""
    sequence = _Sequence(network)
    graph = _Tracer().trace(sequence)
    modules = {node: sequence.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"}
    conv_of = {node: node.args[0] for node in graph.nodes if _folds(node, modules)}
    folded = set(conv_of.values())
    same: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node.op in ("placeholder", "output") or node in folded:
            continue
        module = modules.get(node)
        if isinstance(module, _NOTHING):
            same[node] = same.get(node.args[0], node.args[0])
            continue
        layer = _layer(node, conv_of.get(node, node), modules, sequence)
        yield replace(layer, reads=tuple(same.get(read, read) for read in layer.reads))


def _folds(node: fx.Node, modules: dict[fx.Node, nn.Module]) -> bool:
    """Whether the node is a norm or an activation that the convolution before it can do, whom nobody else reads."""
    module = modules.get(node)
    if not isinstance(module, BatchNormAct2d | nn.ReLU | nn.ReLU6):
        return False
    (before,) = node.args
    if not isinstance(before, fx.Node) or _convolution(modules.get(before)) is None:
        return False
    return len(before.users) == 1 and node.kwargs.get("residual") is not before


def _convolution(module: nn.Module | None) -> Conv2d | None:
    # These alone: a subclass may mean something else by its weight.
    return module if isinstance(module, Conv2d) and type(module) in (Conv2d, DepthwiseConv2d) else None


def _activation(module: nn.Module | None) -> Activation:
    if isinstance(module, BatchNormAct2d):
        return module.act
    return "relu" if isinstance(module, nn.ReLU) else "relu6" if isinstance(module, nn.ReLU6) else "none"


def _layer(node: fx.Node, first: fx.Node, modules: dict[fx.Node, nn.Module], sequence: nn.Module) -> _Layer:
    """The layer of ``node``, which begins with the node ``first``: itself, or the convolution that it folds into."""
    module = modules.get(node)
    if conv := _convolution(modules.get(first)):
        norm = module if isinstance(module, BatchNormAct2d) else None
        read = [first.args[0], node.kwargs.get("residual")]
        return _Layer(node, tuple(r for r in read if isinstance(r, fx.Node)), None, conv, norm, _activation(module))
    if node.op == "get_attr":
        value = operator.attrgetter(str(node.target))(sequence)
        return _Layer(node, (), lambda: value)
    reads = tuple(node.all_input_nodes)
    simple = module is not None and list(node.args) == list(reads) and not node.kwargs
    return _Layer(node, reads, module if simple else partial(_called, node, module))


def _called(node: fx.Node, module: nn.Module | None, *values: Any) -> Any:
    """What a node computes if the nodes that it reads have these values."""
    known = dict(zip(node.all_input_nodes, values, strict=True))
    args, named = fx.map_arg((node.args, node.kwargs), known.__getitem__)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **named)
    function = node.target if module is None else module
    return function(*args, **named)  # type: ignore[operator] # a name stands for a method or a module alone
