"""Maps made larger, against weights written out as their definition has them; pictures, against Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from striate.ops.enlarging import add_enlarged, bicubic, enlarge_bilinear, shrunk, size_of


def between_middles(places: int, side: int, stride: int) -> torch.Tensor:
    """``[side, places]``: how much of each place a pixel has, which lies between the middles of two."""
    pixels = torch.arange(side, dtype=torch.float64)
    at = ((pixels + 0.5) / stride - 0.5).clamp(0, places - 1)
    return (1 - (at[:, None] - torch.arange(places)).abs()).clamp(min=0)


@pytest.mark.parametrize("stride", [1, 2, 3, 8])
@pytest.mark.parametrize(("places", "lost"), [((3, 4), (0, 0)), ((1, 2), (0, 1)), ((4, 3), (-1, -1)), ((2, 2), (2, 0))])
def test_each_pixel_lies_between_the_middles_of_places(stride, places, lost):
    sides = [count * stride + more for count, more in zip(places, lost, strict=True)]
    coarse = torch.randn(2, 5, *places, dtype=torch.float64)
    found = enlarge_bilinear(coarse, torch.zeros(2, 0, *sides), stride)
    down, across = (between_middles(*each, stride) for each in zip(places, sides, strict=True))
    torch.testing.assert_close(found, torch.einsum("hi,ncij,wj->nchw", down, coarse, across))


@pytest.mark.parametrize("size", [(4, 6), (3, 5)])
def test_maps_stay_channels_last(size):
    coarse = torch.randn(2, 3, 2, 3).contiguous(memory_format=torch.channels_last)
    assert enlarge_bilinear(coarse, torch.zeros(2, 0, *size), 2).is_contiguous(memory_format=torch.channels_last)


def test_a_size_costs_nothing():
    size = size_of(torch.zeros(2, 3, 5, 7))
    assert size.shape == (2, 0, 5, 7) and size.numel() == 0
    assert torch.cat([size, size]).shape == (4, 0, 5, 7)


@pytest.mark.parametrize("sides", [(4, 6), (5, 7), (7, 5)])
def test_added_is_the_nearest_place(sides):
    fine, coarse = torch.randn(1, 2, *sides), torch.randn(1, 2, *[-(-side // 2) for side in sides])
    rows, columns = (torch.arange(side) // 2 for side in sides)
    torch.testing.assert_close(add_enlarged(fine, coarse), fine + coarse[:, :, rows][:, :, :, columns])


def test_a_picture_of_one_place_is_everywhere_the_same():
    found = enlarge_bilinear(torch.tensor([[[[2.5]]]]), torch.zeros(1, 0, 3, 2), 4)
    assert torch.equal(found, torch.full((1, 1, 3, 2), 2.5))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_shrinking_is_pillows_to_rounding(factor: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (61, 50, 3)).astype(np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    found = shrunk(images, factor)[0].permute(1, 2, 0).numpy()
    height, width = 61 // factor, 50 // factor
    whole = Image.fromarray(pixels[: height * factor, : width * factor])
    wanted = np.asarray(whole.resize((width, height), Image.Resampling.BICUBIC))
    off = np.abs(found.astype(int) - wanted)
    assert off.max() <= 1 and (off > 0).mean() < 0.01


def test_enlarging_is_pillows_but_for_what_that_rounds_and_clips() -> None:
    """Smooth colours overshoot nowhere, so that nothing is clipped between columns and rows."""
    rows, columns = np.mgrid[0:20, 0:24]
    smooth = (60 + 4 * rows + 3 * columns).astype(np.uint8)[:, :, None].repeat(3, 2)
    found = bicubic(torch.from_numpy(smooth).permute(2, 0, 1)[None].float(), 3)[0].permute(1, 2, 0).numpy()
    wanted = np.asarray(Image.fromarray(smooth).resize((72, 60), Image.Resampling.BICUBIC))
    assert np.abs(found - wanted).max() <= 1.01


@pytest.mark.parametrize(("stride", "sides"), [(2, (6, 10)), (2, (7, 9)), (3, (9, 4)), (4, (5, 13)), (8, (33, 8))])
def test_gradients_of_enlarging_are_torchs(stride, sides):
    places = [-(-side // stride) for side in sides]
    coarse = torch.randn(2, 3, *places, generator=torch.Generator().manual_seed(0))
    wanted, found = (coarse.clone().requires_grad_() for _ in range(2))
    large = F.interpolate(wanted, scale_factor=float(stride), mode="bilinear")[:, :, : sides[0], : sides[1]]
    enlarged = enlarge_bilinear(found, torch.zeros(2, 0, *sides), stride)
    assert torch.equal(enlarged, large)
    given = torch.randn(large.shape, generator=torch.Generator().manual_seed(1))
    large.backward(given)
    enlarged.backward(given)
    assert torch.allclose(found.grad, wanted.grad, rtol=1e-5, atol=1e-6)
