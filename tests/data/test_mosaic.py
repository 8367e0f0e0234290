"""Pictures of other scales, in mosaics, and in batches of other sizes: targets follow, and nothing hangs on workers."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from striate.base.errors import DataError, RecipeError
from striate.data.augmentation import DRAWS, Augmentation
from striate.data.loading import Loader
from striate.data.records import ArrayHandle, Record
from striate.data.targets import Boxes, ClassIndex, Mask
from striate.models import build
from striate.pictures.geometry import UNKNOWN, Geometry
from striate.pictures.preprocess import Preprocess
from striate.recipe import Recipe, Stage, cut, extended
from striate.training.multi_scale import size_of
from striate.training.stages import mosaic_epochs

DRAWN = arrays(np.float64, DRAWS, elements=st.floats(0, 1, exclude_max=True))
PLAIN = Augmentation(crop=(1.0, 1.0), aspect=(1.0, 1.0), flip=False)
GREY = Preprocess(channels="grey", mean=(0.0,), scale=(1.0,), size=(60, 80), resize="letterbox", fill=7)


def block_records(count, target, height=120, width=160):
    """Grey pictures of which each has a bright block, 100 and more, and as its target what ``target`` makes of it."""
    drawn = np.random.default_rng(3)
    pixels = np.full((count, height, width), 50, np.uint8)
    records = []
    for at in range(count):
        left, top = drawn.integers(10, width // 2), drawn.integers(10, height // 2)
        right, bottom = left + drawn.integers(30, width // 2 - 10), top + drawn.integers(30, height // 2 - 10)
        pixels[at, top:bottom, left:right] = 100 + 10 * (at % 15)
        records.append((at, [int(each) for each in (left, top, right, bottom)]))
    content = [(at * 7919 + 1).to_bytes(8, "little").ljust(32, b"x") for at in range(count)]
    return tuple(Record(ArrayHandle(pixels, at), target(at, box), content[at], str(at)) for at, box in records)


def boxed(at, box):
    return Boxes.of([box], [at])


def masked(at, box):
    mask = np.zeros((120, 160), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = at + 1
    return Mask(mask)


def test_a_scaled_picture_is_as_large_as_it_was_told_to_be():
    for factor, seen in ((0.5, (30, 40)), (1.0, (60, 80)), (2.0, (60, 80))):
        crop, resize, pad = (
            dataclasses.replace(PLAIN, scale=(factor, factor * (1 + 1e-12)))
            .geometry(Geometry(120, 160), GREY, np.full(DRAWS, 0.5))
            .steps
        )
        assert (resize.height, resize.width) == seen
        assert (crop.height, crop.width) == ((60, 80) if factor == 2.0 else (120, 160))
        assert pad.size(resize.height, resize.width) == (60, 80)


@given(st.integers(1, 400), st.integers(1, 400), DRAWN, st.sampled_from(["stretch", "crop", "letterbox"]))
def test_a_scaled_picture_lies_anywhere_and_has_the_size_asked_for(height, width, drawn, rule):
    augmentation = Augmentation(crop=(1.0, 1.0), scale=(0.3, 3.0), aspect=(0.5, 2.0))
    preprocess = dataclasses.replace(GREY, resize=rule)
    geometry = augmentation.geometry(Geometry(height, width), preprocess, drawn)
    assert geometry.image(np.zeros((height, width, 1), np.uint8)).shape == (60, 80, 1)
    there = geometry.undo_boxes(geometry.boxes(np.array([[0.0, 0, width, height]])))
    np.testing.assert_allclose(there, [[0, 0, width, height]], atol=1e-6)


@given(seed=st.integers(0, 1000))
def test_boxes_of_mosaics_are_around_what_is_seen_of_their_blocks(seed):
    augmentation = Augmentation(crop=(1.0, 1.0), scale=(0.6, 1.4), mosaic=1.0)
    loader = Loader(block_records(8, boxed), GREY, batch_size=8, seed=seed, augmentation=augmentation, shuffle=True)
    (batch,) = loader.epoch(0)
    for image, target, record in zip(batch.images[:, 0].numpy(), batch.targets, batch.records, strict=True):
        assert len(target) <= 4
        assert record.target.classes[0] in target.classes or len(target) < 4
        for (left, top, right, bottom), index in zip(target.xyxy, target.classes, strict=True):
            inside = image[int(np.ceil(top)) + 2 : int(bottom) - 2, int(np.ceil(left)) + 2 : int(right) - 2]
            assert (inside == 100 + 10 * index).all()


def test_a_mosaic_shows_four_pictures_and_every_bright_pixel_lies_in_a_box():
    augmentation = dataclasses.replace(PLAIN, scale=(0.3, 0.5), mosaic=1.0)
    (batch,) = Loader(block_records(14, boxed), GREY, batch_size=14, augmentation=augmentation).epoch(0)
    kinds = [len(set(target.classes.tolist())) for target in batch.targets]
    assert max(kinds) == 4
    whole = [target for target in batch.targets if len(target) == 4]
    assert whole
    for image, target in zip(batch.images[:, 0].numpy(), batch.targets, strict=True):
        if len(target) < 4:
            continue  # a block of which too little was left is seen, and has no box
        for left, top, right, bottom in target.xyxy:
            image[int(top) - 1 if top else 0 : int(bottom) + 2, int(left) - 1 if left else 0 : int(right) + 2] = 0
        assert image.max() <= 60


def test_masks_of_mosaics_say_what_is_seen():
    augmentation = dataclasses.replace(PLAIN, scale=(0.6, 1.4), mosaic=1.0)
    (batch,) = Loader(block_records(6, masked), GREY, batch_size=6, augmentation=augmentation).epoch(0)
    for image, target in zip(batch.images[:, 0].numpy(), batch.targets, strict=True):
        mask = target.indices()
        assert mask.shape == (60, 80) and len(np.unique(mask[mask != UNKNOWN])) > 2
        right = np.where(mask == UNKNOWN, 7, np.where(mask == 0, 50, 90 + 10 * mask.astype(int)))
        assert (np.abs(image.astype(int) - right) <= 1).mean() > 0.9  # but for edges, which resizing mixes


def test_mosaics_hang_on_nothing_but_the_numbers_drawn():
    augmentation = Augmentation(crop=(1.0, 1.0), scale=(0.6, 1.4), colour=0.3, mosaic=0.5)
    records = block_records(9, boxed)

    def seen(records, workers=0, ahead=True, start=0):
        loader = Loader(
            *(records, GREY),
            batch_size=2,
            seed=4,
            augmentation=augmentation,
            shuffle=True,
            workers=workers,
            ahead=ahead,
            size_of=lambda epoch, batch: (32 * (1 + batch % 3), 64),
        )
        return [
            (tuple(batch.images.shape), batch.images.numpy().tobytes(), [t.xyxy.tolist() for t in batch.targets])
            for epoch in (0, 3)
            for batch in loader.epoch(epoch, start)
        ]

    expected = seen(records)
    assert seen(records, workers=1) == seen(records, workers=2, ahead=False) == seen(records[::-1]) == expected
    assert seen(records, start=2)[:2] == expected[2:4]


def test_mosaics_end_when_they_should_and_are_as_many_as_told():
    records = block_records(40, boxed)
    augmentation = dataclasses.replace(PLAIN, mosaic=0.5)
    loader = Loader(records, GREY, batch_size=40, augmentation=augmentation, mosaic_epochs=2)
    several = [sum(len(target) > 1 for target in next(loader.epoch(epoch)).targets) for epoch in range(4)]
    assert 10 <= several[0] <= 30 and 10 <= several[1] <= 30 and several[2:] == [0, 0]


def test_what_has_one_class_is_put_into_no_mosaic():
    records = block_records(4, lambda at, box: ClassIndex(at))
    with pytest.raises(DataError, match="mosaic puts several pictures into one"):
        Loader(records, GREY, batch_size=4, augmentation=Augmentation(mosaic=1.0))


def test_only_one_of_crop_and_scale_chooses_what_is_seen():
    with pytest.raises(RecipeError, match="both choose what is seen"):
        Augmentation(crop=(0.5, 1.0), scale=(0.5, 1.0))


def test_sizes_of_batches():
    recipe = Recipe(model="resnet18", augment=Augmentation(multi_scale=(0.8, 1.2)))
    network = build("resnet18", classes=2)
    sizes = size_of(recipe, network, Preprocess(size=(320, 640)))
    drawn = [sizes(epoch, batch) for epoch in range(20) for batch in range(20)]
    assert {height for height, _ in drawn} == {256, 288, 320, 352, 384}
    assert all(width == 2 * height for height, width in drawn)
    assert drawn == [sizes(epoch, batch) for epoch in range(20) for batch in range(20)]
    counts = np.bincount([height // 32 for height, _ in drawn])[8:]
    assert counts.min() > 50
    assert size_of(Recipe(model="resnet18"), network, Preprocess()) is None
    with pytest.raises(RecipeError, match="pictures of 28 x 28 only"):
        size_of(recipe, build("fashion_cnn"), Preprocess())
    with pytest.raises(RecipeError, match="no multiple of 32"):
        size_of(recipe, network, Preprocess(size=(48, 48)))
    for side, near in ((1, 27), (48, 40 + 14), (50, 54)):
        said = rf"of {side} pixels? have no .* --size with one has a shorter side of {near}, and --multi-scale 1 1 "
        with pytest.raises(RecipeError, match=said):
            size_of(recipe, network, Preprocess(size=(side, 640)))
        assert size_of(recipe, network, Preprocess(size=(near, 640))) is not None


def test_a_tail_behind_a_run_has_no_mosaics():
    recipe = Recipe(augment=Augmentation(crop=(1.0, 1.0), mosaic=0.5), stages=(Stage(epochs=8, rate=0.1),))
    longer = extended(cut(recipe, 6), 6)
    assert [(stage.epochs, stage.mosaic) for stage in longer.stages] == [(6, True), (6, False)]
    assert mosaic_epochs(recipe) == 6 and mosaic_epochs(longer) == 4
