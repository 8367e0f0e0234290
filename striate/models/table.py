"""Every network by name, written out. A new one is a file beside this and a row here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.pictures.preprocess import PREPROCESSING, Preprocess

if TYPE_CHECKING:
    from striate.models.network import Network


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network: where its builder is (``module:function``), and what is known of it without building it.

    ``parameters`` counts it as published, with the classes and channels of its paper. ``preprocess`` is for training
    from scratch; pretrained weights bring their own. The builder takes ``classes`` and ``in_channels`` by keyword.
    """

    build: str
    summary: str
    parameters: int
    preprocess: Preprocess


MODELS: Mapping[str, Architecture] = MappingProxyType(
    {
        "lenet5": Architecture(
            build="striate.models.lenet5:lenet5",
            summary="LeNet-5, modern form: tanh, mean pools, for digits of 28x28 in 32x32",
            parameters=61_706,
            preprocess=Preprocess(
                channels="grey", mean=(0.1307,), scale=(0.3081,), size=(32, 32), resize="stretch", border=2
            ),
        ),
        "fashion_cnn": Architecture(
            build="striate.models.fashion_cnn:fashion_cnn",
            summary="the textbook's network for Fashion-MNIST, 28x28 grey",
            parameters=1_413_834,
            preprocess=Preprocess(channels="grey", mean=(0.2860,), scale=(0.3530,), size=(28, 28), resize="stretch"),
        ),
        "resnet18": Architecture(
            build="striate.models.resnet:resnet18",
            summary="residual network of 18 layers",
            parameters=11_689_512,
            preprocess=PREPROCESSING["imagenet"],
        ),
        "resnet34": Architecture(
            build="striate.models.resnet:resnet34",
            summary="residual network of 34 layers",
            parameters=21_797_672,
            preprocess=PREPROCESSING["imagenet"],
        ),
        "efficientnet_lite0": Architecture(
            build="striate.models.efficientnet_lite:efficientnet_lite0",
            summary="inverted bottlenecks with depthwise windows, made for small processors",
            parameters=4_652_008,
            preprocess=replace(PREPROCESSING["lite"], size=(224, 224), crop_fraction=0.875),
        ),
    }
)


def architecture(name: str) -> Architecture:
    """The row of a network.

    Raises:
        ModelError: no network has this name.
    """
    if name not in MODELS:
        raise ModelError(f"no model is called {name!r}.{did_you_mean(name, MODELS)} There are {', '.join(MODELS)}")
    return MODELS[name]


def build(name: str, *, classes: int = 1000, in_channels: int | None = None, seed: int | None = None) -> "Network":
    """Build a network with fresh weights, for ``classes`` answers and pictures of ``in_channels``.

    ``in_channels`` None takes those of the network's own preprocessing (grey for lenet5, RGB for resnet18). The same
    ``seed`` gives the same weights and leaves torch's own random numbers as they were; None draws from those.

    Raises:
        ModelError: no network has this name, or ``classes`` or ``in_channels`` is below 1.

    Example:
        >>> build("lenet5", classes=10).output.out_features
        10
    """
    row = architecture(name)
    channels = row.preprocess.count if in_channels is None else in_channels
    module, function = row.build.split(":")
    builder = getattr(import_module(module), function)
    if seed is None:
        return builder(classes=classes, in_channels=channels)
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return builder(classes=classes, in_channels=channels)
