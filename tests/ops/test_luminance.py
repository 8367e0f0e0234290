"""Luma of floats is that of bytes."""

import numpy as np
import torch

from striate.ops.luminance import luma
from striate.pictures.channels import to_channels


def test_luma_is_that_of_bytes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    floats = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    for channels in (3, 1):
        exact = luma(floats[:, :channels], channels)[0, 0].mul(255).numpy()
        off = np.abs(exact - to_channels(pixels[:, :, :channels], "luma")[:, :, 0])
        assert off.max() < 0.502  # rounded in fixed point of 16 bits
