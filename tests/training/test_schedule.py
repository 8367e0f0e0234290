"""The rate against a closed form, and at its limits."""

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.recipe import Stage
from striate.training import schedule
from striate.training.schedule import rate_at

stages = st.builds(
    Stage, epochs=st.integers(1, 20), rate=st.floats(1e-6, 10), warmup=st.floats(0, 0.99), freeze=st.just(())
)
floors = st.floats(0, 0.99)


@given(stages, st.integers(1, 300), floors)
def test_a_linear_rise_then_half_a_cosine(stage, steps, floor):
    rise = math.ceil(stage.warmup * steps)
    rates = [rate_at(stage, step, steps, floor) for step in range(steps)]
    for step, rate in enumerate(rates):
        if step < rise:
            expected = stage.rate * (step + 1) / rise
        else:
            angle = math.pi * (step - rise) / (steps - rise)
            expected = stage.rate * floor + stage.rate * (1 - floor) * math.cos(angle / 2) ** 2
        assert rate == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert all(0 < rate <= stage.rate * (1 + 1e-12) for rate in rates)
    assert rates[:rise] == sorted(rates[:rise])
    assert rates[rise:] == sorted(rates[rise:], reverse=True)


def test_the_limits():
    stage = Stage(epochs=1, rate=0.4, warmup=0.0)
    assert rate_at(stage, 0, 1000, 0.0) == 0.4
    assert rate_at(stage, 500, 1000, 0.0) == pytest.approx(0.2)
    assert rate_at(stage, 500, 1000, 0.5) == pytest.approx(0.3)
    assert rate_at(stage, 10**6 - 1, 10**6, 0.25) == pytest.approx(0.1, rel=1e-6)
    assert rate_at(stage, 0, 1, 0.0) == 0.4
    assert rate_at(Stage(epochs=1, rate=0.4, warmup=0.99), 0, 1, 0.0) == 0.4


def test_examples():
    assert doctest.testmod(schedule).failed == 0
