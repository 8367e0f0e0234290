"""Overlaps of boxes: pixels that are counted, the papers' formulas in plain numbers, gradients, and odd boxes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from striate.ops import ciou, cxcywh_to_xyxy, giou, iou, ltrb_to_xyxy, xyxy_to_cxcywh, xyxy_to_ltrb

OVERLAPS = {"iou": iou, "giou": giou, "ciou": ciou}
LEAST = {"iou": 0.0, "giou": -1.0, "ciou": -2.0}
SIDE = 12


@st.composite
def whole(draw):
    """A box on whole pixels of a small picture."""
    left, top = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    return [left, top, draw(st.integers(left + 1, SIDE)), draw(st.integers(top + 1, SIDE))]


def pixels(box) -> np.ndarray:
    drawn = np.zeros((SIDE, SIDE), dtype=bool)
    drawn[box[1] : box[3], box[0] : box[2]] = True
    return drawn


def around(a, b) -> list[int]:
    rows, columns = np.nonzero(pixels(a) | pixels(b))
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def aspect(a, b) -> float:
    (wa, ha), (wb, hb) = ((box[2] - box[0], box[3] - box[1]) for box in (a, b))
    return 4 / math.pi**2 * (math.atan(wa / ha) - math.atan(wb / hb)) ** 2


def by_counting(a, b) -> dict[str, float]:
    one, other = pixels(a), pixels(b)
    union = (one | other).sum()
    overlap = (one & other).sum() / union
    hull = around(a, b)
    middles = [np.array([box[0] + box[2], box[1] + box[3]]) / 2 for box in (a, b)]
    diagonal = math.hypot(hull[2] - hull[0], hull[3] - hull[1])
    shapes = aspect(a, b)
    weight = shapes / (1 - overlap + shapes) if shapes else 0.0
    return {
        "iou": overlap,
        "giou": overlap - (pixels(hull).sum() - union) / pixels(hull).sum(),
        "ciou": overlap - ((middles[0] - middles[1]) ** 2).sum() / diagonal**2 - weight * shapes,
    }


@given(st.lists(whole(), min_size=1, max_size=5), st.lists(whole(), min_size=1, max_size=5))
def test_each_with_each_by_counting_pixels(first, second) -> None:
    a, b = (torch.tensor(boxes, dtype=torch.float64) for boxes in (first, second))
    wanted = [[by_counting(one, other) for other in second] for one in first]
    for name, overlap in OVERLAPS.items():
        numbers = torch.tensor([[row[name] for row in rows] for rows in wanted], dtype=torch.float64)
        torch.testing.assert_close(overlap(a[:, None], b), numbers, rtol=0, atol=1e-12)
        aligned = min(len(a), len(b))
        torch.testing.assert_close(overlap(a[:aligned], b[:aligned]), numbers.diagonal(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], (1, 1, 1)),
        ([0, 0, 10, 10], [5, 5, 15, 15], (1 / 7, 1 / 7 - 50 / 225, 1 / 7 - 50 / 450)),
        ([0, 0, 1, 1], [2, 0, 3, 1], (0, -1 / 3, -4 / 10)),
        # 50 of 250; 50 of 300 are empty; centres 50 apart (squared) on a diagonal of 625; and the sides' ratios
        # 1/2 and 1: v = 4 / pi^2 * (0.4636476 - 0.7853982)^2 = 0.0419565, of which 0.0419565 / 0.8419565 counts
        ([0, 0, 10, 10], [5, 0, 15, 20], (0.2, 1 / 30, 0.1179092)),
    ],
)
def test_worked_examples(a, b, wanted) -> None:
    found = [overlap(torch.tensor(a), torch.tensor(b)).item() for overlap in OVERLAPS.values()]
    assert found == pytest.approx(wanted, abs=1e-6)


BOX = st.tuples(*[st.floats(-500, 500)] * 2, *[st.floats(0.5, 300)] * 2).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)


@given(BOX, BOX, st.floats(-1000, 1000), st.floats(0.1, 100))
def test_symmetry_ranges_and_invariance(a, b, shift, scale) -> None:
    one, other = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    for name, overlap in OVERLAPS.items():
        found = overlap(one, other).item()
        assert LEAST[name] - 1e-12 <= found <= 1 + 1e-12
        assert found <= iou(one, other).item() + 1e-12
        assert overlap(one, one).item() == pytest.approx(1, abs=1e-12)
        for other_way in (
            overlap(other, one),
            overlap(one + shift, other + shift),
            overlap(one * scale, other * scale),
        ):
            assert other_way.item() == pytest.approx(found, abs=1e-9)


def random_boxes(count: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    drawn = torch.rand(count, 4, generator=torch.Generator().manual_seed(count), dtype=dtype)
    return torch.cat([drawn[:, :2] * 20, drawn[:, :2] * 20 + 1 + drawn[:, 2:] * 30], 1)


@pytest.mark.parametrize("name", ["iou", "giou"])
def test_gradients(name: str) -> None:
    a, b = random_boxes(6).requires_grad_(), random_boxes(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: OVERLAPS[name](a[:, None], b), (a, b))


def test_gradient_of_ciou_takes_the_weight_for_a_constant() -> None:
    a, b = random_boxes(6), random_boxes(7)[:6]
    rows = [(one, other) for one, other in zip(a.tolist(), b.tolist(), strict=True)]
    weights = torch.tensor([aspect(*row) for row in rows], dtype=torch.float64)
    weights = weights / (1 - iou(a, b) + weights)

    def frozen(a: torch.Tensor) -> torch.Tensor:
        (xa, ya, wa, ha), (xb, yb, wb, hb) = xyxy_to_cxcywh(a).unbind(1), xyxy_to_cxcywh(b).unbind(1)
        hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
        shapes = 4 / math.pi**2 * ((wa / ha).atan() - (wb / hb).atan()) ** 2
        return iou(a, b) - ((xa - xb) ** 2 + (ya - yb) ** 2) / (hull**2).sum(1) - weights * shapes

    numeric = torch.zeros_like(a)
    for side in range(4):
        step = torch.zeros(4, dtype=torch.float64)
        step[side] = 1e-6
        numeric[:, side] = (frozen(a + step) - frozen(a - step)) / 2e-6
    moved = a.clone().requires_grad_()
    (found,) = torch.autograd.grad(ciou(moved, b).sum(), moved)
    torch.testing.assert_close(found, numeric, rtol=1e-5, atol=1e-8)


ODD = torch.tensor(
    [
        [0, 0, 0, 0],  # what pads a batch
        [5, 5, 5, 5],
        [3, 0, 3, 8],  # lines
        [0, 3, 8, 3],
        [8, 8, 2, 2],  # the wrong way round
        [0, 0, 10, 10],
        [2, 2, 2 + 1e-6, 2 + 1e-6],
        [1e-30, 0, 1e-20, 1e-25],
        [-1e6, -1e6, 1e6, 1e6],
        [1e6, 1e6, 1e6 + 1, 1e6 + 1],
        [0, 0, 1e20, 1e20],
        [1e20, -1e20, 3e20, 2e20],
        [-3e38, -3e38, 3e38, 3e38],
    ]
)


@pytest.mark.parametrize("name", OVERLAPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_odd_boxes_give_finite_values_and_gradients(name: str, dtype: torch.dtype) -> None:
    a, b = ODD.to(dtype).requires_grad_(), ODD.to(dtype).requires_grad_()
    found = OVERLAPS[name](a[:, None], b)
    assert found.isfinite().all()
    upright = (ODD[:, 2:] >= ODD[:, :2]).all(1)
    inside = found[upright][:, upright]
    assert (inside <= 1 + 1e-6).all() and (inside >= LEAST[name] - 1e-6).all()
    for gradient in torch.autograd.grad(found.sum(), (a, b)):
        assert gradient.isfinite().all()
    assert OVERLAPS[name](ODD[[5, 8, 10, 12]], ODD[[5, 8, 10, 12]]).tolist() == [1, 1, 1, 1]
    assert not iou(ODD[:4, None], ODD).any()  # no area, no overlap, not with itself either


@pytest.mark.parametrize("name", ["giou", "ciou"])
def test_boxes_that_share_nothing_are_drawn_together(name: str) -> None:
    a = torch.tensor([0.0, 0, 10, 10], requires_grad=True)
    OVERLAPS[name](a, torch.tensor([20.0, 0, 30, 10])).backward()
    assert a.grad is not None and a.grad[[0, 2]].sum() > 0


@pytest.mark.parametrize("name", OVERLAPS)
def test_narrow_numbers_and_autocast_compute_in_float32(name: str) -> None:
    a, b = random_boxes(6, torch.float32), random_boxes(5, torch.float32)
    wanted = OVERLAPS[name](a[:, None], b)
    for dtype in (torch.bfloat16, torch.float16):
        narrow = OVERLAPS[name](a[:, None].to(dtype), b.to(dtype))
        assert narrow.dtype == torch.float32
        assert torch.equal(narrow, OVERLAPS[name](a[:, None].to(dtype).float(), b.to(dtype).float()))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(OVERLAPS[name](a[:, None], b), wanted)
    assert OVERLAPS[name](a.long()[:, None], b.long()).dtype == torch.float32


def test_shapes_are_known_without_numbers() -> None:
    with FakeTensorMode():
        a, b = torch.empty(2, 7, 1, 4, requires_grad=True), torch.empty(2, 1, 9, 4)
        for overlap in OVERLAPS.values():
            found = overlap(a, b)
            assert found.shape == (2, 7, 9)
            assert torch.autograd.grad(found.sum(), a)[0].shape == a.shape


@given(st.lists(BOX, min_size=1, max_size=4), st.floats(-500, 500), st.floats(-500, 500))
def test_forms_of_a_box(boxes, x, y) -> None:
    xyxy, point = torch.tensor(boxes, dtype=torch.float64), torch.tensor([x, y], dtype=torch.float64)
    for row, box in zip(xyxy_to_cxcywh(xyxy).tolist(), boxes, strict=True):
        left, top, right, bottom = box
        assert row == pytest.approx([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], abs=1e-9)
    for row, (left, top, right, bottom) in zip(xyxy_to_ltrb(xyxy, point).tolist(), boxes, strict=True):
        assert row == pytest.approx([x - left, y - top, right - x, bottom - y], abs=1e-9)
    torch.testing.assert_close(cxcywh_to_xyxy(xyxy_to_cxcywh(xyxy)), xyxy, rtol=0, atol=1e-9)
    torch.testing.assert_close(ltrb_to_xyxy(xyxy_to_ltrb(xyxy, point), point), xyxy, rtol=0, atol=1e-9)
