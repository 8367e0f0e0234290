"""EfficientNet-Lite0 with its real weights against the package it comes from, on real photographs."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.weights import PRETRAINED, create
from striate.weights.fetching import original

ORACLE = """
import sys
import numpy as np, torch
from efficientnet_lite_pytorch import EfficientNet
weights, images, logits = sys.argv[1:]
network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
with torch.no_grad():
    np.save(logits, network(torch.from_numpy(np.load(images))).numpy())
"""


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    """scikit-learn's two photographs and two pieces of them, normalised as the weights want it, [4, 3, 224, 224]."""
    sklearn = pytest.importorskip("sklearn")
    folder = Path(sklearn.__file__).parent / "datasets" / "images"
    pieces = []
    for name in ("china.jpg", "flower.jpg"):
        picture = Image.open(folder / name)
        for box in ((130, 27, 503, 400), (20, 100, 244, 324)):
            piece = picture.crop(box).resize((224, 224), Image.Resampling.BICUBIC)
            pieces.append(torch.from_numpy(np.array(piece)).permute(2, 0, 1))
    return PRETRAINED["efficientnet_lite0"].preprocess.normalise(torch.stack(pieces))


@pytest.mark.oracle
def test_logits_equal_the_original(photographs: torch.Tensor, oracle_python: Path, tmp_path: Path) -> None:
    images, logits = tmp_path / "images.npy", tmp_path / "logits.npy"
    np.save(images, photographs.contiguous().numpy())
    weights = original("efficientnet_lite0", PRETRAINED["efficientnet_lite0"])
    subprocess.run([oracle_python, "-c", ORACLE, weights, images, logits], check=True)
    wanted = torch.from_numpy(np.load(logits))
    network = create("efficientnet_lite0", weights="pretrained").eval()
    spread = (wanted.max() - wanted.min()).item()
    for memory_format in (torch.contiguous_format, torch.channels_last):
        network = network.to(memory_format=memory_format)
        with torch.no_grad():
            unwatched = network(photographs.contiguous(memory_format=memory_format))
        watched = network(photographs.contiguous(memory_format=memory_format)).detach()
        for found in (unwatched, watched):  # the two roads of uneven padding
            assert (found - wanted).abs().max().item() <= 1e-4 * spread
            assert torch.equal(found.argmax(1), wanted.argmax(1))
