"""Grids of cells, and boxes said in them: the papers' formulas in plain numbers, and there and back."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.base.errors import ModelError
from striate.ops import (
    cell_centres,
    decode_anchors,
    decode_distances,
    encode_anchors,
    encode_distances,
    xyxy_to_cxcywh,
)
from striate.ops.grids import kept_centres

STRIDES = (8, 16, 32)


@pytest.mark.parametrize(("side", "boxes"), [(416, 10_647), (608, 22_743)])
def test_as_many_places_as_yolov3_has(side: int, boxes: int) -> None:
    centres, strides = cell_centres((side, side), STRIDES)
    assert 3 * len(centres) == 3 * len(strides) == boxes


@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.sampled_from((4, *STRIDES)), min_size=1, max_size=3))
def test_cells_cover_the_picture_row_by_row(height: int, width: int, steps) -> None:
    wanted = [
        ((column + 0.5) * stride, (row + 0.5) * stride, stride)
        for stride in steps
        for row in range(math.ceil(height / stride))
        for column in range(math.ceil(width / stride))
    ]
    centres, strides = cell_centres((height, width), steps)
    assert [(*centre, stride) for centre, stride in zip(centres.tolist(), strides.tolist(), strict=True)] == wanted


@pytest.mark.parametrize(("size", "strides"), [((0, 8), (8,)), ((8, 8), ()), ((8, 8), (8, 0))])
def test_no_grid(size, strides) -> None:
    with pytest.raises(ModelError, match="takes a size and strides from 1"):
        cell_centres(size, strides)


CELL = st.tuples(st.integers(0, 124), st.integers(0, 124), st.sampled_from(STRIDES))
ROW = st.tuples(*[st.floats(0.001, 0.999)] * 4)


@st.composite
def places(draw):
    """Some places of large pictures, with a row of numbers from 0 to 1 for each."""
    drawn = draw(st.lists(st.tuples(CELL, ROW), min_size=1, max_size=4))
    cells = torch.tensor([cell for cell, _ in drawn], dtype=torch.float64)
    rows = torch.tensor([row for _, row in drawn], dtype=torch.float64)
    return (cells[:, :2] + 0.5) * cells[:, 2:], cells[:, 2], rows


@given(places())
def test_boxes_around_a_centre_there_and_back(drawn) -> None:
    centres, strides, rows = drawn
    boxes = torch.cat([centres - rows[:, :2] * 2000, centres + rows[:, 2:] * 2000], 1)
    back = decode_distances(encode_distances(boxes, centres, strides), centres, strides)
    torch.testing.assert_close(back, boxes, rtol=0, atol=1e-3)
    narrow = boxes.float(), centres.float(), strides.float()
    back = decode_distances(encode_distances(*narrow), *narrow[1:])
    torch.testing.assert_close(back, narrow[0], rtol=1e-5, atol=1e-2)


@given(places(), st.sampled_from([1.0, 1.05, 1.2, 2.0]))
def test_boxes_by_their_cell_and_anchor_there_and_back(drawn, scale: float) -> None:
    centres, strides, rows = drawn
    middles = centres + (rows[:, :2] - 0.5) * strides[:, None]
    boxes = torch.cat([middles - rows[:, 2:] * 2000, middles + rows[:, 2:] * 2000], 1)
    anchors = torch.tensor([[30.0, 61]], dtype=torch.float64).expand(len(boxes), 2)
    numbers = encode_anchors(boxes, centres, strides, anchors, scale_xy=scale)
    back = decode_anchors(numbers, centres, strides, anchors, scale_xy=scale)
    torch.testing.assert_close(back, boxes, rtol=0, atol=1e-3)


def test_distances_are_exponents_of_strides() -> None:
    centres, strides = cell_centres((64, 64), (32,))
    numbers = torch.tensor([0.0, math.log(2), math.log(0.5), 1.0]).expand(4, 4)
    wanted = [16.0 - 32, 48.0 - 64, 16.0 + 16, 48.0 + 32 * math.e]  # of the third cell, whose centre is (16, 48)
    assert decode_distances(numbers, centres, strides)[2].tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1.2])
def test_yolos_formulas(scale: float) -> None:
    """Of three anchors in a cell of column 6 and row 4: b_x = sigmoid(t_x) + c_x in cells, b_w = p_w e^(t_w)."""
    centres, strides = cell_centres((416, 416), (32,))
    anchors = torch.tensor([[116.0, 90], [156, 198], [373, 326]])
    numbers = torch.randn(1, 169, 3, 4, generator=torch.Generator().manual_seed(0))
    boxes = decode_anchors(numbers, centres[:, None], strides[:, None], anchors, scale_xy=scale)
    assert boxes.shape == (1, 169, 3, 4)
    for anchor in range(3):
        x, y, w, h = numbers[0, 4 * 13 + 6, anchor].tolist()
        within = [scale / (1 + math.exp(-t)) - (scale - 1) / 2 for t in (x, y)]
        width, height = (side * math.exp(t) for side, t in zip(anchors[anchor].tolist(), (w, h), strict=True))
        wanted = [(within[0] + 6) * 32, (within[1] + 4) * 32, width, height]
        assert xyxy_to_cxcywh(boxes[0, 4 * 13 + 6, anchor]).tolist() == pytest.approx(wanted, rel=1e-5)
    middle = decode_anchors(torch.zeros(4), centres[6 * 13 + 6], strides[0], anchors[0])
    assert middle.tolist() == [208 - 58, 208 - 45, 208 + 58, 208 + 45]


def test_what_no_number_says_is_said_as_near_as_can_be() -> None:
    centres, strides = cell_centres((8, 8), (8,))
    beside = torch.tensor([[5.0, 1, 7, 7]])  # the centre (4, 4) lies left of it
    back = decode_distances(encode_distances(beside, centres, strides), centres, strides)
    assert back.tolist()[0] == pytest.approx([4, 1, 7, 7], abs=1e-4)
    elsewhere = torch.tensor([[20.0, 2, 24, 6]])  # its centre (22, 4) is in another cell
    back = decode_anchors(encode_anchors(elsewhere, centres, strides, beside[:, 2:]), centres, strides, beside[:, 2:])
    assert back.tolist()[0] == pytest.approx([6, 2, 10, 6], abs=1e-3)


@pytest.mark.parametrize("number", [-1e30, -100.0, 0.0, 100.0, 1e30])
def test_decoding_is_finite_for_whatever_number(number: float) -> None:
    centres, strides = cell_centres((64, 64), STRIDES)
    for dtype in (torch.float32, torch.bfloat16):
        numbers = torch.full((len(centres), 4), number, dtype=dtype, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16):
            boxes = decode_distances(numbers, centres, strides), decode_anchors(numbers, centres, strides, centres)
        for found in boxes:
            assert found.dtype == torch.float32 and found.isfinite().all()
            assert torch.autograd.grad(found.sum(), numbers)[0].isfinite().all()


def test_gradients_of_decoding() -> None:
    centres, strides = cell_centres((32, 32), (16,), dtype=torch.float64)
    numbers = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: decode_distances(x, centres, strides), (numbers,))
    assert torch.autograd.gradcheck(lambda x: decode_anchors(x, centres, strides, centres, scale_xy=1.1), (numbers,))


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (33, 65)])
def test_kept_centres_are_those_of_the_grid(size: tuple[int, int]) -> None:
    for _ in range(2):
        kept = kept_centres(size, STRIDES, torch.device("cpu"))
        assert all(torch.equal(*pair) for pair in zip(kept, cell_centres(size, STRIDES), strict=True))
