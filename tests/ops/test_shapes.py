"""Window arithmetic: the textbook's examples, and a window that is really moved along an axis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.base.errors import ModelError
from striate.ops import output_size, padding_amounts, reach, same_padding

SIZES = st.integers(1, 10_000)
WINDOWS = st.integers(1, 40)
STEPS = st.integers(1, 12)


@pytest.mark.parametrize(
    ("size", "window", "stride", "dilation", "outputs", "amounts"),
    [
        (13, 6, 5, 1, 3, (1, 2)),  # the 13-wide line
        (3, 2, 1, 1, 3, (0, 1)),
        (5, 3, 2, 1, 3, (1, 1)),
        (7, 3, 2, 1, 4, (1, 1)),
        (28, 3, 2, 1, 14, (0, 1)),
        (14, 2, 2, 1, 7, (0, 0)),
        (13, 3, 1, 4, 13, (4, 4)),
        (427, 7, 2, 1, 214, (3, 3)),
        (640, 7, 2, 1, 320, (2, 3)),
        (1, 7, 3, 1, 1, (3, 3)),  # wider than the axis
        (9, 1, 4, 1, 3, (0, 0)),  # a stride longer than the window leaves places out, and pads nothing
    ],
)
def test_same_on_worked_examples(
    size: int, window: int, stride: int, dilation: int, outputs: int, amounts: tuple[int, int]
) -> None:
    assert same_padding(size, window, stride, dilation) == amounts
    assert output_size(size, window, stride, dilation) == outputs


@pytest.mark.parametrize(
    ("size", "window", "stride", "dilation", "padding", "outputs"),
    [
        (13, 6, 5, 1, "valid", 2),
        (13, 3, 1, 4, "valid", 5),
        (32, 5, 1, 1, "valid", 28),
        (224, 7, 2, 1, "symmetric", 112),
        (227, 11, 4, 1, "valid", 55),
        (6, 6, 1, 1, "valid", 1),
        (224, 11, 4, 1, 2, 55),
        (5, 2, 2, 1, (0, 1), 3),
    ],
)
def test_other_paddings_on_worked_examples(
    size: int, window: int, stride: int, dilation: int, padding: object, outputs: int
) -> None:
    assert output_size(size, window, stride, dilation, padding) == outputs


@given(SIZES, WINDOWS, STEPS, st.integers(1, 5))
def test_same_pads_the_least_that_gives_every_step(size: int, window: int, stride: int, dilation: int) -> None:
    before, after = same_padding(size, window, stride, dilation)
    outputs = output_size(size, window, stride, dilation, "same")
    assert outputs == len(range(0, size, stride))
    assert after - before in (0, 1)
    last = (outputs - 1) * stride + reach(window, dilation)
    assert before + size + after >= last  # every window fits
    assert before + after == 0 or before + size + after == last  # and not one place more than they need


@given(
    st.integers(1, 200),
    WINDOWS,
    STEPS,
    st.integers(1, 4),
    st.one_of(st.sampled_from(["same", "valid", "symmetric"]), st.integers(0, 9), st.tuples(STEPS, STEPS)),
)
def test_output_size_counts_the_stops_of_a_window(
    size: int, window: int, stride: int, dilation: int, padding: object
) -> None:
    before, after = padding_amounts(size, window, stride, dilation, padding)
    stops, place = 0, -before
    while place + (window - 1) * dilation < size + after:
        stops, place = stops + 1, place + stride
    if stops == 0:
        with pytest.raises(ModelError, match="does not fit"):
            output_size(size, window, stride, dilation, padding)
    else:
        assert output_size(size, window, stride, dilation, padding) == stops


def test_the_smallest_size_that_an_error_names_is_the_smallest() -> None:
    with pytest.raises(ModelError, match="smallest size that fits is 9,"):
        output_size(4, 3, dilation=4, padding="valid")
    assert output_size(9, 3, dilation=4, padding="valid") == 1
    with pytest.raises(ModelError):
        output_size(8, 3, dilation=4, padding="valid")


@pytest.mark.parametrize("padding", ["Same", "full", -1, (1, -1), (1, 2, 3), 0.5, None, ((1, 1), (1, 1))])
def test_what_is_no_padding_is_refused(padding: object) -> None:
    with pytest.raises(ModelError, match="padding is"):
        output_size(5, 3, padding=padding)


def test_a_misspelt_padding_gets_a_hint() -> None:
    with pytest.raises(ModelError, match="Did you mean 'symmetric'"):
        padding_amounts(5, 3, padding="symetric")


@pytest.mark.parametrize("wrong", ["size", "window", "stride", "dilation"])
def test_nothing_is_below_one(wrong: str) -> None:
    arguments = {"size": 5, "window": 3, "stride": 1, "dilation": 1, wrong: 0}
    with pytest.raises(ModelError, match=f"{wrong} is 0"):
        same_padding(**arguments)
    with pytest.raises(ModelError, match=f"{wrong} is 0"):
        output_size(**arguments, padding="valid")
