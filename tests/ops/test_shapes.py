"""Window arithmetic: the textbook's examples, and a window that is really moved along an axis."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate import ops
from striate.base.errors import ModelError
from striate.ops import output_size, padding_amounts, reach, same_padding, transposed_size, transposed_sizes

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


PADDINGS = st.one_of(
    st.sampled_from(["same", "valid", "symmetric", "ceil", "sane"]),
    st.integers(-1, 50),
    st.tuples(st.integers(-1, 30), st.integers(-1, 30)),
)
ANY = st.integers(0, 10_000)  # 0 is legal nowhere
NARROW = st.one_of(st.integers(0, 30), ANY)


def on_meta(operation, weights, size: int, *, padding, stride: int, dilation: int):
    """The size that an operation really returns, on tensors without numbers; None if it refuses."""
    given_padding = (padding,) if isinstance(padding, tuple) else padding
    x = torch.empty(1, 1, size, device="meta")
    try:
        return operation(x, *weights, padding=given_padding, stride=stride, dilation=dilation).shape[2]
    except ModelError:
        return None


def said_by(function, *arguments):
    try:
        return function(*arguments)
    except ModelError:
        return None


@settings(deadline=None, max_examples=400)
@given(ANY, NARROW, NARROW, NARROW, PADDINGS)
def test_the_operations_return_what_the_integers_say(size, window, stride, dilation, padding) -> None:
    wanted = said_by(output_size, size, window, stride, dilation, padding)
    weight = torch.empty(1, 1, window, device="meta")
    found = on_meta(ops.conv1d, [weight], size, padding=padding, stride=stride, dilation=dilation)
    assert found == (None if padding == "ceil" else wanted)
    span = reach(window, dilation)
    for pool in (ops.max_pool1d, ops.average_pool1d):
        found = on_meta(pool, [window], size, padding=padding, stride=stride, dilation=dilation)
        if wanted is None:
            assert found is None
        elif found is None:  # beyond what a convolution refuses, a pool refuses windows that see nothing real
            assert max(padding_amounts(size, window, stride, dilation, padding)) >= span or size < dilation
        else:
            assert found == wanted
    if padding == "same" and wanted is not None:
        before, after = same_padding(size, window, stride, dilation)
        pairs = on_meta(ops.conv1d, [weight], size, padding=(before, after), stride=stride, dilation=dilation)
        assert pairs == wanted


@settings(deadline=None, max_examples=300)
@given(ANY, NARROW, NARROW, NARROW, PADDINGS)
def test_transposed_operations_return_what_the_integers_say(size, window, stride, dilation, padding) -> None:
    wanted = said_by(transposed_size, size, window, stride, dilation, padding)
    weight = torch.empty(1, 1, window, device="meta")
    assert on_meta(ops.conv_transpose1d, [weight], size, padding=padding, stride=stride, dilation=dilation) == wanted


@given(st.integers(1, 10_000), WINDOWS, STEPS, st.integers(1, 5), PADDINGS)
def test_transposed_sizes_are_those_that_come_back(size, window, stride, dilation, padding) -> None:
    legal = said_by(transposed_sizes, size, window, stride, dilation, padding)
    if legal is None:
        assert padding in ("ceil", "sane") or padding == -1 or (isinstance(padding, tuple) and -1 in padding)
        return
    for made in legal:
        assert output_size(made, window, stride, dilation, padding) == size
    if legal:
        assert legal[-1] + 1 == 1 or said_by(output_size, legal[-1] + 1, window, stride, dilation, padding) != size
        if legal[0] > 1:
            assert said_by(output_size, legal[0] - 1, window, stride, dilation, padding) != size
        default = said_by(transposed_size, size, window, stride, dilation, padding)
        assert default is None or default in legal


@given(st.integers(1, 300), WINDOWS, STEPS, st.integers(1, 4))
def test_ceil_is_caffes_arithmetic(size: int, window: int, stride: int, dilation: int) -> None:
    span = reach(window, dilation)
    wanted = -(-(size - span) // stride) + 1
    if (wanted - 1) * stride >= size:  # Caffe clips a window that would start beyond the end
        wanted -= 1
    found = said_by(output_size, size, window, stride, dilation, "ceil")
    assert found == (wanted if wanted > 0 else None)


def test_ceil_and_same_differ_at_odd_sizes() -> None:
    assert [output_size(n, 3, 2, padding="ceil") for n in (111, 112, 113)] == [55, 56, 56]
    assert [output_size(n, 3, 2, padding="same") for n in (111, 112, 113)] == [56, 56, 57]


def test_nothing_is_left_of_a_transposed_window() -> None:
    with pytest.raises(ModelError, match="smallest size that leaves something is 2,"):
        transposed_size(1, 2, stride=1, padding=1)
    assert transposed_size(2, 2, stride=1, padding=1) == 1
    with pytest.raises(ModelError, match="'ceil' is for pools"):
        transposed_size(3, 2, padding="ceil")
