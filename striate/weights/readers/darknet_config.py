"""Darknet's network descriptions (``.cfg``): which layers there are, and the shapes of their weights.

The rules are those of darknet's `parser.c`: numbers default as there, and maps go through the layers as ``[channels,
height, width]``, since kernels depend on the channels before them and dense weights on the whole map.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import MappingProxyType

from striate.base.errors import WeightsError

Shape = tuple[int, int, int]

_LARGEST = 2**20  # bytes; the longest published description has 30,000
_ODD = {"dontload": "0", "dontloadscales": "0", "flipped": "0", "share_index": ""}  # and what means that they are off
_COUNT = 2**31  # darknet counts in 32 bits
_SIDE = 2**16  # pixels


@dataclass(frozen=True, slots=True)
class Section:
    """``[name]`` and its ``key=value`` lines; ``line`` is where it stands."""

    name: str
    line: int
    options: dict[str, str] = field(default_factory=dict)

    def whole(self, key: str, default: int, *, least: int = 1 - _COUNT, most: int = _COUNT - 1) -> int:
        """The option as an integer; darknet's own default where it is not given."""
        text = self.options.get(key)
        number = default
        if text is not None:
            found = re.match(r"[+-]?[0-9]{1,12}(?![0-9])", text)
            if not found:
                raise WeightsError(f"{self} has {key}={text[:40]}, which is no whole number")
            number = int(found[0])
        if not least <= number <= most:
            raise WeightsError(f"{self} has {key}={number}, which is out of range")
        return number

    def wholes(self, key: str) -> list[int]:
        """The option as integers between commas."""
        parts = [part for part in self.options.get(key, "").split(",") if part]
        return [Section(self.name, self.line, {key: part}).whole(key, 0) for part in parts]

    def layers(self, key: str, index: int) -> tuple[int, ...]:
        """The layers that the option of layer ``index`` names: from the start, or with a minus from there back."""
        numbers = tuple(number + index if number < 0 else number for number in self.wholes(key))
        if not numbers or any(not 0 <= number < index for number in numbers):
            raise WeightsError(f"{self} has {key}={self.options.get(key, '')[:40]}, and {index} layers stand before it")
        return numbers

    def numbers(self, key: str) -> list[float]:
        """The option as numbers between commas."""
        words = [word for word in self.options.get(key, "").split(",") if word]
        try:
            found = [float(word) for word in words]
        except ValueError:
            found = [math.nan]
        if not all(map(math.isfinite, found)):
            raise WeightsError(f"{self} has {key}={self.options[key][:40]}, which are no numbers between commas")
        return found

    def __str__(self) -> str:
        return f"[{self.name[:40]}] of line {self.line}"


@dataclass(frozen=True, slots=True)
class Layer:
    """One section after ``[net]``: its index as darknet prints it, what it gives, what it reads from the file."""

    index: int
    section: Section
    shape: Shape
    weights: tuple[tuple[str, tuple[int, ...]], ...] = ()  # names and shapes in the order of the file


@dataclass(frozen=True, slots=True)
class Window:
    """A window's side, its strides across and down, and the places of padding of both sides of an axis together."""

    size: int
    across: int
    down: int
    padding: int

    def over(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what it gives of a map."""
        down, across = (side + self.padding - self.size for side in (height, width))
        return down // self.down + 1, across // self.across + 1


def convolution_window(section: Section) -> Window:
    """The window of a convolution."""
    size = section.whole("size", 1, least=1)
    padding = size // 2 if section.whole("pad", 0) else section.whole("padding", 0, least=0)
    return Window(size, *_strides(section), 2 * padding)


def pool_window(section: Section) -> Window:
    """The window of a max pool."""
    across, down = _strides(section)
    size = section.whole("size", section.whole("stride", 1), least=1)
    return Window(size, across, down, section.whole("padding", size - 1, least=0))


def _strides(section: Section) -> tuple[int, int]:
    stride = section.whole("stride", 1, least=1)
    return section.whole("stride_x", stride, least=1), section.whole("stride_y", stride, least=1)


def parse(path: Path) -> tuple[Section, list[Layer]]:
    """The section ``[net]`` of a ``.cfg``, and the layers after it.

    Raises:
        WeightsError: it cannot be read, has a layer whose weights are not known here, or makes no network.
    """
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise WeightsError(f"its configuration {path} is no file, or one of over {_LARGEST:,} bytes")
        text = path.read_text(encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise WeightsError(f"its configuration {path} cannot be read: {error.strerror or error}") from error
    try:
        return _layers(_sections(text))
    except WeightsError as error:
        raise WeightsError(f"its configuration {path}: {error}") from error


def _sections(text: str) -> list[Section]:
    sections: list[Section] = []
    for number, line in enumerate(text.split("\n"), start=1):
        plain = re.sub(r"\s+", "", re.split("[#;]", line)[0])
        if plain.startswith("["):
            sections.append(Section(plain.strip("[]").lower(), number))
        elif plain and not sections:
            raise WeightsError(f"line {number} stands before any [section]")
        elif plain:
            key, _, value = plain.partition("=")
            sections[-1].options.setdefault(key, value)  # of two, darknet takes the first
    if not sections or sections[0].name not in ("net", "network"):
        raise WeightsError("the first section should be [net]")
    return sections


def _layers(sections: list[Section]) -> tuple[Section, list[Layer]]:
    net = sections[0]
    before: Shape = (net.whole("channels", 0), net.whole("height", 0, most=_SIDE), net.whole("width", 0, most=_SIDE))
    if before[1:] == (0, 0) and net.whole("inputs", 0):  # a network of dense layers alone
        before = (net.whole("inputs", 0), 1, 1)
    if min(before) < 1:
        raise WeightsError(f"{net} should give width, height and channels, all above 0")
    layers: list[Layer] = []
    for index, section in enumerate(sections[1:]):
        if section.name not in _KINDS:
            raise WeightsError(f"{section}: layers of this kind are not read; known are {', '.join(sorted(_KINDS))}")
        if odd := [key for key, unset in _ODD.items() if section.options.get(key, unset) != unset]:
            raise WeightsError(f"{section} is stored in a way that is not read: {', '.join(odd)}")
        layer = _KINDS[section.name](index, section, before, layers)
        if min(layer.shape) < 1 or prod(layer.shape) >= _COUNT:
            raise WeightsError(f"{section} would give {list(layer.shape)} from {list(before)}")
        layers.append(layer)
        before = layer.shape
    return net, layers


# The kinds of layers. Each takes its index, its section, the map before it and the layers so far.


def _statistics(number: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return ("gamma", (number,)), ("mean", (number,)), ("variance", (number,))


def _convolutional(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    channels, height, width = before
    filters, size = section.whole("filters", 1, least=1), section.whole("size", 1, least=1)
    groups = section.whole("groups", 1, least=1)
    if channels % groups or filters % groups:
        raise WeightsError(
            f"{section}: {groups} groups divide neither {channels} channels nor {filters} filters evenly"
        )
    shape = (filters, *convolution_window(section).over(height, width))
    weights = (
        (f"conv{index}/bias", (filters,)),
        *((f"conv{index}/{n}", s) for n, s in _statistics(filters) if section.whole("batch_normalize", 0)),
        (f"conv{index}/weight", (filters, channels // groups, size, size)),
    )
    return Layer(index, section, shape, weights)


def _connected(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    output = section.whole("output", 1, least=1)
    weights = (
        (f"dense{index}/bias", (output,)),
        (f"dense{index}/weight", (output, prod(before))),
        *((f"dense{index}/{n}", s) for n, s in _statistics(output) if section.whole("batch_normalize", 0)),
    )
    return Layer(index, section, (output, 1, 1), weights)


def _local(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    """A kernel of its own at every place."""
    channels, height, width = before
    filters, size = section.whole("filters", 1, least=1), section.whole("size", 1, least=1)
    stride, lost = section.whole("stride", 1, least=1), 1 if section.whole("pad", 0) else size
    shape = (filters, (height - lost) // stride + 1, (width - lost) // stride + 1)
    places = shape[1] * shape[2]
    weights = (
        (f"local{index}/bias", (filters, *shape[1:])),
        (f"local{index}/weight", (places, filters, channels, size, size)),
    )
    return Layer(index, section, shape, weights)


def _maxpool(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    channels, height, width = before
    if section.whole("maxpool_depth", 0):
        return Layer(index, section, (section.whole("out_channels", 1, least=1), height, width))
    return Layer(index, section, (channels, *pool_window(section).over(height, width)))


def _avgpool(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    return Layer(index, section, (before[0], 1, 1))


def _upsample(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    channels, height, width = before
    stride = section.whole("stride", 2)
    if stride == 0:
        raise WeightsError(f"{section} has stride=0, which is out of range")
    if stride < 0:
        return Layer(index, section, (channels, height // -stride, width // -stride))
    return Layer(index, section, (channels, height * stride, width * stride))


def _reorg(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    channels, height, width = before
    stride = section.whole("stride", 1, least=1)
    if section.whole("reverse", 0):
        return Layer(index, section, (channels // stride**2, height * stride, width * stride))
    return Layer(index, section, (channels * stride**2, height // stride, width // stride))


def _route(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    """Other layers' maps one behind the other; with ``groups``, one part of each."""
    sources = [layers[number] for number in section.layers("layers", index)]
    groups, part = section.whole("groups", 1, least=1), section.whole("group_id", 0, least=0)
    if len({source.shape[1:] for source in sources}) != 1 or part >= groups:
        raise WeightsError(f"{section} joins maps of several sizes, {[list(s.shape) for s in sources[:6]]}")
    channels = sum(source.shape[0] // groups for source in sources)
    return Layer(index, section, (channels, *sources[0].shape[1:]))


def _shortcut(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    section.layers("from", index)
    if section.options.get("weights_type", "none") != "none":
        raise WeightsError(f"{section} has weights of its own (weights_type), which are not read")
    return Layer(index, section, before)


def _scaled(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    """[scale_channels] and [sam]: the map named by ``from``, times the one before."""
    return Layer(index, section, layers[section.layers("from", index)[0]].shape)


def _crop(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    return Layer(index, section, (before[0], section.whole("crop_height", 1), section.whole("crop_width", 1)))


def _alike(index: int, section: Section, before: Shape, layers: list[Layer]) -> Layer:
    return Layer(index, section, before)


_Kind = Callable[[int, Section, Shape, list[Layer]], Layer]
_KINDS: MappingProxyType[str, _Kind] = MappingProxyType(
    {
        **dict.fromkeys(("convolutional", "conv"), _convolutional),
        **dict.fromkeys(("connected", "conn"), _connected),
        **dict.fromkeys(("maxpool", "max"), _maxpool),
        **dict.fromkeys(("avgpool", "avg"), _avgpool),
        **dict.fromkeys(("scale_channels", "sam"), _scaled),
        "local": _local,
        "upsample": _upsample,
        "reorg": _reorg,
        "route": _route,
        "shortcut": _shortcut,
        "crop": _crop,
        # They keep the map as it is, or end the network, and have no weights.
        **dict.fromkeys(("activation", "normalization", "lrn", "l2norm", "logistic", "softmax", "soft"), _alike),
        **dict.fromkeys(
            ("dropout", "cost", "empty", "silence", "yolo", "region", "detection", "gaussian_yolo"), _alike
        ),
    }
)
