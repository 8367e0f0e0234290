"""A network as the list of its layers: modules traced (`torch.fx`), with norms and activations where they fold.

Each norm that alone reads a convolution, and each ReLU that alone reads one, becomes part of it. Jacob and others,
"Quantization and training of neural networks for efficient integer-arithmetic-only inference", 2018, section 3.2, says
how a norm folds.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeGuard, TypeVar

from torch import fx, nn

from striate.base.errors import ModelError
from striate.layers import BatchNormAct2d, Conv2d, DepthwiseConv2d
from striate.models.network import Network
from striate.ops.batch_normalization import Activation
from striate.ops.enlarging import add_enlarged, enlarge_bilinear
from striate.ops.pooling import global_average_pool

_Module = TypeVar("_Module", bound=nn.Module)

_NOTHING = (nn.Identity, nn.Dropout)


class FoldingError(ModelError):
    """A network cannot be taken apart into layers, so that it runs as written; the text says why."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What is computed from the values of the nodes ``reads``, by ``run`` or, if there is a ``conv``, all in one.

    ``module`` is the one that ``run`` calls, if it calls one.
    """

    node: fx.Node
    reads: tuple[fx.Node, ...]
    run: Callable[..., Any] | None
    conv: Conv2d | None = None
    norm: BatchNormAct2d | None = None
    act: Activation = "none"
    module: nn.Module | None = None

    @property
    def weighs(self) -> bool:
        """Whether parameters take part."""
        return self.conv is not None or (self.module is not None and any(True for _ in self.module.parameters()))


class LayerList(NamedTuple):
    """A network's layers in the order in which they run; the last gives the answer. ``images`` stands for its input."""

    images: fx.Node
    layers: tuple[Layer, ...]


class _Compute(nn.Module):
    """A network without its questions about sizes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any) -> Any:
        return self.network.compute(x)


class _Tracer(fx.Tracer):
    """Stops at what has no layers inside, and at the functions that ask for sizes."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=(global_average_pool, add_enlarged, enlarge_bilinear))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return next(m.children(), None) is None


def is_plain(module: object, *kinds: type[_Module]) -> TypeGuard[_Module]:
    """Whether a module is of just one of these kinds: a subclass may compute something else, and so may hooks."""
    return isinstance(module, nn.Module) and type(module) in kinds and not _hooked(module)


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def layers_of(network: Network) -> LayerList:
    """The layers that `Network.compute` is made of.

    Raises:
        FoldingError: it cannot be traced, or does not end in the one tensor that its last layer gives.
    """
    root, name = _Compute(network), type(network).__name__
    if type(network).forward is not Network.forward:
        raise FoldingError(f"{name} overrides forward instead of compute, so it runs as written")
    if _hooked(network):
        raise FoldingError(f"{name} has forward hooks, which want to see it run, so it runs as written")
    try:
        graph = _Tracer().trace(root)
    except Exception as error:
        raise FoldingError(
            f"{name} cannot be traced, so it runs as written ({type(error).__name__}: {error}); what it computes must "
            f"not depend on sizes or numbers by `if` and `for`"
        ) from error
    modules = {node: root.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"}
    conv_of = {node: node.args[0] for node in graph.nodes if _folds(node, modules)}
    folded = set(conv_of.values())
    same: dict[fx.Node, fx.Node] = {}
    layers: list[Layer] = []
    images, *nodes, output = graph.nodes
    for node in nodes:
        if node in folded:
            continue
        if is_plain(modules.get(node), *_NOTHING) and len(node.args) == 1:
            same[node] = same.get(node.args[0], node.args[0])
            continue
        layer = _layer(node, conv_of.get(node, node), modules, root)
        layers.append(replace(layer, reads=tuple(same.get(read, read) for read in layer.reads)))
    (answer,) = output.args
    answer = same.get(answer, answer) if isinstance(answer, fx.Node) else None
    if not layers or answer is not layers[-1].node:
        raise FoldingError(f"{name} gives something else than the one tensor of its last layer, so it runs as written")
    return LayerList(images, tuple(layers))


def _folds(node: fx.Node, modules: dict[fx.Node, nn.Module]) -> bool:
    """Whether the node is a norm or an activation that the convolution before it can do, whom nobody else reads."""
    module = modules.get(node)
    if not is_plain(module, BatchNormAct2d, nn.ReLU, nn.ReLU6):
        return False
    before = node.args[0] if len(node.args) == 1 else None
    if not isinstance(before, fx.Node) or _convolution(before, modules) is None:
        return False
    return len(before.users) == 1 and node.kwargs.get("residual") is not before


def _convolution(node: fx.Node, modules: dict[fx.Node, nn.Module]) -> Conv2d | None:
    module = modules.get(node)
    return module if is_plain(module, Conv2d, DepthwiseConv2d) and len(node.args) == 1 else None


def _activation(module: nn.Module | None) -> Activation:
    if isinstance(module, BatchNormAct2d):
        return module.act
    return "relu" if isinstance(module, nn.ReLU) else "relu6" if isinstance(module, nn.ReLU6) else "none"


def _layer(node: fx.Node, first: fx.Node, modules: dict[fx.Node, nn.Module], root: nn.Module) -> Layer:
    """The layer of ``node``, which begins with the node ``first``: itself, or the convolution that it folds into."""
    module = modules.get(node)
    if conv := _convolution(first, modules):
        norm = module if isinstance(module, BatchNormAct2d) else None
        read = [first.args[0], node.kwargs.get("residual")]
        return Layer(node, tuple(r for r in read if isinstance(r, fx.Node)), None, conv, norm, _activation(module))
    if node.op == "get_attr":
        value = operator.attrgetter(str(node.target))(root)
        return Layer(node, (), lambda: value)
    reads = tuple(node.all_input_nodes)
    simple = module is not None and list(node.args) == list(reads) and not node.kwargs
    return Layer(node, reads, module if simple else _calling(node, module), module=module)


def _calling(node: fx.Node, module: nn.Module | None) -> Callable[..., Any]:
    """What a node computes of the values of the nodes that it reads."""
    places = {read: place for place, read in enumerate(node.all_input_nodes)}
    arguments = [_argument(each, places) for each in node.args]
    words = {name: _argument(each, places) for name, each in node.kwargs.items()}
    target, function = str(node.target), node.target if module is None else module

    def run(*values: Any) -> Any:
        given = [read(values) for read in arguments]
        named = {name: read(values) for name, read in words.items()}
        called: Any = getattr(given.pop(0), target) if node.op == "call_method" else function
        return called(*given, **named)

    return run


def _argument(given: Any, places: Mapping[fx.Node, int]) -> Callable[[Sequence[Any]], Any]:
    """An argument of a call, of the values at the nodes' places: for a small picture `fx.map_arg` takes long."""
    nodes: list[fx.Node] = []
    fx.map_arg(given, nodes.append)
    if not nodes:
        return lambda values: given
    if nodes == [given]:
        return operator.itemgetter(places[nodes[0]])
    if nodes == given:
        return lambda values: [values[places[node]] for node in nodes]
    return lambda values: fx.map_arg(given, lambda node: values[places[node]])
