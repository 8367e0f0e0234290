"""Tiles: where they lie, and that what fits into their overlap is whole in one of them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.base.errors import ModelError
from striate.pictures.tiles import Tiling

sides = st.integers(16, 60)
lengths = st.integers(1, 250)
overlaps = st.floats(0, 0.9)


def intervals(places, axis):
    return sorted({(int(place.window[0][axis]), int(place.window[0][axis + 2])) for place in places})


@settings(max_examples=50)
@given(lengths, lengths, sides, overlaps)
def test_tiles_are_of_one_size_and_neighbours_share_enough(height, width, side, overlap):
    tiling = Tiling(side, overlap)
    places = tiling.places(height, width)
    assert {place.output_size for place in places} == {(min(side, height), min(side, width))}
    assert {(place.height, place.width) for place in places} == {(height, width)}
    assert tiling.cuts(height, width) == (len(places) > 1)
    down, across = intervals(places, 1), intervals(places, 0)
    assert len(places) == len(down) * len(across) and [place.window[0].tolist() for place in places] == [
        [left, top, right, bottom] for top, bottom in down for left, right in across
    ]
    for length, along in ((height, down), (width, across)):
        assert along[0][0] == 0 and along[-1][1] == length
        assert all(end - start >= int(side * overlap) for (_, end), (start, _) in itertools.pairwise(along))
        # One tile less would leave a gap, or an overlap that is too small.
        assert len(along) == 1 or (len(along) - 2) * (side - int(side * overlap)) + side < length


@settings(max_examples=50)
@given(st.data(), lengths, lengths, sides, overlaps)
def test_what_is_no_larger_than_the_overlap_lies_whole_in_a_tile(data, height, width, side, overlap):
    tiling = Tiling(side, overlap)
    high, wide = (data.draw(st.integers(0, min(length, tiling.shared))) for length in (height, width))
    top, left = data.draw(st.integers(0, height - high)), data.draw(st.integers(0, width - wide))
    windows = np.concatenate([place.window for place in tiling.places(height, width)])
    inside = (windows[:, :2] <= [left, top]).all(1) & (windows[:, 2:] >= [left + wide, top + high]).all(1)
    assert inside.any()


@pytest.mark.parametrize("side", [15, 0, -1, 64.0, "64", True, None, float("nan")])
def test_a_side_that_is_none_is_refused(side):
    with pytest.raises(ModelError, match=r"tile is .*; expected its side in pixels of the photograph, 16 or more"):
        Tiling(side)


@pytest.mark.parametrize("overlap", [-0.1, 0.91, 1, 20, float("nan"), True, "0.2"])
def test_an_overlap_that_is_none_is_refused(overlap):
    with pytest.raises(ModelError, match=r"overlap is .*; expected the part of a tile's side that neighbours share, 0"):
        Tiling(64, overlap)
