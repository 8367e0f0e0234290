"""How far an average precision may be off: against weights that are moved, and against drawing again and again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.tasks.average_precision import Curve, all_points
from striate.tasks.detect_margin import influences, margin
from striate.tasks.detect_matching import curves
from striate.tasks.intervals import SURE
from tests.tasks.detect_scenes import measured


@given(right=st.lists(st.booleans(), min_size=1, max_size=30), missed=st.integers(0, 5))
def test_influences_are_slopes_in_the_weights_of_answers(right, missed):
    flags = np.array(right, dtype=bool)
    objects = int(flags.sum()) + missed + 1

    def area(weights):
        precisions = np.cumsum(weights * flags) / np.cumsum(weights)
        return (weights * flags * np.maximum.accumulate(precisions[::-1])[::-1]).sum() / objects

    found = influences(Curve(objects, flags))
    assert found.sum() == pytest.approx(all_points(Curve(objects, flags)))
    step = 1e-6
    for at in range(len(flags)):
        # Where two precisions are equally best the slope is another on either side, and ours is one of the two.
        one_sided = [
            (area(1 + side * step * (np.arange(len(flags)) == at)) - area(np.ones(len(flags)))) / (side * step)
            for side in (-1, 1)
        ]
        assert min(one_sided) - 1e-4 <= found[at] <= max(one_sided) + 1e-4


def average(scenery, overlaps):
    values = [
        all_points(curve)
        for overlap in overlaps
        for curve in curves(scenery.answers.classes, scenery.judged(overlap), scenery.objects).values()
    ]
    return float(np.mean(values))


@pytest.fixture(scope="module")
def drawn():
    return [measured(seed, images=40, classes=2) for seed in range(120)]


@pytest.mark.parametrize("overlaps", [(0.5,), (0.5, 0.7, 0.9)])
def test_the_margin_is_how_far_draws_are_apart(drawn, overlaps):
    margins = [margin(each, overlaps) for each in drawn]
    values = np.array([average(each, overlaps) for each in drawn])
    # 120 draws tell a deviation to 7 % or so.
    assert np.mean(margins) == pytest.approx(SURE * values.std(), rel=0.2)
    inside = np.mean(np.abs(values - values.mean()) <= margins)
    assert inside >= 0.89


def test_a_margin_needs_two_pictures_and_something_to_find():
    assert margin(measured(1, images=1), (0.5,)) is None
    assert margin(measured(1, objects=0), (0.5,)) is None
    assert margin(measured(1, answers=0), (0.5,)) == 0.0
