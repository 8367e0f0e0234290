from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.base.errors import DataError
from striate.pictures.geometry import Crop, Flip, Geometry, Pad, Resize, Rotate, Shrunk


@st.composite
def geometries(draw, rotate=False, resample=True, most=300):
    sides = st.integers(1, most)
    height, width = draw(sides), draw(sides)
    geometry = Geometry(height, width)
    if resample and draw(st.booleans()):
        factor = draw(st.sampled_from([2, 4, 8]))
        geometry = geometry.then(Shrunk(factor, draw(st.booleans()), draw(st.booleans())))
    for _ in range(draw(st.integers(0, 5))):
        height, width = geometry.output_size
        kinds = ["crop", "pad", "flip"] + ["resize"] * resample + ["rotate"] * rotate
        kind = draw(st.sampled_from(kinds))
        if kind == "crop":
            rows, columns = draw(st.integers(1, height)), draw(st.integers(1, width))
            top, left = draw(st.integers(0, height - rows)), draw(st.integers(0, width - columns))
            step = Crop(top, left, rows, columns)
        elif kind == "resize":
            interpolation = draw(st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]))
            step = Resize(draw(sides), draw(sides), interpolation)
        elif kind == "pad":
            step = Pad(*(draw(st.integers(0, 20)) for _ in range(4)), fill=draw(st.integers(0, 255)))
        elif kind == "rotate":
            step = Rotate(draw(st.floats(-180, 180)))
        else:
            step = Flip()
        geometry = geometry.then(step)
    return geometry


@given(geometries(), st.data())
def test_boxes_come_back(geometry, data):
    x = sorted(data.draw(st.lists(st.floats(0, geometry.width), min_size=2, max_size=2)))
    y = sorted(data.draw(st.lists(st.floats(0, geometry.height), min_size=2, max_size=2)))
    boxes = np.array([[x[0], y[0], x[1], y[1]], [0, 0, geometry.width, geometry.height]])
    there = geometry.boxes(boxes)
    assert there.dtype == np.float64 and there.shape == (2, 4)
    assert (there[:, 2:] >= there[:, :2]).all()
    back = geometry.undo_boxes(there)
    assert back.dtype == np.float64
    assert np.abs(back - boxes).max() < 1e-6
    assert (geometry.boxes(boxes.astype(np.int64)) == geometry.boxes(np.trunc(boxes).astype(np.float32))).all()


@given(geometries(rotate=True), st.integers(0, 254))
def test_masks_of_one_class_come_back_as_that_class_or_unknown(geometry, value):
    mask = np.full((geometry.height, geometry.width), value, np.uint8)
    there = geometry.mask(mask)
    assert there.shape == geometry.output_size
    assert set(np.unique(there)) <= {value, 255}
    back = geometry.undo_mask(there)
    assert back.shape == mask.shape and back.dtype == np.uint8
    assert set(np.unique(back)) <= {value, 255}


@given(geometries(resample=False))
def test_exactly_the_pixels_that_were_seen_come_back_known(geometry):
    back = geometry.undo_mask(geometry.mask(np.zeros((geometry.height, geometry.width), np.uint8)))
    y, x = np.mgrid[: geometry.height, : geometry.width] + 0.5
    centres = np.stack([x.ravel(), y.ravel()] * 2, axis=1).astype(np.float32)
    seen = np.ones(len(centres), bool)
    for count in range(1, len(geometry.steps) + 1):  # inside after every step
        part = Geometry(geometry.height, geometry.width, geometry.steps[:count])
        height, width = part.output_size
        x, y = part.boxes(centres)[:, :2].T
        seen &= (x > 0) & (x < width) & (y > 0) & (y < height)
    assert ((back.ravel() == 0) == seen).all()


@given(geometries(rotate=True), st.integers(1, 5))
def test_images_have_the_size_that_was_promised(geometry, channels):
    height, width = geometry.height, geometry.width
    if geometry.steps and isinstance(geometry.steps[0], Shrunk):
        height, width = geometry.steps[0].size(height, width)
    image = geometry.image(np.zeros((height, width, channels), np.uint8))
    assert image.shape == (*geometry.output_size, channels)
    assert image.dtype == np.uint8


def spot(height, width, box):
    """A black picture with a white box, and its mask."""
    image = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = 255
    return image, (image[:, :, 0] > 0).astype(np.uint8)


@pytest.mark.parametrize(
    "steps",
    [
        (Flip(),),
        (Crop(10, 20, 60, 90),),
        (Pad(3, 4, 50, 6),),
        (Resize(160, 60),),
        (Rotate(90.0),),
        (Rotate(-30.0),),
        (Rotate(180.0),),
        (Crop(5, 5, 90, 100), Rotate(20.0), Flip(), Resize(200, 240, "nearest"), Pad(1, 2, 3, 4)),
    ],
)
def test_box_and_mask_follow_the_pixels(steps):
    box = (60, 30, 90, 50)
    image, mask = spot(100, 120, box)
    geometry = Geometry(100, 120, steps)
    moved = geometry.image(image)
    found = moved[:, :, 0] > 127
    rows, columns = np.nonzero(found)
    expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(geometry.boxes(np.array([box], np.float32))[0] - expected).max() <= 1.5
    agreement = (geometry.mask(mask) == 1) == found
    assert agreement.mean() > 0.99


def test_rotation_is_counter_clockwise_and_fills_its_corners():
    image, _ = spot(100, 100, (90, 45, 100, 55))  # at three o'clock
    turned = Rotate(90.0).image(image)
    assert turned[5, 50].tolist() == [255, 255, 255]  # now at twelve
    assert Rotate(45.0, fill=7).image(image)[0, 0].tolist() == [7, 7, 7]
    assert Rotate(45.0, fill=7).image(image[:, :, :1])[0, 0].tolist() == [7]
    assert Rotate(45.0).mask(np.zeros((100, 100), np.uint8))[0, 0] == 255


def test_a_turned_box_contains_what_was_turned():
    geometry = Geometry(100, 100, (Rotate(33.0),))
    box = np.array([[40, 30, 60, 70]], np.float32)
    back = geometry.undo_boxes(geometry.boxes(box))
    assert (back[:, :2] <= box[:, :2] + 1e-3).all() and (back[:, 2:] >= box[:, 2:] - 1e-3).all()


def test_crop_and_flip_are_views_and_an_idle_resize_costs_nothing():
    image = np.zeros((50, 60, 3), np.uint8)
    moved = Geometry(50, 60).then(Crop(1, 2, 30, 40), Resize(30, 40), Flip()).image(image)
    assert np.shares_memory(moved, image)


def test_no_boxes_are_still_boxes():
    geometry = Geometry(50, 60).then(Crop(0, 0, 20, 20), Flip(), Rotate(5.0), Resize(9, 9), Pad(1, 1, 1, 1))
    none = np.zeros((0, 4), np.float32)
    assert geometry.boxes(none).shape == geometry.undo_boxes(none).shape == (0, 4)


def test_what_does_not_fit_is_our_own_fault_and_loud():
    with pytest.raises(AssertionError, match=r"a fault of ours: .* does not lie inside 10 x 10"):
        Geometry(10, 10).then(Crop(5, 0, 6, 3)).output_size  # noqa: B018
    with pytest.raises(AssertionError, match="a fault of ours: expected 10 x 10 pixels, not 9 x 10 x 3"):
        Geometry(10, 10).image(np.zeros((9, 10, 3), np.uint8))
    with pytest.raises(AssertionError, match="expected 5 x 5"):
        Geometry(10, 10, (Shrunk(2),)).image(np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(AssertionError, match="expected 5 x 5 pixels, not 10 x 10"):
        Geometry(10, 10, (Shrunk(2),)).undo_mask(np.zeros((10, 10), np.uint8))


@pytest.mark.parametrize("shape", [(9, 10), (10, 20), (20, 10, 1)])
def test_a_mask_of_another_size_than_its_photograph_can_be_mended(shape):
    with pytest.raises(DataError, match=r"mask's shape is .*, expected .* 20 x 10 pixels \(height x width"):
        Geometry(20, 10, (Shrunk(2),)).mask(np.zeros(shape, np.uint8))


def test_a_reduced_photograph_s_edge_lies_where_the_factor_says():
    boxes = np.array([[960, 0, 1001, 500]])
    assert Geometry(500, 1001).then(Shrunk(8)).boxes(boxes).tolist() == [[120, 0, 125.125, 62.5]]
    # Turned by the camera, the first pixel covers one column of the photograph, the first row four rows.
    assert Geometry(500, 1001).then(Shrunk(8, True, True)).boxes(boxes).tolist() == [[120.875, 0.5, 126, 63]]


def source(step, y, x, height, width):
    """The pixel of what went in, ``height`` x ``width``, that the middle of the pixel y, x lies in; None outside."""
    half = Fraction(1, 2)
    match step:
        case Resize():
            return (y + half) * height // step.height, (x + half) * width // step.width
        case Shrunk():
            down, across = first(step, height, width)
            y, x = ((place + half) * step.factor - lacking for place, lacking in ((y, down), (x, across)))
            return min(max(y // 1, 0), height - 1), min(max(x // 1, 0), width - 1)
        case Crop():
            return y + step.top, x + step.left
        case Pad():
            y, x = y - step.top, x - step.left
            return (y, x) if 0 <= y < height and 0 <= x < width else None
        case Flip():
            return y, width - 1 - x


def place(step, y, x, height, width):
    """The way back of `source`: where the pixel y, x of what went in is to be looked up; None where it was not seen."""
    half = Fraction(1, 2)
    match step:
        case Resize():
            return (y + half) * step.height // height, (x + half) * step.width // width
        case Shrunk():
            down, across = first(step, height, width)
            return (y + down) // step.factor, (x + across) // step.factor
        case Crop():
            y, x = y - step.top, x - step.left
            return (y, x) if 0 <= y < step.height and 0 <= x < step.width else None
        case Pad():
            return y + step.top, x + step.left
        case Flip():
            return y, width - 1 - x


def first(step, height, width):
    """What the first row and column lack of a whole factor."""
    down, across = ((step.factor - side % step.factor) % step.factor for side in (height, width))
    return down if step.top else 0, across if step.left else 0


@settings(max_examples=50)
@given(geometries(most=25), st.randoms(use_true_random=False))
def test_masks_against_a_slow_loop(geometry, random):
    mask = np.array([[random.randrange(255) for _ in range(geometry.width)] for _ in range(geometry.height)], np.uint8)
    sizes = [Geometry(geometry.height, geometry.width, geometry.steps[:n]) for n in range(len(geometry.steps))]
    moves = [(step, *size.output_size) for step, size in zip(geometry.steps, sizes, strict=True)]
    there = geometry.mask(mask)
    for y, x in np.ndindex(there.shape):
        at = (y, x)
        for step, height, width in reversed(moves):
            at = at and source(step, *at, height, width)
        assert there[y, x] == (mask[at] if at else 255)
    back = geometry.undo_mask(there)
    for y, x in np.ndindex(mask.shape):
        at = (y, x)
        for step, height, width in moves:
            at = at and place(step, *at, height, width)
        assert back[y, x] == (there[at] if at else 255)
