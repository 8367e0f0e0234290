"""A network as the list of its layers: modules traced (`torch.fx`), with norms and activations where they fold.

Each norm that alone reads a convolution, and each ReLU that alone reads one, becomes part of it. Jacob and others,
"Quantization and training of neural networks for efficient integer-arithmetic-only inference", 2018, section 3.2, says
how a norm folds.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import fx, nn

from striate.layers import BatchNormAct2d, Conv2d, DepthwiseConv2d
from striate.models.network import Network
from striate.ops.batch_normalization import Activation
from striate.ops.pooling import global_average_pool

_NOTHING = (nn.Identity, nn.Dropout)


@dataclass(frozen=True, slots=True)
class Layer:
    """What is computed from the values of the nodes ``reads``, by ``run`` or, if there is a ``conv``, all in one."""

    node: fx.Node
    reads: tuple[fx.Node, ...]
    run: Callable[..., Any] | None
    conv: Conv2d | None = None
    norm: BatchNormAct2d | None = None
    act: Activation = "none"


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


def layers_of(network: Network) -> Iterator[Layer]:
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


def _layer(node: fx.Node, first: fx.Node, modules: dict[fx.Node, nn.Module], sequence: nn.Module) -> Layer:
    """The layer of ``node``, which begins with the node ``first``: itself, or the convolution that it folds into."""
    module = modules.get(node)
    if conv := _convolution(modules.get(first)):
        norm = module if isinstance(module, BatchNormAct2d) else None
        read = [first.args[0], node.kwargs.get("residual")]
        return Layer(node, tuple(r for r in read if isinstance(r, fx.Node)), None, conv, norm, _activation(module))
    if node.op == "get_attr":
        value = operator.attrgetter(str(node.target))(sequence)
        return Layer(node, (), lambda: value)
    reads = tuple(node.all_input_nodes)
    simple = module is not None and list(node.args) == list(reads) and not node.kwargs
    return Layer(node, reads, module if simple else partial(_called, node, module))


def _called(node: fx.Node, module: nn.Module | None, *values: Any) -> Any:
    """What a node computes if the nodes that it reads have these values."""
    known = dict(zip(node.all_input_nodes, values, strict=True))
    args, named = fx.map_arg((node.args, node.kwargs), known.__getitem__)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **named)
    function = node.target if module is None else module
    return function(*args, **named)  # type: ignore[operator] # a name stands for a method or a module alone
