"""A network's ladder: what it does step by step, with the shapes, parameters and multiply-adds of each step."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from striate.layers import Conv2d
from striate.layers.pooling import Pool
from striate.models.network import Network, parameter_count
from striate.models.outline import outline
from striate.models.table import architecture

AUXILIARY = "auxiliary"
"""The block under which heads that serve training alone are listed; they don't count."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: a layer, or a unit of several; ``shape`` is its output's, ``(C, H, W)`` or ``(C,)``."""

    block: str
    path: str
    what: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True, slots=True)
class Ladder:
    """The steps of a network for one picture of shape ``input``; steps that change nothing but signs are left out."""

    name: str
    input: tuple[int, ...]
    rungs: tuple[Rung, ...]

    @property
    def parameters(self) -> int:
        """Of all steps, auxiliary heads apart."""
        return sum(rung.parameters for rung in self.rungs if rung.block != AUXILIARY)

    @property
    def multiply_adds(self) -> int:
        """Of all steps, auxiliary heads apart: one for each use of a weight by a convolution or a dense layer."""
        return sum(rung.multiply_adds for rung in self.rungs if rung.block != AUXILIARY)

    def text(self) -> str:
        """The ladder as a table of plain text, with the sums in its last line."""
        rows = [("block", "layer", "what", "output", "parameters", "multiply-adds")]
        rows.append(("", "", "input", _times(self.input), "", ""))
        for rung in self.rungs:
            counts = (f"{rung.parameters:,}", f"{rung.multiply_adds:,}")
            rows.append((rung.block, rung.path, rung.what, _times(rung.shape), *counts))
        rows.append(("sum", "", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        lines = []
        for row in rows:
            words = [text.ljust(width) for text, width in zip(row[:4], widths[:4], strict=True)]
            numbers = [text.rjust(width) for text, width in zip(row[4:], widths[4:], strict=True)]
            lines.append("  ".join(words + numbers).rstrip())
        return "\n".join(lines) + "\n"


def ladder(name: str) -> Ladder:
    """The ladder of a network of `MODELS` as published: its paper's classes, channels and size of pictures.

    Raises:
        ModelError: no network has this name.

    Example:
        >>> ladder("lenet5").multiply_adds
        416520
    """
    row = architecture(name)
    with torch.device("meta"), torch.no_grad():
        network = outline(name, classes=row.classes).eval()
        images = torch.zeros(1, row.preprocess.count, *row.preprocess.size)
        rungs = tuple(_climb(network, images))
    return Ladder(name, tuple(images.shape[1:]), rungs)


@contextmanager
def counted_multiply_adds(module: nn.Module) -> Iterator[list[int]]:
    """What each convolution and dense layer of a module multiplies for one picture, as they run within the block."""
    counted: list[int] = []

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        places = output[0].numel() // output.shape[1]
        counted.append(layer.get_parameter("weight").numel() * places)

    weighing = [layer for layer in module.modules() if isinstance(layer, Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in weighing]
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()


def _climb(network: Network, x: Tensor) -> Iterator[Rung]:
    for block, paths in network.blocks.items():
        for path in paths:
            module = network.get_submodule(path)
            steps = [(path, module)]
            if isinstance(module, nn.Sequential):
                steps = [(f"{path}.{name}", child) for name, child in module.named_children()]
            for step, part in steps:
                before = x.shape
                x, rung = _step(block, step, part, x)
                if rung.parameters or x.shape != before:
                    yield rung
        if block in network.auxiliary:
            path = network.auxiliary[block]
            yield _step(AUXILIARY, path, network.get_submodule(path), x)[1]


def _step(block: str, path: str, module: nn.Module, x: Tensor) -> tuple[Tensor, Rung]:
    with counted_multiply_adds(module) as counted:
        y = module(x)
    return y, Rung(block, path, _described(module), tuple(y.shape[1:]), parameter_count(module), sum(counted))


def _described(module: nn.Module) -> str:
    """``convolution 7x7, stride 2, symmetric``; of other modules their class, in words."""
    if isinstance(module, Conv2d):
        depthwise = module.groups > 1 and module.groups == module.in_channels
        groups = f", {module.groups} groups" if module.groups > 1 and not depthwise else ""
        kind = "depthwise convolution" if depthwise else "convolution"
        return f"{kind} {_window(module.window, module.stride, module.padding)}{groups}"
    if isinstance(module, Pool):
        stride = module.window if module.stride is None else module.stride
        kind = "max pool" if type(module).__name__.startswith("Max") else "mean pool"
        return f"{kind} {_window(module.window, stride, module.padding)}"
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
