"""EfficientNet-Lite0's own kernels on a real photograph: TensorFlow's SAME, and what symmetric padding makes of it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from striate import ops
from striate.layers import Conv2d
from striate.ops import to_tensorflow
from striate.pictures.decode import decode
from striate.weights import PRETRAINED, create
from tests.oracle.conftest import Oracle

PROGRAM = Path(__file__).with_name("tensorflow_windows.py")


def strided_windows(network: nn.Module, photograph: torch.Tensor) -> list[tuple[Conv2d, torch.Tensor]]:
    """Every convolution of the network with a stride, and what it reads when the network looks at the photograph."""
    seen: list[tuple[Conv2d, torch.Tensor]] = []
    for module in network.modules():
        if isinstance(module, Conv2d) and module.stride != 1:
            module.register_forward_pre_hook(lambda module, inputs: seen.append((module, inputs[0].clone())))
    with torch.no_grad():
        network(photograph)
    return list(seen)  # the hooks go on writing


@pytest.mark.oracle
def test_the_real_kernels_see_what_they_saw_in_tensorflow(oracle: Callable[[Path], Oracle], tmp_path: Path) -> None:
    sklearn = pytest.importorskip("sklearn")
    preprocess = PRETRAINED["efficientnet_lite0"].preprocess
    picture = decode(Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg", "rgb")
    geometry = preprocess.geometry(picture.geometry)
    pixels = torch.from_numpy(geometry.image(picture.pixels).copy()).permute(2, 0, 1)
    network = create("efficientnet_lite0", weights="pretrained").eval()
    seen = strided_windows(network, preprocess.normalise(pixels[None]))
    assert [(window.kernel_size[0], window.groups > 1) for window, _ in seen] == [
        *((3, False), (3, True), (5, True), (3, True), (5, True)),
    ]
    for number, (window, x) in enumerate(seen):
        np.save(tmp_path / f"x{number}.npy", to_tensorflow(x, "NHWC").contiguous().numpy())
        weight = window.weight.detach()
        alone = to_tensorflow(weight, "HWCM", channels=window.groups) if window.groups > 1 else None
        theirs = to_tensorflow(weight, "HWIO") if alone is None else alone
        np.save(tmp_path / f"w{number}.npy", theirs.contiguous().numpy())
    (tmp_path / "windows.json").write_text(json.dumps([[window.stride, window.groups > 1] for window, _ in seen]))
    oracle(PROGRAM).ask("windows", tmp_path)
    for number, (window, x) in enumerate(seen):
        wanted = ops.from_tensorflow(torch.from_numpy(np.load(tmp_path / f"y{number}.npy")), "NHWC")
        spread = (wanted.max() - wanted.min()).item()
        with torch.no_grad():
            same = window(x)
        watched = window(x).detach()
        for found in (same, watched):
            assert (found - wanted).abs().max().item() <= 1e-4 * spread
        window.padding = "symmetric"
        with torch.no_grad():
            symmetric = window(x)
        assert symmetric.shape == wanted.shape
        assert (symmetric - wanted).abs().max().item() > 0.1 * spread
