"""A network's layers as a table: what it does step by step, with shape, parameters and multiply-adds of each step."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.layers import Conv2d, ConvTranspose2d, LocalResponseNorm
from striate.layers.pooling import Pool
from striate.models.meta import build_on_meta
from striate.models.network import Network, parameter_count
from striate.models.table import architecture

AUXILIARY = "auxiliary"
"""The block under which heads that serve training alone are listed; they don't count."""


@dataclass(frozen=True, slots=True)
class Row:
    """One step: a layer, or a unit of several; ``shape`` is its output's, ``(C, H, W)`` or ``(C,)``."""

    block: str
    path: str
    what: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True, slots=True)
class LayerTable:
    """The steps of a network for one picture of shape ``input``; steps that change nothing but signs are left out."""

    name: str
    input: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """Of all steps, auxiliary heads apart."""
        return sum(row.parameters for row in self.rows if row.block != AUXILIARY)

    @property
    def multiply_adds(self) -> int:
        """Of all steps, auxiliary heads apart: one for each use of a weight by a convolution or a dense layer."""
        return sum(row.multiply_adds for row in self.rows if row.block != AUXILIARY)

    def text(self) -> str:
        """The table as plain text, with the sums in its last line."""
        lines = [("block", "layer", "what", "output", "parameters", "multiply-adds")]
        lines.append(("", "", "input", _times(self.input), "", ""))
        for row in self.rows:
            counts = (f"{row.parameters:,}", f"{row.multiply_adds:,}")
            lines.append((row.block, row.path, row.what, _times(row.shape), *counts))
        apart = "without auxiliary heads" if any(row.block == AUXILIARY for row in self.rows) else ""
        lines.append(("sum", "", apart, "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(len(line[column]) for line in lines) for column in range(6)]
        text = ""
        for line in lines:
            words = [cell.ljust(width) for cell, width in zip(line[:4], widths[:4], strict=True)]
            numbers = [cell.rjust(width) for cell, width in zip(line[4:], widths[4:], strict=True)]
            text += "  ".join(words + numbers).rstrip() + "\n"
        return text


def layer_table(name: str, *, unfold: bool = False) -> LayerTable:
    """The table of a network by its name, as published: its paper's classes, channels and size of pictures.

    ``unfold`` shows the layers inside each unit, in the order in which they run, instead of the unit.

    Raises:
        ModelError: no network has this name, or it never calls one of its blocks' modules.

    Example:
        >>> layer_table("lenet5").multiply_adds
        416520
    """
    row = architecture(name)
    with torch.device("meta"), torch.no_grad():
        network = build_on_meta(name, classes=row.classes).eval()
        images = torch.zeros(1, row.preprocess.count, *row.preprocess.size)
        return LayerTable(name, tuple(images.shape[1:]), tuple(rows_of(network, images, unfold=unfold)))


TRANSPOSED = (ConvTranspose2d, nn.modules.conv._ConvTransposeNd)
WEIGHING = (*TRANSPOSED, Conv2d, nn.modules.conv._ConvNd, nn.Linear)


@contextmanager
def counted_multiply_adds(module: nn.Module) -> Iterator[list[int]]:
    """What each convolution and dense layer, ours or torch's, multiplies for one picture, as they run in the block."""
    counted: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Each weight is used once for each place that a window is laid on: of the input where it spreads.
        places = (inputs[0] if isinstance(layer, TRANSPOSED) else output)[0]
        channels = places.shape[-1 if isinstance(layer, nn.Linear) else 0]
        counted.append(layer.get_parameter("weight").numel() * (places.numel() // channels))

    weighing = [layer for layer in module.modules() if isinstance(layer, WEIGHING)]
    hooks = [layer.register_forward_hook(count) for layer in weighing]
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()


def rows_of(network: Network, images: Tensor, *, unfold: bool = False) -> list[Row]:
    """The steps (or, unfolded, their layers) in the order in which they run, without those that change only signs.

    Raises:
        ModelError: the network never calls one of its blocks' modules as a module.
    """
    rows: list[Row] = []
    # A module may run in several blocks, and then runs in their order; again and again by itself, always in its last.
    places = _places(network, unfold)
    once = set(places)
    begun: dict[nn.Module, int] = {}

    def begin(module: nn.Module, _: object) -> None:
        begun[module] = len(counted)

    def end(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        block, path = places[module].pop(0) if len(places[module]) > 1 else places[module][0]
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        parameters = parameter_count(module) if module in once else 0
        once.discard(module)
        before = tuple(inputs[0].shape[1:]) if inputs and isinstance(inputs[0], Tensor) else None
        window = unfold and isinstance(module, (Pool, LocalResponseNorm))  # which change numbers and may keep the shape
        if parameters or shape != before or block == AUXILIARY or window:
            rows.append(Row(block, path, _described(module), shape, parameters, sum(counted[begun[module] :])))

    with counted_multiply_adds(network) as counted, ExitStack() as hooks:
        for module in places:
            hooks.callback(module.register_forward_pre_hook(begin).remove)
            hooks.callback(module.register_forward_hook(end).remove)
        network.auxiliary_outputs(images)
    if unfold:  # what drops paths for training alone
        once = {module for module in once if parameter_count(module)}
    if once:
        paths = ", ".join(path for module in places if module in once for _, path in places[module])
        raise ModelError(f"{type(network).__name__} never calls its {paths}, so it cannot be said what they do")
    return rows


def _places(network: Network, unfold: bool) -> dict[nn.Module, list[tuple[str, str]]]:
    """Each module that is a step, with the blocks in which it is one and its path: of sequences their members."""
    steps = [(block, path) for block, paths in network.blocks.items() for path in paths]
    places: dict[nn.Module, list[tuple[str, str]]] = {}
    for block, path in steps:
        module = network.get_submodule(path)
        parts = module.named_children() if isinstance(module, nn.Sequential) else [("", module)]
        for name, part in parts:
            for inner, layer in _layers(f"{path}.{name}".rstrip("."), part, unfold):
                places.setdefault(layer, []).append((block, inner))
    for path in network.auxiliary.values():
        for inner, layer in _layers(path, network.get_submodule(path), unfold):
            places[layer] = [(AUXILIARY, inner)]
    return places


def _layers(path: str, module: nn.Module, unfold: bool) -> Iterator[tuple[str, nn.Module]]:
    """The module, or unfolded the layers in it; one that has parameters of its own is a layer as it is."""
    children = dict(module.named_children())
    if not unfold or not children or list(module.parameters(recurse=False)):
        yield path, module
        return
    for name, child in children.items():
        yield from _layers(f"{path}.{name}", child, unfold)


def _described(module: nn.Module) -> str:
    """``convolution 7x7, stride 2, symmetric``; of other modules their class, in words."""
    if isinstance(module, Conv2d):
        depthwise = module.groups > 1 and module.groups == module.in_channels
        groups = f", {module.groups} groups" if module.groups > 1 and not depthwise else ""
        kind = "depthwise convolution" if depthwise else "convolution"
        return f"{kind} {_window(module.kernel_size, module.stride, module.padding)}{groups}"
    if isinstance(module, ConvTranspose2d):
        return f"transposed convolution {_window(module.kernel_size, module.stride, module.padding)}"
    if isinstance(module, Pool):
        stride = module.kernel_size if module.stride is None else module.stride
        kind = "max pool" if type(module).__name__.startswith("Max") else "mean pool"
        return f"{kind} {_window(module.kernel_size, stride, module.padding)}"
    if isinstance(module, nn.Linear):
        return "dense"
    if isinstance(module, nn.BatchNorm2d):
        return "batch norm"
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", type(module).__name__)
    return " ".join(words).lower()


def _window(window: object, stride: object, padding: object) -> str:
    sides = window if isinstance(window, tuple) else (window, window)
    text = f"{sides[0]}x{sides[1]}"
    if stride not in (1, (1, 1)):
        text += f", stride {stride}"
    return text if set(sides) == {1} else f"{text}, {padding if isinstance(padding, str) else f'padding {padding}'}"


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
