"""The algebra of fields against its definition: what places read, followed back one by one, without any period."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.tracing.spans import AS_IT_IS, AperiodicError, Span, Spans, cubic, linear

Reads = Callable[[int], Iterable[int]]
Step = tuple[Callable[[Spans], Spans], Reads]


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """An operation on spans, and which places it reads by its definition."""
    kind = draw(st.sampled_from(["window", "transposed", "nearest", "linear", "cells", "crop"]))
    taps, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    dilation, before = draw(st.integers(1, 2)), draw(st.integers(-2, 3))
    scale = Fraction(draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    size, count = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    match kind:
        case "window":
            return (
                lambda spans: spans.window(taps, stride=stride, dilation=dilation, before=before),
                lambda i: [i * stride - before + dilation * tap for tap in range(taps)],
            )
        case "transposed":
            reach = range(0, taps * dilation, dilation)
            return (
                lambda spans: spans.transposed(taps, stride=stride, dilation=dilation, before=before),
                lambda i: [j for j in range(i // stride - 20, i // stride + 21) if i + before - j * stride in reach],
            )
        case "nearest":
            return lambda spans: spans.nearest(scale), lambda i: [int(i * scale // 1)]
        case "linear":
            middle = lambda i: (i + Fraction(1, 2)) * scale - Fraction(1, 2)  # noqa: E731 - a row of a table
            return (
                lambda spans: spans.resampled(scale, linear, 1, ends=False, widened=False),
                lambda i: [j for j in range(int(i * scale) - 9, int(i * scale) + 9) if abs(middle(i) - j) < 1],
            )
        case "cells":
            ends = lambda i: (i * size // count, -(-(i + 1) * size // count))  # noqa: E731 - a row of a table
            return lambda spans: spans.cells(count, size), lambda i: range(*ends(i))
        case _:
            return lambda spans: spans.window(1, stride=stride, before=before), lambda i: [i * stride - before]


def followed(reads: list[Reads]) -> Callable[[int], Span]:
    """What a place sees after all these operations, by following every place that it reads."""

    @cache
    def sees(depth: int, place: int) -> Span:
        if depth == 0:
            return place, place
        below = [span for each in reads[depth - 1](place) if (span := sees(depth - 1, each))]
        return (min(first for first, _ in below), max(last for _, last in below)) if below else None

    return lambda place: sees(len(reads), place)


@given(st.lists(steps(), max_size=4))
def test_each_place_sees_what_following_it_back_finds(chain: list[Step]) -> None:
    spans = AS_IT_IS
    try:
        for step, _ in chain:
            spans = step(spans)
    except AperiodicError:
        return
    wanted = followed([reads for _, reads in chain])
    for place in range(8):
        assert spans.at(place) == wanted(place)


@given(st.lists(steps(), max_size=2), st.lists(steps(), max_size=2))
def test_branches_see_what_either_sees(one: list[Step], other: list[Step]) -> None:
    found = []
    try:
        for chain in (one, other):
            spans = AS_IT_IS
            for step, _ in chain:
                spans = step(spans)
            found.append(spans)
    except AperiodicError:
        return
    if found[0].stride != found[1].stride:
        with pytest.raises(AperiodicError, match="strides"):
            found[0].beside(found[1])
        return
    both = found[0].beside(found[1])
    for place in range(-5, 20):
        parts = [span for spans in found if (span := spans.at(place))]
        wanted = (min(first for first, _ in parts), max(last for _, last in parts)) if parts else None
        assert both.at(place) == wanted


def test_windows_follow_the_published_recurrence() -> None:
    spans = AS_IT_IS.window(11, stride=4).window(3, stride=2).window(5, before=2)
    assert (spans.size, spans.stride, spans.padding) == (51, 8, 16)  # AlexNet's conv2


def test_a_transposed_window_has_as_many_phases_as_its_stride() -> None:
    spans = AS_IT_IS.window(2, stride=2).transposed(3, stride=2)
    assert spans == Spans(2, ((-2, 1), (0, 1)))
    assert spans.stride == 1


def test_places_that_nobody_writes_to_see_nothing() -> None:
    spans = AS_IT_IS.transposed(1, stride=3)
    assert [spans.at(place) for place in range(4)] == [(0, 0), None, None, (1, 1)]
    assert spans.window(3).at(0) == (0, 0)


def test_the_zeros_of_cubics() -> None:
    assert [cubic(Fraction(distance)) for distance in (0, 1, 2, 3)] == [1, 0, 0, 0]
    assert cubic(Fraction(3, 2)) == Fraction(-1, 16)
