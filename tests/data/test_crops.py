"""Crops of a size of their own, and windows that show a place of a class that was drawn."""

import numpy as np
import pytest

from striate.base.errors import RecipeError
from striate.base.fields import plain
from striate.data.augmentation import DRAWS, Augmentation
from striate.data.loading import Loader
from striate.data.records import ArrayHandle, Record
from striate.data.targets import Boxes, ClassIndex, Mask
from striate.pictures.geometry import Geometry, Shrunk
from striate.pictures.preprocess import Preprocess

PREPROCESS = Preprocess(size=(40, 60), resize="letterbox")


@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.3, 2.5)])
def test_crops_have_their_size_and_are_parts_of_the_picture_at_its_scale(scale):
    augmentation = Augmentation(crop=(1.0, 1.0), aspect=(1.0, 1.0), scale=scale, crop_size=(24, 16), flip=False)
    factors = []
    for drawn in np.random.default_rng(0).random((200, DRAWS)):
        geometry = augmentation.geometry(Geometry(80, 120), PREPROCESS, drawn)
        assert geometry.output_size == (24, 16) == augmentation.size(PREPROCESS)
        left, top, right, bottom = geometry.boxes(np.array([[0.0, 0, 120, 80]]))[0]
        factors.append((right - left) / 60)
        assert factors[-1] == pytest.approx((bottom - top) / 40, rel=0.15)
    assert min(factors) == pytest.approx(scale[0], rel=0.15) and max(factors) == pytest.approx(scale[1], rel=0.15)


def masked(number, size=(30, 50)):
    """A picture of noise whose mask has one pixel of class 2 in ground of 0, and void."""
    random = np.random.default_rng(number)
    mask = np.zeros(size, np.uint8)
    mask[:5] = 255
    mask[random.integers(5, size[0]), random.integers(0, size[1])] = 2
    pixels = random.integers(0, 255, (1, *size, 3)).astype(np.uint8)
    return Record(ArrayHandle(pixels, 0), Mask(mask), bytes([number]) * 32, str(number))


def shown(augmentation, epochs=20):
    """The part of the crops that show class 2, and the crops."""
    loader = Loader([masked(at) for at in range(10)], PREPROCESS, batch_size=5, augmentation=augmentation, shuffle=True)
    targets = [target.indices() for epoch in range(epochs) for batch in loader.epoch(epoch) for target in batch.targets]
    return np.mean([(each == 2).any() for each in targets]), targets


def test_a_balanced_crop_shows_each_class_of_its_picture_as_often():
    settings = {"crop": (1.0, 1.0), "crop_size": (10, 10), "flip": True}
    plainly, targets = shown(Augmentation(**settings))
    assert {each.shape for each in targets} == {(10, 10)} and plainly < 0.15
    rarely, _ = shown(Augmentation(**settings, crop_balance=0.5))
    always, _ = shown(Augmentation(**settings, crop_balance=1.0))
    # One of two classes is drawn, and of the other's crops a few show it, too.
    assert 0.25 < rarely < 0.4 and 0.5 < always < 0.65
    again, _ = shown(Augmentation(**settings, crop_balance=1.0))
    assert again == always


def test_a_windows_place_is_in_it_wherever_it_lies():
    random = np.random.default_rng(1)
    for changes in ({"crop": (0.1, 0.4)}, {"crop": (1.0, 1.0), "scale": (0.5, 3.0)}):
        augmentation = Augmentation(flip=True, **changes)
        for _ in range(200):
            place = tuple(random.random(2) * [121, 83])
            start = Geometry(83, 121).then(Shrunk(2))
            geometry = augmentation.geometry(start, PREPROCESS, random.random(DRAWS), place=place)
            x, y = geometry.boxes(np.array([place * 2]))[0, :2]
            rows, columns = geometry.output_size
            assert -0.01 <= x <= columns + 0.01 and -0.01 <= y <= rows + 0.01


def test_places_are_drawn_by_class_and_then_among_those_of_the_class():
    mask = np.full((4, 5), 255, np.uint8)
    mask[0, :3], mask[2, 4] = 7, 1
    draws = [0.0, 0.3, 0.6, 0.99]
    found = {(c, d): Mask(mask).place(c, d) for c in draws for d in draws}
    assert {found[c, d] for c in draws[:2] for d in draws} == {(4.5, 2.5)}
    assert [found[0.99, d] for d in draws] == [(0.5, 0.5), (0.5, 0.5), (1.5, 0.5), (2.5, 0.5)]
    assert Mask(np.full((2, 2), 255, np.uint8)).place(0.5, 0.5) is None
    none = np.zeros(3, bool)
    boxes = Boxes(np.array([[0.0, 0, 4, 2], [10, 10, 20, 20], [0, 0, 2, 2]]), np.array([3, 0, 3]), none, none)
    assert boxes.place(0.2, 0.9) == (15, 15) and boxes.place(0.7, 0.0) == (2, 1) and boxes.place(0.7, 0.9) == (1, 1)
    assert Boxes(np.zeros((0, 4)), np.zeros(0, int), none[:0], none[:0]).place(0.1, 0.1) is None
    assert ClassIndex(3).place(0.1, 0.1) is None


@pytest.mark.parametrize(
    "change",
    [
        {"crop_size": (8, 8)},  # beside the usual random window
        {"crop": (1.0, 1.0), "crop_size": (8, 8), "multi_scale": (0.5, 1.0)},
        {"crop_balance": 1.5},
    ],
)
def test_what_contradicts_itself_is_refused(change):
    with pytest.raises(RecipeError, match=r"augmentation: .*crop"):
        Augmentation(**change)


def test_recipes_of_before_are_hashed_as_before():
    assert not {"crop_size", "crop_balance"} & plain(Augmentation()).keys()


def test_the_middles_of_rows_and_columns_lie_where_boxes_say():
    geometry = PREPROCESS.geometry(Geometry(31, 77).then(Shrunk(2, top=True)))
    down, across = geometry.positions()
    x, y = np.meshgrid(np.arange(77) + 0.5, np.arange(31) + 0.5)
    boxes = geometry.boxes(np.stack([x, y, x, y], -1).reshape(-1, 4))
    assert np.allclose(boxes[:, 1].reshape(31, 77), down[:, None]) and np.allclose(boxes[:, 0].reshape(31, 77), across)
