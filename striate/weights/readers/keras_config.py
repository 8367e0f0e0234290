"""What a Keras model says of itself as JSON: its layers, their classes and settings. Nothing of it is ever built."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

DEEPEST = 16
MOST_LAYERS = 50_000

# The classes whose variables Keras 3 numbers, and their names in that order.
VARIABLES: dict[str, tuple[str, ...]] = {
    "Conv1D": ("kernel", "bias"),
    "Conv2D": ("kernel", "bias"),
    "Conv2DTranspose": ("kernel", "bias"),
    "DepthwiseConv2D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its name, its class, its settings, and the layers in it if it is a model itself."""

    name: str
    kind: str
    settings: dict[str, Any]
    inner: tuple["Layer", ...] = ()


def read_config(text: str) -> Layer:
    """The whole model as one layer.

    Raises:
        ValueError: it is not JSON, or not that of a model.
    """
    try:
        loaded = json.loads(text)
    except RecursionError as error:
        raise ValueError("its configuration is nested without end") from error
    found = _layer(loaded, 0)
    if sum(1 for _ in flattened(found.inner)) > MOST_LAYERS:
        raise ValueError(f"its configuration has more than {MOST_LAYERS} layers")
    return found


def _layer(described: Any, depth: int) -> Layer:
    if not isinstance(described, dict) or depth > DEEPEST:
        raise ValueError("its configuration does not describe layers")
    kind, settings = described.get("class_name"), described.get("config")
    if isinstance(settings, list):  # a Sequential of Keras 1
        settings = {"layers": settings}
    if not isinstance(kind, str) or not isinstance(settings, dict):
        raise ValueError("its configuration does not describe layers")
    inner = settings.get("layers")
    name = settings.get("name", described.get("name", ""))
    layers = tuple(_layer(one, depth + 1) for one in inner if not _is_function(one)) if isinstance(inner, list) else ()
    return Layer(str(name), kind, settings, layers)


def _is_function(described: Any) -> bool:
    """Whether it is one of Keras 3's operations, which stand among the layers and are saved nowhere."""
    module = described.get("module") if isinstance(described, dict) else None
    return isinstance(module, str) and ".ops" in module


def flattened(layers: Sequence[Layer], within: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Layer]]:
    """Every layer that is no model, in order, with the names of the models that it is in."""
    for layer in layers:
        if layer.inner:
            yield from flattened(layer.inner, (*within, layer.name))
        else:
            yield within, layer


def facts_of(layer: Layer) -> dict[str, Any]:
    """Its class, and those of its settings that change how its weights are used."""
    facts: dict[str, Any] = {"class": layer.kind}
    for name in ("padding", "data_format"):
        if isinstance(value := layer.settings.get(name), str):
            facts[name] = value
    epsilon = layer.settings.get("epsilon")
    if isinstance(epsilon, int | float) and 0 <= epsilon < math.inf:
        facts["epsilon"] = float(epsilon)
    return facts


def variable_names(kind: str, settings: dict[str, Any], count: int) -> tuple[str, ...]:
    """The names of a layer's ``count`` numbered variables; their numbers where its class is not known."""
    names = VARIABLES.get(kind, ())
    if kind == "BatchNormalization" and count < len(names):
        # Without settings: of the two that can be left out, scale is the one that networks leave out alone.
        absent = [name for name, flag in (("gamma", "scale"), ("beta", "center")) if not settings.get(flag, True)]
        names = tuple(name for name in names if name not in (absent or ("gamma", "beta")[: len(names) - count]))
    if kind != "BatchNormalization":
        names = names[:count]
    return names if len(names) == count else tuple(str(number) for number in range(count))


def class_of(automatic: str) -> str:
    """The class that an automatic name such as ``conv2d_3`` was made from, where it is one with variables."""
    base = without_number(automatic)
    return next((kind for kind in VARIABLES if snake_case(kind) == base), "")


def without_number(name: str) -> str:
    """``conv2d_3`` to ``conv2d``."""
    return re.sub(r"_\d+$", "", name)


def number_of(name: str) -> int:
    """The number at the end of an automatic name; the first has none."""
    found = re.search(r"_(\d+)$", name)
    return int(found[1]) if found else -1


def snake_case(name: str) -> str:
    """A class's name as Keras writes it in files: ``DepthwiseConv2D`` is ``depthwise_conv2d``."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def by_automatic_name(found: Sequence[str], layers: Sequence[Layer]) -> dict[str, Layer]:
    """The layers of one model by the names that its file gives them, ``found`` being the names that are there.

    A file calls layers by their class, numbered in order: ``conv2d``, ``conv2d_1``. Early files of the format leave
    numbers out; there the n-th that is found is the n-th layer of the class, if there are as many.
    """
    counted: dict[str, int] = {}
    exact: dict[str, Layer] = {}
    for layer in layers:
        base = snake_case(layer.kind)
        counted[base] = counted.get(base, -1) + 1
        exact[f"{base}_{counted[base]}" if counted[base] else base] = layer
    if all(name in exact for name in found):
        return {name: exact[name] for name in found}
    matched: dict[str, Layer] = {}
    for base in {without_number(name) for name in found}:
        names = sorted((name for name in found if without_number(name) == base), key=number_of)
        same = [layer for layer in layers if snake_case(layer.kind) == base]
        if len(names) == len(same):
            matched.update(zip(names, same, strict=True))
    return matched
