"""Resampling: against the sums written out, against Pillow, and against torch itself without vector instructions."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate.pictures.resampling import resample

PILLOWS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SIDES = st.integers(1, 40)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """Slopes that no filter overshoots, so that nothing is cut off at 0 or 255."""
    y, x = np.mgrid[:height, :width]
    bands = (60 + 130 * y / height, 60 + 130 * x / width, 125 + 60 * np.sin(y / 17) * np.cos(x / 23))
    return np.rint(np.stack(bands, axis=2)).astype(np.uint8)


def weights(before: int, after: int, interpolation: str) -> np.ndarray:
    """``[after, before]``: how much of each pixel goes into each new one (Keys 1981 with a = -1/2 for bicubic)."""
    scale = before / after
    wide, reach = max(scale, 1.0), 1 if interpolation == "bilinear" else 2
    matrix = np.zeros((after, before))
    for row in range(after):
        centre = (row + 0.5) * scale
        low, high = max(int(centre - reach * wide + 0.5), 0), min(int(centre + reach * wide + 0.5), before)
        distance = np.abs(np.arange(low, high) + 0.5 - centre) / wide
        if interpolation == "bilinear":
            own = np.maximum(1 - distance, 0)
        else:
            near = 1.5 * distance**3 - 2.5 * distance**2 + 1
            far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
            own = np.where(distance < 1, near, np.where(distance < 2, far, 0))
        matrix[row, low:high] = own / own.sum()
    return matrix


def exact(pixels: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    down, across = (
        weights(before, after, interpolation) for before, after in ((pixels.shape[0], height), (pixels.shape[1], width))
    )
    return np.einsum("ih,hwc,jw->ijc", down, pixels.astype(np.float64), across, optimize=True)


def in_two_passes(pixels: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """Rows, then columns, with bytes in between."""
    there = pixels
    for axis, after in ((1, width), (0, height)):
        matrix = weights(there.shape[axis], after, interpolation)
        moved = np.moveaxis(np.tensordot(matrix, there.astype(np.float64), (1, axis)), 0, axis)
        there = np.clip(np.floor(moved + 0.5), 0, 255).astype(np.uint8)
    return there


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(["bilinear", "bicubic"]), st.integers(0, 2**32 - 1))
def test_the_sums_written_out(height: int, width: int, rows: int, columns: int, interpolation: str, seed: int) -> None:
    """Fixed point may round a half the other way, in one pass or both; sizes like 3 to 4 have many halves."""
    pixels = drawn(height, width, 3, seed=seed)
    found = resample(pixels, rows, columns, interpolation)  # type: ignore[arg-type]
    assert found.dtype == np.uint8 and found.shape == (rows, columns, 3)
    apart = np.abs(found.astype(int) - in_two_passes(pixels, rows, columns, interpolation))
    assert apart.max() <= 2 and (apart > 0).sum() <= 8 + 0.2 * apart.size


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(224, 224), (180, 320), (64, 48), (33, 401)])
def test_as_near_to_the_exact_sums_as_pillow(interpolation: str, size: tuple[int, int]) -> None:
    pixels = smooth(231, 317)
    wanted = exact(pixels, *size, interpolation)
    pillows = np.asarray(Image.fromarray(pixels).resize(size[::-1], PILLOWS[interpolation]))
    errors = resample(pixels, *size, interpolation) - wanted  # type: ignore[arg-type]
    assert np.abs(errors).max() <= 1.2 and abs(errors.mean()) < 0.03
    assert np.sqrt((errors**2).mean()) <= 1.05 * np.sqrt(((pillows - wanted) ** 2).mean())


@pytest.mark.parametrize("interpolation", PILLOWS)
@pytest.mark.parametrize("bands", [1, 3, 4, 5])
def test_everything_else_is_pillows(interpolation: str, bands: int) -> None:
    pixels = drawn(50, 60, bands)
    pillows = [
        np.asarray(Image.fromarray(np.ascontiguousarray(pixels[:, :, band])).resize((20, 33), PILLOWS[interpolation]))
        for band in range(bands)
    ]
    found = resample(pixels, 33, 20, interpolation)  # type: ignore[arg-type]
    most = 2 if bands == 3 and interpolation in ("bilinear", "bicubic") else 0
    assert np.abs(found.astype(int) - np.stack(pillows, axis=2)).max() <= most


def test_views_and_pixels_of_the_cache_are_as_good_as_any() -> None:
    """Warnings are errors: torch warns of arrays that it may not write to."""
    pixels = drawn(60, 70, 3)
    before = pixels.copy()
    pixels.setflags(write=False)
    for view in (pixels, pixels[10:50, 5:45], pixels[:, ::-1], pixels[::2], pixels.transpose(1, 0, 2)):
        found = resample(view, 24, 32, "bicubic")
        assert np.array_equal(found, resample(np.ascontiguousarray(view).copy(), 24, 32, "bicubic"))
        assert found.flags.c_contiguous
    assert np.array_equal(pixels, before)


def test_far_smaller_and_far_larger() -> None:
    tall = np.full((9_000, 2, 3), 200, np.uint8)
    for interpolation in ("bilinear", "bicubic"):
        assert np.abs(resample(tall, 1, 1, interpolation).astype(int) - 200).max() <= 1  # type: ignore[arg-type]
        assert (resample(tall[:1, :1], 300, 2_000, interpolation) == 200).all()  # type: ignore[arg-type]


PROGRAM = """
import hashlib, numpy, torch
from striate.pictures.resampling import resample
assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"
pixels = numpy.random.default_rng(0).integers(0, 256, (97, 120, 3), dtype=numpy.uint8)
found = [resample(pixels, *size, kind) for size in ((224, 224), (31, 150)) for kind in ("bilinear", "bicubic")]
print(hashlib.sha256(b"".join(map(numpy.ndarray.tobytes, found))).hexdigest())
"""


def test_the_same_bytes_without_vector_instructions() -> None:
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    plain = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    pixels = drawn(97, 120, 3)
    found = [resample(pixels, *size, kind) for size in ((224, 224), (31, 150)) for kind in ("bilinear", "bicubic")]  # type: ignore[misc]
    assert plain.stdout.strip() == hashlib.sha256(b"".join(map(np.ndarray.tobytes, found))).hexdigest()
