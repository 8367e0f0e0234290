"""Which epoch is kept, by figures, margins and losses that are told."""

import math

import pytest

from striate.training.keeping import judge
from striate.training.learner import Progress

NAN = math.nan


def kept(*epochs, progress=None):
    """Which of these epochs, each a figure, its margin and a loss, are kept as they come."""
    progress = progress or Progress()
    found = []
    for progress.epoch, epoch in enumerate(epochs):
        found += [progress.epoch] if judge(progress, *epoch) else []
    assert progress.kept_epoch == found[-1]
    return found


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        ([(0.8, 0.4, 0.35), (0.6, 0.4, 0.82)], [0]),  # plainly worse: by both
        ([(0.8, 0.4, 0.35), (0.6, 0.4, 0.30)], [0, 1]),  # by the figure alone, which cannot be told
        ([(0.8, 0.4, 0.35), (0.8, 0.4, 0.40)], [0, 1]),  # by the loss alone
        ([(0.8, 0.4, 0.35), (0.9, 0.4, 0.40)], [0, 1]),
        (
            [(0.8, 0.3, 0.5), (0.7, 0.3, 0.4), (0.75, 0.3, 0.6), (0.72, 0.3, 0.65)],
            [0, 1, 2],
        ),  # than the kept, not the best
        ([(0.9, 0.05, 0.5), (0.5, 0.05, 0.1)], [0]),  # surely worse than the best, whatever the loss
        ([(0.8, 0.1, 0.3), (0.95, 0.1, 0.5), (0.86, 0.1, 0.45)], [0, 1, 2]),  # the best is kept, whatever its loss
    ],
)
def test_the_latest_that_cannot_be_told_from_the_best_and_is_not_plainly_worse(epochs, expected):
    assert kept(*epochs) == expected


def test_without_a_margin_the_best_figure_and_of_equals_the_latest():
    assert kept((0.3, 0, 0.5), (0.5, 0, 0.9), (0.4, 0, 0.1), (0.5, 0, 0.95)) == [0, 1, 3]
    assert kept((-2.0, 0, 2.0), (-1.0, 0, 1.0), (-1.5, 0, 1.5)) == [0, 1]  # by the loss itself


def test_without_losses_the_latest_that_cannot_be_told_from_the_best():
    assert kept((0.8, 0.2, None), (0.9, 0.2, None), (0.75, 0.2, None), (0.6, 0.2, None)) == [0, 1, 2]


def test_a_loss_that_is_no_number_is_worse_than_any():
    assert kept((0.8, 0.2, NAN), (0.7, 0.2, 9.0), (0.65, 0.2, NAN)) == [0, 1]


def test_without_a_figure_something_is_kept_until_there_is_one():
    assert kept((-math.inf, 0, 0.5), (-math.inf, 0, 0.6), (0.1, 0.05, 0.9)) == [0, 1, 2]


def test_of_a_run_of_before_whose_kept_loss_nobody_noted_the_next_good_one_is_kept():
    before = Progress(best=0.8, good_enough=0.7, kept_epoch=3)  # as its checkpoint has it
    assert kept((0.6, 0.1, 0.2), (0.75, 0.1, 0.9), (0.72, 0.1, 0.95), progress=before) == [1]
