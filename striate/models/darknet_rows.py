"""The layers of darknet's networks as rows: what each says, reads and gives, and the modules that compute it.

Rows are numbers and words alone, so that a model file can keep them. A map's size is not followed but its stride: every
window here has one place for each of its strides, so that grids of detections lie where they seem to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from striate.layers import BatchNormAct2d, Conv2d, MaxPool2d

Activation = Literal["linear", "leaky", "relu", "relu6", "logistic", "mish", "swish"]

ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = MappingProxyType(
    {
        "leaky": partial(nn.LeakyReLU, 0.1),
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "logistic": nn.Sigmoid,
        "mish": nn.Mish,
        "swish": nn.SiLU,
    }
)
"""All but "linear", which changes nothing."""

Count = Annotated[int, Field(ge=1, le=1 << 16)]
Number = Annotated[int, Field(ge=0, le=1 << 16)]
Modules = dict[str, nn.Module]
"""By name, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class Map:
    """What a layer gives: its channels, and how many of the picture's pixels a place spans, each way."""

    channels: int
    stride: int


class Layer:
    """What rows share: they say nothing but what is known of their kind, and read the layer before them."""

    __slots__ = ()
    __pydantic_config__ = ConfigDict(extra="forbid")

    def reads(self, number: int) -> tuple[int, ...]:
        """The numbers of the layers that it reads, if it is layer ``number``."""
        return (number - 1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution(Layer):
    """A convolution, perhaps a norm, and an activation; ``padding`` is that of each side.

    ``filters`` is None right before `Detections`, which say how many they want.
    """

    kind: Literal["convolution"] = "convolution"
    filters: Count | None
    size: Count = 1
    stride: Count = 1
    padding: Number = 0
    groups: Count = 1
    norm: bool = False
    activation: Activation = "linear"

    def __post_init__(self) -> None:
        _check_window(self.size, self.stride, 2 * self.padding)

    def layer(self, before: Sequence[Map], answers: int | None) -> tuple[Map, Modules]:
        """What it gives of these maps, and by which modules; ``answers`` is what the detections behind it want."""
        filters = self.filters or answers
        if filters is None:
            raise ValueError("says no filters, and no detections come next, which would")
        conv = Conv2d(
            *(before[0].channels, filters, self.size),
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
            bias=not self.norm,
        )
        gives, modules = Map(filters, before[0].stride * self.stride), {"conv": conv}
        if not self.norm:
            return gives, modules | _activation(self.activation)
        if self.activation in ("relu", "relu6"):  # which the norm does itself
            return gives, modules | {"bn": BatchNormAct2d(filters, act=self.activation)}
        return gives, modules | {"bn": BatchNormAct2d(filters)} | _activation(self.activation)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Layer):
    """A max pool; ``padding`` is that of both sides together, of which the odd place comes after."""

    kind: Literal["max pool"] = "max pool"
    size: Count
    stride: Count
    padding: Number

    def __post_init__(self) -> None:
        _check_window(self.size, self.stride, self.padding)

    def layer(self, before: Sequence[Map], answers: int | None) -> tuple[Map, Modules]:
        """See `Convolution.layer`."""
        sides = (self.padding // 2, self.padding - self.padding // 2)
        pool = MaxPool2d(self.size, stride=self.stride, padding=(sides, sides))
        return Map(before[0].channels, before[0].stride * self.stride), {"pool": pool}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample(Layer):
    """Each place ``factor`` times, each way."""

    kind: Literal["upsample"] = "upsample"
    factor: Count

    def layer(self, before: Sequence[Map], answers: int | None) -> tuple[Map, Modules]:
        """See `Convolution.layer`."""
        stride = before[0].stride
        if stride % self.factor:
            raise ValueError(f"would make a map of stride {stride} larger than the pictures")
        return Map(before[0].channels, stride // self.factor), {"upsample": nn.Upsample(scale_factor=self.factor)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut(Layer):
    """The map before it and those of ``layers``, added."""

    kind: Literal["shortcut"] = "shortcut"
    layers: tuple[Number, ...]
    activation: Activation = "linear"

    def reads(self, number: int) -> tuple[int, ...]:
        """See `Layer.reads`."""
        return (number - 1, *self.layers)

    def layer(self, before: Sequence[Map], answers: int | None) -> tuple[Map, Modules]:
        """See `Convolution.layer`."""
        if len(set(before)) > 1:
            channels, strides = [each.channels for each in before], [each.stride for each in before]
            raise ValueError(f"adds maps that differ, of {channels} channels and the strides {strides}")
        return before[0], {"sum": Sum()} | _activation(self.activation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Layer):
    """The maps of ``layers``, one behind the other; of each the part of that number, if ``groups`` divide it."""

    kind: Literal["route"] = "route"
    layers: tuple[Number, ...]
    groups: Count = 1
    part: Number = 0

    def reads(self, number: int) -> tuple[int, ...]:
        """See `Layer.reads`."""
        return self.layers

    def layer(self, before: Sequence[Map], answers: int | None) -> tuple[Map, Modules]:
        """See `Convolution.layer`."""
        channels, strides = [each.channels for each in before], {each.stride for each in before}
        if len(strides) > 1:
            raise ValueError(f"joins maps of the strides {sorted(strides)}")
        if self.part >= self.groups or any(count % self.groups for count in channels):
            raise ValueError(f"takes part {self.part} of {self.groups}, counted from 0, of maps of {channels} channels")
        joined = sum(channels) // self.groups
        return Map(joined, before[0].stride), {"route": Concatenation(self.groups, self.part)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Layer):
    """Numbers that are left out, in training alone."""

    kind: Literal["dropout"] = "dropout"
    probability: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5

    def layer(self, before: Sequence[Map], answers: int | None) -> tuple[Map, Modules]:
        """See `Convolution.layer`."""
        return before[0], {"dropout": nn.Dropout(self.probability)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections(Layer):
    """What darknet calls ``[yolo]``: in each cell for each of ``anchors`` a box, an objectness and the classes."""

    kind: Literal["detections"] = "detections"
    anchors: Count

    def layer(self, before: Sequence[Map], answers: int | None) -> tuple[Map, Modules]:
        """See `Convolution.layer`."""
        return before[0], {"places": Places(self.anchors)}


Row = Annotated[Convolution | MaxPool | Upsample | Shortcut | Route | Dropout | Detections, Field(discriminator="kind")]


def _check_window(size: int, stride: int, padding: int) -> None:
    if not size - stride <= padding < size:
        fitting = " to ".join(map(str, sorted({max(0, size - stride), size - 1})))
        raise ValueError(
            f"a window of {size} with stride {stride} and {padding} places of padding in all has not just one place "
            f"for each {stride}, as with a padding of {fitting} it would"
        )


def _activation(name: Activation) -> Modules:
    return {} if name == "linear" else {"act": ACTIVATIONS[name]()}


class Sum(nn.Module):
    """Several maps of one shape, added."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Maps ``[N, C, H, W]`` to one of the same shape."""
        for x in others:
            first = first + x
        return first


class Concatenation(nn.Module):
    """Several maps, one behind the other; of each the same part of its channels."""

    def __init__(self, groups: int, part: int) -> None:
        super().__init__()
        self.groups, self.part = groups, part

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps ``[N, C_i, H, W]`` to ``[N, sum of C_i / groups, H, W]``."""
        parts = [x.unflatten(1, (self.groups, -1))[:, self.part] for x in maps] if self.groups > 1 else list(maps)
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


class Places(nn.Module):
    """What a convolution says for the anchors of each cell as a list: cells row by row, in each its anchors."""

    def __init__(self, anchors: int) -> None:
        super().__init__()
        self.anchors = anchors

    def forward(self, x: Tensor) -> Tensor:
        """``[N, anchors * (5 + classes), H, W]`` to ``[N, H * W * anchors, 5 + classes]``."""
        return x.unflatten(1, (self.anchors, -1)).permute(0, 3, 4, 1, 2).flatten(1, 3)
