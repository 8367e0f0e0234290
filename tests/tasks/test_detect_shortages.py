"""What is said of objects that are too few, before a run."""

import pytest

from striate.data.records import ArrayHandle, Classes, Record
from striate.data.targets import Boxes
from striate.tasks.detect import Detect
from striate.tasks.detect_shortages import ENOUGH
from striate.tasks.intervals import WIDEST, interval_width

NAMES = ("cat", "dog", "eel")
MANY = (50, 50, 50)


def records(counts, crowds=0):
    """One picture for each class, with so many objects of it and so many crowds, and one with nothing on it."""
    for index, count in enumerate(counts):
        boxes = Boxes.of([[0, 0, 5, 5]] * (count + crowds), [index] * (count + crowds))
        boxes.crowd[count:] = True
        yield Record(ArrayHandle(None, 0), boxes, b"", "")
    yield Record(ArrayHandle(None, 0), Boxes.of([], []), b"", "")


def said(training=MANY, validation=MANY, tested=MANY, crowds=0):
    sides = (list(records(counts, crowds)) if counts else [] for counts in (training, validation, tested))
    return list(Detect(Classes(NAMES)).shortages(*sides))


def test_enough_says_nothing_and_so_do_sides_without_pictures():
    assert said() == said(validation=(), tested=()) == []


def test_sides_of_few_objects_are_named_with_their_interval():
    # Wilson's interval of 5 in 11 is 0.2127 to 0.7199; of none it is everything.
    first, second = said(validation=(3, 4, 4), tested=(0, 0, 0))
    assert first.startswith("validation has 11 objects: the 95 % interval of the share that is found can be 0.51 wide")
    assert second.startswith("the test has 0 objects:") and "1.00 wide" in second and "--folds" in second


def test_classes_of_few_objects_on_a_side_are_named():
    (text,) = said(tested=(12, 11, 0))
    assert text.startswith("the test has fewer than 12 objects of dog (11), eel (0);") and "cat" not in text


def test_classes_of_few_training_objects_are_named():
    (text,) = said(training=(10, 9, 0))
    assert text.startswith("fewer than 10 training objects: dog (9), eel (0)") and "cat" not in text


@pytest.mark.parametrize("crowds", [0, 100])
def test_crowds_are_no_objects(crowds):
    assert len(said((9, 9, 9), (1, 1, 1), (9, 9, 9), crowds)) == 3


def test_enough_is_where_the_interval_is_no_wider_than_half():
    assert interval_width(ENOUGH) <= WIDEST < interval_width(ENOUGH - 1)
