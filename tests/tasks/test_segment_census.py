"""What masks show, the weights that follow from it, and what is said of classes that few show."""

import math

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data.records import Classes, Record
from striate.data.targets import Mask
from striate.recipe import Recipe
from striate.task_settings import SegmentSettings
from striate.tasks import task_named
from striate.tasks.segment import Segment
from striate.tasks.segment_census import Census
from striate.tasks.task import in_range

CLASSES = Classes(("sky", "road", "car", "moon"))


class Unread:
    """A mask that nobody may read."""

    name = "unread"

    def read(self):
        raise AssertionError("it was read")


def record(*counts, known=True):
    """A mask with so many pixels of each class and five unknown ones; known to the source, or to be read."""
    areas = {index: count for index, count in enumerate(counts) if count}
    pixels = np.repeat([*range(len(counts)), 255], [*counts, 5]).astype(np.uint8)[None]
    target = Mask(Unread(), b"a", None, areas) if known else Mask(pixels)
    return Record(None, target, b"", "a picture")


PICTURES = ((6, 2, 0), (4, 4, 2), (0, 10, 0))


@pytest.mark.parametrize("known", [True, False])
def test_a_census_counts_masks_and_pixels_and_reads_only_what_nobody_knows(known):
    census = Census.of([record(*counts, known=known) for counts in PICTURES], 4)
    assert census == Census((2, 3, 1, 0), (10, 16, 2, 0), (18, 28, 10, 0))


def test_areas_that_are_not_known_are_read():
    target = Mask(np.array([[0, 2, 2, 255]], np.uint8), areas={0: 0, 2: 0})
    assert Census.of([Record(None, target, b"", "")], 3) == Census((1, 0, 1), (1, 0, 2), (3, 0, 3))


def test_balanced_weights_are_median_frequencies():
    census = Census.of([record(*counts) for counts in PICTURES], 4)
    frequencies = [10 / 18, 16 / 28, 2 / 10]
    assert census.balanced == pytest.approx([*(np.median(frequencies) / each for each in frequencies), 1.0])
    assert Census.of([], 2).balanced == (1.0, 1.0)


def test_a_recipe_decides_the_weights_and_a_model_file_keeps_them():
    records = [record(*counts) for counts in PICTURES]
    recipe = Recipe(task="segment", settings=SegmentSettings(dice_weight=0.5, class_weights="balanced"), fit="stretch")
    task = Segment(CLASSES).fitted(recipe, records)
    assert task.class_weights == Census.of(records, 4).balanced and task.dice_weight == 0.5
    again = task_named("segment", CLASSES, task.arguments)
    assert again.arguments == task.arguments and again.meter()._loss == task.meter()._loss
    assert Segment(CLASSES).fitted(Recipe(task="segment"), records).class_weights is None
    with pytest.raises(ValueError, match="3 class_weights for 4 classes"):
        Segment.of(CLASSES, {**task.arguments, "class_weights": [1.0, 1.0, 1.0]})
    for wrong in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="each is a number from 0"):
            Segment.of(CLASSES, {**task.arguments, "class_weights": [1.0, 1.0, wrong, 1.0]})
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Segment.of(CLASSES, {**task.arguments, "focal_gamma": -1.0})
    assert in_range(SegmentSettings, {"dice_weight": 1.0}) == {"dice_weight": 1.0}


def test_what_masks_are_too_few_for_is_said():
    records = [record(*counts) for counts in PICTURES]
    task = Segment(CLASSES).fitted(Recipe(task="segment"), records)
    said = list(task.shortages(records, records, records * 4))
    assert said == [
        "validation has 3 pictures: figures of so few say little of others",
        "no training mask shows moon, so it is not learnt",
        "fewer than 5 training masks show: sky (2), road (3), car (1); of so few a class is hardly learnt",
    ]
    assert next(iter(task.shortages(records, (), ()))).startswith("no training mask")
    many = Segment(CLASSES).fitted(Recipe(task="segment"), [record(1, 1, 1, 1)] * 5)
    assert list(many.shortages(records, records * 4, ())) == []


def test_training_masks_that_are_nobodys_throughout_are_refused():
    recipe = Recipe(task="segment", settings=SegmentSettings())
    with pytest.raises(
        DataError, match="none of the 2 training masks has a pixel of a class: all are nobody's, as 255"
    ):
        Segment(CLASSES).fitted(recipe, [record(), record(known=False)])
    assert Segment(CLASSES).fitted(recipe, [record(), record(1)]).census == Census(
        (1, 0, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0)
    )


def test_sides_that_are_nobodys_throughout_measure_nothing_which_is_said():
    task, some = Segment(CLASSES), [record(*counts) for counts in PICTURES] * 4
    said = list(task.shortages(some, [record()] * 12, [record()] * 11))
    assert said[:2] == [
        "no validation mask has a pixel of a class (12 masks), so no epoch can be told from another",
        "no test mask has a pixel of a class (11 masks), so it says nothing",
    ]
    assert not any("has a pixel" in each for each in task.shortages(some, [record(), record(1)], ()))
