"""Augmentation: windows of the right size, targets that follow, colours against plain arithmetic."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from striate.base.errors import RecipeError
from striate.data.augmentation import DRAWS, NO_AUGMENTATION, Augmentation
from striate.pictures.geometry import Crop, Geometry, Resize, Shrunk
from striate.pictures.preprocess import Preprocess

DRAWN = arrays(np.float64, DRAWS, elements=st.floats(0, 1, exclude_max=True))
RULES = st.sampled_from(["stretch", "crop", "letterbox"])
SIDES = st.integers(1, 300)
UNMOVED = Augmentation(crop=(1.0, 1.0), flip=False)


def draws(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(DRAWS)


def window(augmentation: Augmentation, height: int, width: int, drawn: np.ndarray, size: tuple[int, int]) -> Crop:
    preprocess = Preprocess(size=size)
    (crop,) = (
        step
        for step in augmentation.geometry(Geometry(height, width), preprocess, drawn).steps
        if isinstance(step, Crop)
    )
    return crop


@given(SIDES, SIDES, st.integers(8, 40), st.integers(8, 40), RULES, st.integers(0, 3), DRAWN)
def test_every_picture_comes_out_at_the_size_asked_for(
    height: int, width: int, rows: int, columns: int, rule: str, border: int, drawn: np.ndarray
) -> None:
    preprocess = Preprocess(size=(rows, columns), resize=rule, border=border)  # type: ignore[arg-type]
    everything = Augmentation(flip=True, shift=2, rotation=10, colour=0.3)
    pixels = np.zeros((height, width, 3), np.uint8)
    for augmentation in (everything, replace(everything, crop=(1.0, 1.0)), NO_AUGMENTATION):
        geometry = augmentation.geometry(Geometry(height, width), preprocess, drawn)
        assert geometry.output_size == (rows, columns)
        assert augmentation.colour_image(geometry.image(pixels), drawn).shape == (rows, columns, 3)


@given(st.integers(50, 400), st.integers(50, 400), DRAWN, st.sampled_from([(64, 64), (32, 64)]))
def test_windows_keep_area_and_aspect(height: int, width: int, drawn: np.ndarray, size: tuple[int, int]) -> None:
    crop = window(Augmentation(crop=(0.2, 0.9)), height, width, drawn, size)
    assert 0 <= crop.top <= height - crop.height and 0 <= crop.left <= width - crop.width
    slack = 0.5 / min(crop.height, crop.width)  # rounding to whole pixels
    aspect = crop.width / crop.height * size[0] / size[1]
    assert 3 / 4 * (1 - 2.1 * slack) <= aspect <= 4 / 3 * (1 + 2.1 * slack)
    area = crop.height * crop.width / (height * width)
    assert area <= 0.9 * (1 + 2.1 * slack)
    fits = max(3 / 4 * size[1] / size[0], 0.2 * width / height) <= min(4 / 3 * size[1] / size[0], width / height / 0.2)
    if fits and (area < 0.2 * (1 - 2.1 * slack)):
        # smaller than the least share only where no allowed aspect of the drawn area fits
        assert crop.height == height or crop.width == width


def test_area_and_place_are_uniform() -> None:
    generator = np.random.default_rng(1)
    crops = [window(Augmentation(crop=(0.25, 0.75)), 400, 400, generator.random(DRAWS), (32, 32)) for _ in range(4000)]
    areas = np.array([crop.height * crop.width / 160_000 for crop in crops])
    for share, quantile in ((0.1, 0.3), (0.5, 0.5), (0.9, 0.7)):
        assert np.quantile(areas, share) == pytest.approx(quantile, abs=0.015)
    for free in (
        np.array([crop.top / (400 - crop.height) for crop in crops]),
        np.array([crop.left / (400 - crop.width) for crop in crops]),
    ):
        assert free.mean() == pytest.approx(0.5, abs=0.02) and free.min() == 0 and free.max() == 1
    log_aspects = np.array([math.log(crop.width / crop.height) for crop in crops])
    assert log_aspects.mean() == pytest.approx(0, abs=0.01)


def test_a_shrunk_picture_keeps_its_own_size_in_the_geometry() -> None:
    for augmentation in (Augmentation(), NO_AUGMENTATION):
        geometry = augmentation.geometry(Geometry(1000, 800).then(Shrunk(4)), Preprocess(), draws())
        assert (geometry.height, geometry.width, geometry.steps[0]) == (1000, 800, Shrunk(4))


def test_without_a_window_the_evaluation_s_geometry_is_used() -> None:
    preprocess = Preprocess(resize="letterbox")
    assert NO_AUGMENTATION.geometry(Geometry(90, 50), preprocess, draws()) == preprocess.geometry(Geometry(90, 50))


def test_letterbox_and_stretch_keep_the_picture_s_own_aspect() -> None:
    narrow = Augmentation(crop=(0.5, 0.5), aspect=(1.0, 1.0), flip=False)
    for rule in ("letterbox", "stretch"):
        preprocess = Preprocess(size=(50, 50), resize=rule)  # type: ignore[arg-type]
        crop, resize, *_ = narrow.geometry(Geometry(100, 300), preprocess, draws()).steps
        assert isinstance(crop, Crop) and crop.width / crop.height == pytest.approx(3, rel=0.02)
        assert isinstance(resize, Resize) and (resize.height, resize.width) == (
            (16, 50) if rule == "letterbox" else (50, 50)
        )


@given(DRAWN, RULES, st.booleans(), st.integers(0, 5))
def test_targets_follow(drawn: np.ndarray, rule: str, flip: bool, shift: int) -> None:
    """A bright block, and the box around it: after any augmentation the box is still around the block."""
    pixels = np.zeros((120, 160, 1), np.uint8)
    pixels[40:80, 60:120] = 255
    preprocess = Preprocess(channels="grey", mean=(0.0,), scale=(1.0,), size=(100, 100), resize=rule)  # type: ignore[arg-type]
    augmentation = Augmentation(crop=(0.5, 1.0), flip=flip, shift=shift)
    geometry = augmentation.geometry(Geometry(120, 160), preprocess, drawn)
    image = geometry.image(pixels)[:, :, 0]
    crop = next(step for step in geometry.steps if isinstance(step, Crop))
    seen = [max(60, crop.left), max(40, crop.top), min(120, crop.left + crop.width), min(80, crop.top + crop.height)]
    assume(seen[2] - seen[0] > 8 and seen[3] - seen[1] > 8)
    left, top, right, bottom = np.clip(geometry.boxes(np.array([seen], np.float32))[0], 0, 100)
    inside = image[math.ceil(top) + 3 : math.floor(bottom) - 3, math.ceil(left) + 3 : math.floor(right) - 3]
    assert (inside > 128).all()
    outside = image.copy()
    outside[
        max(math.floor(top) - 3, 0) : math.ceil(bottom) + 3, max(math.floor(left) - 3, 0) : math.ceil(right) + 3
    ] = 0
    assert (outside < 128).all()


def test_flip_is_half_of_the_time_and_shift_reaches_both_ends() -> None:
    preprocess = Preprocess(channels="grey", mean=(0.0,), scale=(1.0,), size=(9, 9), resize="stretch", fill=7)
    pixels = np.arange(81, dtype=np.uint8).reshape(9, 9, 1)
    flips, moves = 0, set()
    for seed in range(300):
        image = replace(UNMOVED, flip=True).geometry(Geometry(9, 9), preprocess, draws(seed)).image(pixels)
        flips += bool((image == pixels[:, ::-1]).all())
        assert (image == pixels[:, ::-1]).all() or (image == pixels).all()
        moved = replace(UNMOVED, shift=2).geometry(Geometry(9, 9), preprocess, draws(seed)).image(pixels)[:, :, 0]
        padded = np.pad(pixels[:, :, 0], 2, constant_values=7)
        (found,) = [(y, x) for y in range(5) for x in range(5) if (padded[y : y + 9, x : x + 9] == moved).all()]
        moves.add(found)
    assert 120 < flips < 180 and len(moves) == 25


def test_rotation_turns_both_ways_within_its_limit() -> None:
    angles = [
        replace(UNMOVED, rotation=30).geometry(Geometry(9, 9), Preprocess(), draws(seed)).steps[-1].degrees  # type: ignore[attr-defined]
        for seed in range(200)
    ]
    assert -30 <= min(angles) < -28 and 28 < max(angles) <= 30


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]), st.floats(0, 1))
def test_colours_against_plain_arithmetic(seed: int, channels: int, strength: float) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 7, channels), dtype=np.uint8)
    drawn = draws(seed)
    found = Augmentation(colour=strength).colour_image(pixels, drawn)
    bright, contrast, saturation = 1 + strength * (2 * drawn[8:11] - 1)
    wanted = pixels.astype(np.float64) * bright
    wanted = (wanted - wanted.mean()) * contrast + wanted.mean()
    if channels == 3:
        grey = wanted.mean(axis=2, keepdims=True)
        wanted = (wanted - grey) * saturation + grey
    assert found.dtype == np.uint8 and found.shape == pixels.shape
    assert np.abs(found - np.clip(wanted, 0, 255)).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mirrored_picture_gets_the_same_colours(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, channels), dtype=np.uint8)
    before, augmentation = pixels.copy(), Augmentation(colour=0.5)
    mirrored = augmentation.colour_image(pixels[:, ::-1], draws())
    assert np.array_equal(mirrored, augmentation.colour_image(pixels, draws())[:, ::-1])
    assert np.array_equal(pixels, before)  # it may be the cache's own


def test_bgr_changes_as_rgb_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    augmentation = Augmentation(colour=0.5)
    there = augmentation.colour_image(np.ascontiguousarray(pixels[:, :, ::-1]), draws())
    assert np.array_equal(there[:, :, ::-1], augmentation.colour_image(pixels, draws()))


def test_middle_draws_and_no_strength_leave_colours_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(Augmentation(colour=0.9).colour_image(pixels, np.full(DRAWS, 0.5)), pixels)
    assert Augmentation(colour=0).colour_image(pixels, draws()) is pixels


def test_off() -> None:
    assert NO_AUGMENTATION.off and UNMOVED.off
    changed = [{"crop": (0.5, 1.0)}, {"flip": True}, {"shift": 1}, {"rotation": 1.0}, {"colour": 0.1}]
    assert not any(replace(NO_AUGMENTATION, **change).off for change in changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"crop": (0.0, 1.0)},
        {"crop": (0.9, 0.5)},
        {"crop": (0.5, 1.1)},
        {"aspect": (0.0, 1.0)},
        {"aspect": (2.0, 1.0)},
        {"shift": -1},
        {"rotation": 200.0},
        {"colour": 1.5},
        {"colour": math.nan},
    ],
)
def test_values_out_of_range(change: dict[str, object]) -> None:
    (name,) = change
    with pytest.raises(RecipeError, match=rf"augmentation: {name} = .*; expected"):
        Augmentation(**change)  # type: ignore[arg-type]
