"""What is said of sets and classes that are too small, before a run."""

import pytest

from striate.data.records import ArrayHandle, Classes, Record
from striate.data.targets import ClassIndex
from striate.tasks.classify import Classify
from striate.tasks.intervals import interval_width

NAMES = ("rose", "tulip", "daisy")


def said(counts, validation, tested):
    """What is said of so many training pictures of each class, and so many to measure with."""
    records = [
        Record(ArrayHandle(None, 0), ClassIndex(index), b"", "", "train")
        for index, count in enumerate(counts)
        for _ in range(count)
    ]
    return list(Classify(Classes(NAMES)).shortages(records, records[:1] * validation, records[:1] * tested))


def test_sets_that_can_tell_hardly_anything_are_named_with_their_interval():
    # Wilson's interval of 2 in 5 is 0.1176 to 0.7693, of 1 in 3 0.0615 to 0.7923.
    first, second = said((50, 50, 50), 5, 3)
    assert first.startswith("validation has 5 pictures: the 95 % interval of its top-1 can be 0.65 wide")
    assert second.startswith("the test has 3 pictures: the 95 % interval of its top-1 can be 0.73 wide")
    assert "--folds" in second


@pytest.mark.parametrize(("images", "sentences"), [(0, 0), (1, 2), (11, 2), (12, 0), (60, 0)])
def test_which_sets_are_too_small(images, sentences):
    assert len(said((5, 5, 5), images, images)) == sentences


@pytest.mark.parametrize("images", [*range(1, 40), 1001])
def test_no_number_of_right_answers_has_a_wider_interval(images):
    from striate.tasks.intervals import wilson_interval

    intervals = [wilson_interval(right, images) for right in range(images + 1)]
    assert interval_width(images) == pytest.approx(max(high - low for low, high in intervals), abs=1e-12)


def test_classes_of_few_training_pictures_are_named_with_their_number():
    (text,) = said((4, 5, 0), 60, 60)
    assert text.startswith("fewer than 5 training pictures: rose (4), daisy (0)") and "tulip" not in text
