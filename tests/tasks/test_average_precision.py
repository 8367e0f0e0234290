"""Precision, recall and what is read off them, against the definitions, answer by answer."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.tasks.average_precision import Curve, all_points, best_threshold, eleven_points

FLAGS = st.lists(st.booleans(), max_size=40)


def points(right):
    """Recall's numerator and the precision after each answer."""
    found = 0
    for position, good in enumerate(right, start=1):
        found += good
        yield found, Fraction(found, position)


@given(right=FLAGS, missed=st.integers(0, 20))
def test_eleven_points_are_the_best_precisions_at_eleven_recalls_or_above(right, missed):
    objects = max(1, sum(right) + missed)
    total = Fraction(0)
    for tenth in range(11):
        reached = [precision for found, precision in points(right) if Fraction(found, objects) >= Fraction(tenth, 10)]
        total += max(reached, default=Fraction(0))
    assert eleven_points(Curve(objects, np.array(right, dtype=bool))) == pytest.approx(float(total / 11), abs=1e-12)


@given(right=FLAGS, missed=st.integers(0, 20))
def test_all_points_are_the_area_under_the_best_precisions(right, missed):
    objects = max(1, sum(right) + missed)
    area = Fraction(0)
    for step in range(1, objects + 1):  # the recalls that can be reached, each an object wide
        area += max((precision for found, precision in points(right) if found >= step), default=Fraction(0)) / objects
    assert all_points(Curve(objects, np.array(right, dtype=bool))) == pytest.approx(float(area), abs=1e-12)


def test_the_averages_of_a_table_by_hand():
    # Five apples, ten answers: recalls .2 .4 .4 .4 .4 .6 .8 .8 .8 1, precisions 1 1 .67 .5 .4 .5 .57 .5 .44 .5.
    right = np.array([1, 1, 0, 0, 0, 1, 1, 0, 0, 1], dtype=bool)
    assert eleven_points(Curve(5, right)) == pytest.approx((5 * 1 + 4 * 4 / 7 + 2 * 0.5) / 11)
    assert all_points(Curve(5, right)) == pytest.approx((2 * 1 + 2 * 4 / 7 + 0.5) / 5)


@given(
    scores=st.lists(st.integers(1, 9), max_size=30), drawn=st.randoms(use_true_random=False), missed=st.integers(0, 9)
)
def test_no_threshold_is_better_than_the_best(scores, drawn, missed):
    values = np.array(sorted(scores, reverse=True)) / 10
    right = np.array([drawn.random() < 0.6 for _ in scores], dtype=bool)
    objects = int(right.sum()) + missed
    threshold, best = best_threshold(values, Curve(max(1, objects), right))
    if not right.any():
        assert threshold is None and best is None
        return

    def f1_from(score):
        named = values >= score
        return 2 * right[named].sum() / (named.sum() + objects)

    assert f1_from(threshold) == pytest.approx(best)
    assert all(f1_from(score) <= best + 1e-12 for score in (0, *values, *(values + 0.05)))
    assert 0 < threshold < 1 and np.abs(values - threshold).min() > 0.04  # far from every score
