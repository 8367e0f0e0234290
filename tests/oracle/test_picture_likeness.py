"""PSNR and SSIM are those of torchmetrics and of scikit-image."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.tasks.upscale_figures import measured, psnr, ssim
from tests.oracle.conftest import Oracle

pytestmark = pytest.mark.oracle
PROGRAM = Path(__file__).with_name("picture_likeness.py")


def pairs(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Luma of real photographs beside what bicubic interpolation makes of a half, a third, a quarter; and noise."""
    rng = np.random.default_rng(0)
    one, other = [], []
    for path in sorted((shared_data / "flowers" / "roses").glob("*.jpg"))[:4]:
        with Image.open(path) as image:
            whole = image.convert("RGB").resize((120, 96))
        for factor in (2, 3, 4):
            small = whole.resize((120 // factor, 96 // factor), Image.Resampling.BICUBIC)
            again = small.resize(whole.size, Image.Resampling.BICUBIC)
            both = (measured(np.asarray(each), 4)[0] for each in (again, whole))
            for side, plane in zip((one, other), both, strict=True):
                side.append(plane)
    for _ in range(3):
        one.append(rng.integers(0, 256, one[0].shape).astype(np.uint8))
        other.append(rng.integers(0, 256, one[0].shape).astype(np.uint8))
    return np.stack(one), np.stack(other)


def test_figures_are_those_of_others(oracle: Callable[[Path], Oracle], shared_data: Path, tmp_path: Path) -> None:
    one, other = pairs(shared_data)
    np.savez(tmp_path / "pairs.npz", one=one, other=other)
    oracle(PROGRAM).ask(tmp_path / "pairs")
    wanted = json.loads((tmp_path / "pairs.json").read_text())
    assert len(wanted) == len(one) == 15
    for found, true, said in zip(one, other, wanted, strict=True):
        ours = [psnr(found[None], true[None]), ssim(found[None], true[None])]
        assert ours == pytest.approx(said["skimage"], abs=1e-7)
        assert ours == pytest.approx(said["torchmetrics"], abs=1e-5)
