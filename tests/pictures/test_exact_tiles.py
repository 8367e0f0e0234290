"""Pictures cut into tiles that answer as the whole: cores that leave nothing out, with all around them that is seen."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.pictures.exact_tiles import Axis, ExactTiles, Seams, fewest_pixels


@st.composite
def axes(draw):
    step = draw(st.integers(1, 9))
    side, before, after, more = (step * draw(st.integers(least, 12)) for least in (1, 0, 0, 0))
    seam = draw(st.sampled_from([0, step]))
    before += seam
    return Axis(side, min(side, before + step + after + more), step, before, after, seam)


@settings(max_examples=200)
@given(axes(), axes())
def test_every_pixel_is_answered_once_by_a_tile_that_shows_what_is_seen_from_it(rows, columns):
    tiles = ExactTiles(rows, columns)
    answered = np.zeros(tiles.size, int)
    for tile in tiles:
        top, left, bottom, right = tile.core
        answered[top:bottom, left:right] += 1
        for axis, (begin, end), (first, last), seam in (
            (rows, tile.shows[::2], tile.core[::2], tile.seam[0]),
            (columns, tile.shows[1::2], tile.core[1::2], tile.seam[1]),
        ):
            assert 0 <= begin < end <= axis.side and end - begin == axis.tile
            assert begin % axis.step == first % axis.step == 0
            assert begin == 0 or begin <= first - axis.before
            assert end == axis.side or end >= last + axis.after
            assert seam == (first if begin == 0 else first - axis.seam)
    assert (answered == 1).all()
    assert len(list(tiles)) == tiles.count
    assert tiles.again == tiles.count * math.prod(tiles.tile) / math.prod(tiles.size) - 1


@settings(max_examples=100)
@given(axes(), axes(), st.integers(1, 20_000), st.none() | st.integers(1, 100))
def test_no_other_tiles_that_fit_compute_less(rows, columns, pixels, longest):
    best = fewest_pixels(rows, columns, pixels, longest)
    others = [
        ExactTiles(tall, wide)
        for tall in every_way(rows)
        for wide in every_way(columns)
        if tall.tile * wide.tile <= pixels and (longest is None or max(tall.tile, wide.tile) <= longest)
    ]
    assert (best is None) == (not others)
    if best is not None:
        assert best in others
        assert best.again == min(other.again for other in others)


def every_way(axis):
    sides = range(axis.least, axis.side + 1, axis.step)
    return [Axis(axis.side, side, axis.step, axis.before, axis.after, axis.seam) for side in sides]


def test_operations_that_see_more_than_a_tile_are_named_with_how_often_tiles_differ():
    axis = Axis(side=96, tile=48, step=8, before=16, after=16, seam=8)
    seams = Seams()
    seams.add(150, 3)
    seams.add(50, 0)
    seams.cut(ExactTiles(axis, axis, ("mean in head.pyramid", "mean in stage1")))
    assert seams.sentences()[1] == (
        "mean in head.pyramid and 1 more take all of a picture together, in tiles of each alone, so that the answer is "
        "not quite that of the whole; of the places that two tiles have answered they answered 1.50% otherwise"
    )


def test_of_a_picture_that_was_answered_at_once_nothing_is_said():
    seams = Seams()
    seams.cut(ExactTiles(Axis(64, 64, 32, 32, 32), Axis(96, 96, 32, 32, 32), ("mean in head",)))
    assert seams.sentences() == []
