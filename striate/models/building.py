"""Networks by their names, built: from a row of the table alone, or from a head and a backbone."""

import inspect
import json
import operator
from collections.abc import Callable, Mapping, Sized
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, SupportsIndex, cast, get_type_hints

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.models.heads import HEADS, Head
from striate.models.table import MODELS, architecture

if TYPE_CHECKING:
    from striate.models.network import Network

_LONGEST = 200  # letters of an argument in a message

NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


def build(
    name: str,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    seed: int | None = None,
    arguments: Mapping[str, Any] = NO_ARGUMENTS,
) -> "Network":
    """Build a network with fresh weights, for ``classes`` answers and pictures of ``in_channels``.

    ``classes`` None takes the network's own usual number (10 for lenet5, 1,000 for resnet18), ``in_channels`` None the
    channels of its own preprocessing (grey for lenet5, RGB for resnet18). The same ``seed`` gives the same weights and
    leaves torch's own random numbers as they were; None draws from those. ``arguments`` are further ones of the
    network's builder (of a head on a backbone, the head's), of the kinds that JSON has.

    Raises:
        ModelError: no network has this name, ``classes`` or ``in_channels`` is below 1, the builder has no such
            arguments or refuses their values, or the backbone lacks maps that the head reads.

    Example:
        >>> build("lenet5").output.out_features
        10
        >>> build("efficientnet_lite0", classes=5, arguments={"stochastic_depth": 0.2}).stage2[1].drop.rate
        0.025
    """
    row = architecture(name)
    number = row.classes if classes is None else classes
    channels = row.preprocess.count if in_channels is None else in_channels
    module, function = row.build.split(":")
    builder = getattr(import_module(module), function)
    further = _checked(name, builder, arguments)
    import torch

    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            network = _built(name, builder, number, channels, further)
        except (TypeError, ValueError, RuntimeError) as error:
            if not further and not isinstance(error, RuntimeError):  # a fault of ours; torch's is a size beyond memory
                raise
            said = str(error).splitlines()[0]
            raise ModelError(
                f"{name} cannot be built for {number} classes, with arguments {_shown(further)}: {said}"
            ) from error
    network.built_as, network.built_with = name, dict(arguments)
    return network


def class_count(name: str, classes: object) -> int:
    """How many classes are meant by a number or by their names.

    Raises:
        ModelError: ``classes`` is neither, or there are none, though the network names some.
    """
    listed = isinstance(classes, Sized)  # an array of names has an index, too, by which it is none
    whole = not isinstance(classes, bool) and hasattr(classes, "__index__")
    if isinstance(classes, str | bytes) or not (listed or whole):
        word = ", a single word" if isinstance(classes, str | bytes) else ""
        raise ModelError(f"classes is {classes!r}{word}; give the number of classes or a list of their names")
    count = len(cast("Sized", classes)) if listed else operator.index(cast("SupportsIndex", classes))
    if count == 0 < architecture(name).classes:
        raise ModelError(
            f"classes is 0: {name} always ends in layers that answer. What they read is "
            f"network.run(images, stop=BLOCK), where BLOCK is the one before 'head' in network.blocks, and the maps "
            "are network.features(images)"
        )
    return count


def _built(
    name: str, builder: Callable[..., Any], classes: int, channels: int, further: Mapping[str, Any]
) -> "Network":
    backbone = architecture(name).backbone
    if backbone is None:
        return builder(classes=classes, in_channels=channels, **further)
    from striate.models.atrous import make_atrous
    from striate.models.headed import Headed

    head = HEADS[name.rpartition("/")[0]]
    try:
        network = build(backbone, classes=1, in_channels=channels, arguments=head.backbone_arguments)
    except ModelError as error:
        if not head.backbone_arguments:
            raise
        asked = ", ".join(f"{word} {value!r}" for word, value in head.backbone_arguments.items())
        raise ModelError(
            f"{name}: the head stands on a backbone that is built with {asked}. {error}{_instead(head, backbone)}"
        ) from None
    if head.output_stride is not None:
        try:
            make_atrous(network, head.output_stride)
        except ModelError as error:
            raise ModelError(f"{name}: {error}{_instead(head, backbone)}") from None
    strides = head.strides
    offered = [info.stride for info in network.feature_info]
    if missing := [stride for stride in strides or () if stride not in offered]:
        raise ModelError(
            f"{name}: the head reads maps of strides {strides}, and {backbone} has none of {missing}, only of "
            f"{offered}; take a backbone that has them, such as resnet18{_instead(head, backbone)}"
        )
    features = tuple(info for info in network.feature_info if strides is None or info.stride in strides)
    if classes < 1:
        raise ModelError(f"{name}: classes is {classes}; it must be at least 1")
    made = builder(features, classes=classes, **further)
    return Headed(network, made, features=features, classes=classes, sized=head.sized)


def _instead(head: Head, backbone: str) -> str:
    """Sentences on which backbones the head stands, where its arguments tell, and which head for its task on this one.

    ``. It stands on vgg11, vgg13, ... On resnet18 stands unet/resnet18``.
    """
    words = head.backbone_arguments.keys()
    able = [name for name, row in MODELS.items() if words and not row.whole and words <= _parameters(row.build)]
    on_any = [
        name
        for name, other in HEADS.items()
        if other.task == head.task and other.strides is None and not other.backbone_arguments
    ]
    said = f". It stands on {', '.join(able)}" if able else ""
    return said + "".join(f". On {backbone} stands {other}/{backbone}" for other in on_any[:1])


def _parameters(build: str) -> set[str]:
    module, function = build.split(":")
    return {*inspect.signature(getattr(import_module(module), function)).parameters}


def _checked(name: str, builder: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the builder's annotations want them: lists, which JSON has, become tuples."""
    if not arguments:
        return {}
    from pydantic import TypeAdapter, ValidationError

    own = [each.name for each in inspect.signature(builder).parameters.values() if each.kind is each.KEYWORD_ONLY]
    known = [word for word in own if word not in ("classes", "in_channels")]
    hints, checked = get_type_hints(builder, include_extras=True), {}
    for word, value in arguments.items():
        if word not in known:
            there = f"It has {', '.join(known)}" if known else "It has none but classes and in_channels"
            raise ModelError(f"{name} has no argument {word!r}.{did_you_mean(word, known)} {there}")
        try:
            checked[word] = TypeAdapter(hints.get(word, Any)).validate_json(json.dumps(value), strict=True)
        except (ValidationError, TypeError, ValueError) as error:
            said = _first(error.errors()[0]) if isinstance(error, ValidationError) else error
            raise ModelError(f"{name}: the argument {word} is {_shown(value)}; {said}") from None
    return checked


def _first(error: Mapping[str, Any]) -> str:
    """What pydantic says of the first thing that is wrong, and where in the argument that is."""
    where, said = ".".join(map(str, error["loc"])), str(error["msg"]).removeprefix("Value error, ")
    return f"at {where}: {said}" if where else said


def _shown(value: object) -> str:
    """A value for a message, cut where it is long: of some networks every layer is an argument."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
