"""How pictures are prepared for foreign weights: one of the known kinds, at the network's own size."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.pictures.preprocess import PREPROCESSING, Preprocess

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "imagenet": "RGB from 0 to 1, minus ImageNet's mean, by its deviation (torchvision, most of timm)",
        "caffe": "BGR bytes minus the mean colour (Caffe; Keras' VGG and ResNet)",
        "tf": "RGB from -1 to 1 (Keras' MobileNets and Xception, torchvision's GoogLeNet)",
        "lite": "(byte - 127) / 128, bicubic (EfficientNet-Lite)",
        "raw": "the bytes as they are, 0 to 255",
    }
)
"""What each of `PREPROCESSING` does, and whose weights want it."""

FIELDS = tuple(field.name for field in fields(Preprocess))


def described() -> str:
    """All kinds with their phrases, for a message."""
    return "; ".join(f"{kind}: {what}" for kind, what in KINDS.items())


def check_words(kind: str | Preprocess | None, changes: Mapping[str, Any]) -> None:
    """Refuse a kind, and changes of fields, that there are not.

    Raises:
        ModelError: there is no such kind, or a field is unknown.
    """
    if isinstance(kind, str) and kind not in PREPROCESSING:
        raise ModelError(f"preprocess: there is no kind {kind!r}.{did_you_mean(kind, KINDS)} There are {described()}")
    for name in changes:
        if name not in FIELDS:
            raise ModelError(
                f"preprocess has no field {name!r}.{did_you_mean(name, FIELDS)} It has {', '.join(FIELDS)}"
            )


def of_kind(kind: str, own: Preprocess, channels: int) -> Preprocess:
    """The constants of ``kind`` at the size and by the resize rule of ``own``, for so many channels."""
    return for_channels(
        replace(
            PREPROCESSING[kind],
            size=own.size,
            resize=own.resize,
            crop_fraction=own.crop_fraction,
            border=own.border,
            fill=own.fill,
        ),
        channels,
    )


def for_channels(preprocess: Preprocess, channels: int) -> Preprocess:
    """The same for pictures of another number of channels, each of which gets the mean of the constants.

    Example:
        >>> for_channels(PREPROCESSING["tf"], 1).channels
        'grey'
    """
    if preprocess.count == channels:
        return preprocess
    mean, scale = (sum(values) / len(values) for values in (preprocess.mean, preprocess.scale))
    kind: Any = {1: "grey", 3: "rgb"}.get(channels, channels)
    return replace(preprocess, channels=kind, mean=(mean,), scale=(scale,))


def changed(preprocess: Preprocess, changes: Mapping[str, Any]) -> Preprocess:
    """With some of its fields as the user wants them.

    Where RGB becomes BGR or the reverse, each colour keeps its own mean and scale unless they are given too.

    Raises:
        ModelError: a field is out of range, or the channels are more or fewer than the weights read.
    """
    channels: Any = changes.get("channels", preprocess.channels)
    turned = {preprocess.channels, channels} == {"rgb", "bgr"}
    colours = {"mean": preprocess.mean[::-1], "scale": preprocess.scale[::-1]} if turned else {}
    if channels != preprocess.channels and not turned:
        number = replace(preprocess, channels=channels, mean=(0.0,), scale=(1.0,)).count  # which also checks the word
        if number != preprocess.count:
            raise ModelError(
                f"preprocess: channels is {channels!r}, but the first convolution of these weights reads "
                f"{preprocess.count} a picture"
            )
    return replace(preprocess, **(colours | dict(changes)))
