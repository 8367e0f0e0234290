"""Networks that by themselves answer less than they see, asked through the predictor: every pixel has its answer."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from striate.data.records import Classes
from striate.modelfile import Description
from striate.models import build, dense_layers
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.predictor import Predictor

DRAWN = random.Random(5)
SIZES = [(33, 41), (96, 34), (33, 33), (97, 97), *[(DRAWN.randint(33, 97), DRAWN.randint(33, 97)) for _ in range(8)]]


def published(name: str, arguments: Mapping[str, Any]) -> Network:
    return build(name, classes=3, in_channels=3, seed=1, arguments=arguments).eval()


def asked(network: Network, seen: tuple[int, int], size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, Any]:
    """A photograph of that size, and the predictor's answer to it, whose network sees it in the size ``seen``."""
    preprocess = Preprocess(size=seen, resize="stretch")
    described = Description(network.built_as or "", {"classes": 3}, "segment", Classes(("a", "b", "c")), preprocess)
    photograph = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return photograph, Predictor(network, described)(photograph)


def alike(network: Network, size: tuple[int, int]) -> float:
    """The part of a photograph's pixels that are answered by the class of the network's own largest logit.

    0 where the answer is not of the photograph's size.
    """
    photograph, answer = asked(network, size, size)
    with torch.inference_mode():
        images = torch.from_numpy(photograph).permute(2, 0, 1)[None]
        wanted = network(Preprocess(size=size).normalise(images))[0].argmax(0).numpy()
    return float((answer == wanted).mean()) if answer.shape == wanted.shape == size else 0.0


@pytest.mark.parametrize(
    ("name", "arguments", "sizes"),
    [
        ("unet", {"width": 4}, SIZES[:3]),
        ("fcn8s/vgg11", {}, SIZES[:1]),
        pytest.param("fcn16s/vgg11", {}, SIZES[:4], marks=pytest.mark.slow),
        pytest.param("fcn32s/vgg11", {}, SIZES[:4], marks=pytest.mark.slow),
    ],
)
def test_every_pixel_is_answered_as_the_network_does(
    name: str, arguments: Mapping[str, Any], sizes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense_layers, "HIDDEN", 64)
    network = published(name, arguments)
    for size in sizes:
        assert alike(network, size) > 0.999, size
    _, answer = asked(network, sizes[0], (51, 40))
    assert answer.shape == (51, 40)
