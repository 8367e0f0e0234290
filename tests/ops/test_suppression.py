"""Suppression against the plainest loops: exact fractions on whole pixels, and random scenes with ties and copies."""

import math
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.base.errors import ModelError
from striate.ops import iou, multiclass_nms, nms, soft_nms, suppression


def overlap(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return Fraction(width * height, union) if isinstance(union, int) else width * height / union


def one_by_one(boxes, scores, classes, threshold, least=0.0, most=None) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        rivals = [j for j in kept if classes[j] == classes[i]]
        if scores[i] >= least and not any(overlap(boxes[j], boxes[i]) > threshold for j in rivals):
            kept.append(i)
    return kept[:most]


@st.composite
def scenes(draw):
    """Boxes on whole pixels, many of them equal, with few different scores, of three classes."""
    side = st.integers(0, 8)
    box = st.tuples(side, side, st.integers(1, 6), st.integers(1, 6)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    )
    known = draw(st.lists(box, min_size=1, max_size=8))
    row = st.tuples(st.sampled_from(known), st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]), st.integers(0, 2))
    return draw(st.lists(row, max_size=40))


@given(scenes(), st.sampled_from(["0.0", "0.3", "0.5", "0.6", "1.0"]), st.integers(1, 9), st.integers(1, 30))
def test_whole_pixels_in_fractions(rows, threshold: str, block: int, pairs: int) -> None:
    boxes, scores, classes = ([row[part] for row in rows] for part in range(3))
    given_ = (
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores),
        torch.tensor(classes, dtype=torch.int64),
    )
    wanted = one_by_one(boxes, scores, classes, Fraction(threshold))
    with mock.patch.multiple(suppression, _BLOCK=block, _PAIRS=pairs):
        assert nms(*given_, iou_threshold=float(threshold)).tolist() == wanted
        assert nms(*given_, iou_threshold=float(threshold), max_detections=3).tolist() == wanted[:3]
    likely = one_by_one(boxes, scores, classes, Fraction(threshold), least=0.5)
    assert nms(*given_, iou_threshold=float(threshold), score_threshold=0.5).tolist() == likely
    alone = one_by_one(boxes, scores, [0] * len(rows), Fraction(threshold))
    assert nms(*given_[:2], iou_threshold=float(threshold)).tolist() == alone


def random_scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Up to 150 boxes: some around a few objects, some anywhere, some copied; scores of 8 bits, up to 5 classes."""
    drawn = np.random.default_rng(seed)
    count, objects = int(drawn.integers(1, 150)), drawn.uniform(0, 300, (4, 4))
    boxes = np.where(
        drawn.random((count, 1)) < 0.6, objects[drawn.integers(0, 4, count)], drawn.uniform(0, 300, (count, 4))
    )
    boxes[:, 2:] = boxes[:, 2:] / 3 + 2
    boxes += drawn.normal(0, 3, (count, 4))
    boxes[:, 2:] = boxes[:, :2] + np.abs(boxes[:, 2:])
    boxes = boxes[drawn.integers(0, count, count)] if drawn.random() < 0.5 else boxes
    return boxes, drawn.integers(0, 256, count) / 256, drawn.integers(0, drawn.integers(1, 6), count)


def check_scene(seed: int) -> None:
    boxes, scores, classes = random_scene(seed)
    given_ = tuple(map(torch.from_numpy, (boxes, scores, classes)))
    with mock.patch.multiple(suppression, _BLOCK=1 + seed % 40, _PAIRS=1 + seed % 500):
        for threshold in (0.3, 0.6):
            found = nms(*given_, iou_threshold=threshold, score_threshold=0.125).tolist()
            assert found == one_by_one(boxes.tolist(), scores, classes, threshold, least=0.125)


@pytest.mark.parametrize("seed", range(100))
def test_random_scenes(seed: int) -> None:
    check_scene(seed)


@pytest.mark.slow
def test_two_thousand_random_scenes() -> None:
    for seed in range(100, 2100):
        check_scene(seed)


def test_thousands_of_boxes() -> None:
    """Every kept pair overlaps too little, and whoever is gone overlaps a surer one that is kept."""
    drawn = torch.rand(3000, 4, generator=torch.Generator().manual_seed(3))
    boxes = torch.cat([drawn[:, :2] * 300, drawn[:, :2] * 300 + 5 + drawn[:, 2:] * 60], 1)
    scores, classes = drawn.sum(1), torch.arange(3000) % 7 % 3
    kept = nms(boxes, scores, classes, iou_threshold=0.5)
    assert 1024 < len(kept) < 2900
    order = scores.argsort(descending=True, stable=True)
    rank = order.argsort()
    over = (iou(boxes[:, None], boxes[kept]) > 0.5) & (classes[:, None] == classes[kept])
    over &= rank[:, None] > rank[kept]
    there = torch.zeros(3000, dtype=torch.bool)
    there[kept] = True
    assert torch.equal(over.any(1), ~there)
    assert torch.equal(rank[kept], rank[kept].sort().values)


def test_a_chain_is_taken_apart_from_its_surest_end() -> None:
    starts = torch.arange(0.0, 100, 10)
    boxes = torch.stack([starts, starts * 0, starts + 30, starts * 0 + 1], 1)  # neighbours share a half
    assert nms(boxes, 1 - starts / 200, iou_threshold=0.4).tolist() == [0, 2, 4, 6, 8]
    assert nms(boxes, 0.1 + starts / 200, iou_threshold=0.4).tolist() == [9, 7, 5, 3, 1]


def test_what_is_no_box_or_no_score_counts_for_nothing() -> None:
    whole = [0.0, 0, 10, 10]
    boxes = [whole, [math.nan, 0, 10, 10], [0, 0, math.inf, 10], whole, [5, 5, 5, 5], [5, 5, 5, 5], [9, 9, 1, 1], whole]
    scores = torch.tensor([0.5, 0.9, 0.9, math.nan, 0.3, 0.2, 0.1, 0.4])
    assert nms(torch.tensor(boxes), scores).tolist() == [0, 4, 5, 6]
    assert soft_nms(torch.tensor(boxes), scores)[0].tolist() == [0, 4, 5, 6]
    nothing = torch.zeros(0, 4), torch.zeros(0)
    assert nms(*nothing).tolist() == soft_nms(*nothing)[0].tolist() == []
    assert nms(torch.tensor(boxes), scores, score_threshold=0.99).tolist() == []


def test_far_boxes_and_large_class_indices() -> None:
    boxes = torch.tensor([[1e6, 0, 1e6 + 100, 100], [1e6 + 1, 0, 1e6 + 100, 100], [-1e8, -1e8, 1e8, 1e8]])
    scores, classes = torch.tensor([0.7, 0.9, 0.8]), torch.tensor([10**6, 10**6, -5])
    assert nms(boxes, scores, classes).tolist() == [1, 2]
    assert nms(boxes[:1].bfloat16(), scores[:1].bfloat16(), classes[:1].int()).tolist() == [0]


def test_a_batch_is_each_picture_and_each_class_by_itself() -> None:
    drawn = torch.Generator().manual_seed(5)
    scores = torch.rand(3, 20, 4, generator=drawn) * torch.tensor([1.0, 1, 0]).reshape(3, 1, 1)
    corners = torch.rand(3, 20, 2, generator=drawn) * 20
    boxes = torch.cat([corners, corners + 10 + 5 * torch.rand(3, 20, 2, generator=drawn)], 2)
    found = multiclass_nms(boxes, scores, iou_threshold=0.4, score_threshold=0.2, max_detections=30)
    assert len(found) == 3 and len(found[2].boxes) == len(found[2].scores) == len(found[2].classes) == 0
    for picture in range(2):
        rows = [
            (score, box, index)
            for index in range(4)
            for box, score in zip(boxes[picture].tolist(), scores[picture, :, index].tolist(), strict=True)
        ]
        kept = one_by_one([r[1] for r in rows], [r[0] for r in rows], [r[2] for r in rows], 0.4, least=0.2, most=30)
        assert found[picture].boxes.tolist() == [rows[i][1] for i in kept]
        assert found[picture].scores.tolist() == [rows[i][0] for i in kept]
        assert found[picture].classes.tolist() == [rows[i][2] for i in kept]


def softly(boxes, scores, classes, lowered_by, least) -> tuple[list[int], list[float]]:
    """Soft-NMS as in the paper's figure 2: take the surest, lower the others, until none is left."""
    left = {i: score for i, score in enumerate(scores) if score >= least}
    kept, final = [], []
    while left:
        best = max(left, key=lambda i: (left[i], -i))
        kept.append(best)
        final.append(left.pop(best))
        for i in left:
            if classes[i] == classes[best]:
                left[i] *= lowered_by(overlap(boxes[best], boxes[i]))
        left = {i: score for i, score in left.items() if score >= least}
    return kept, final


@pytest.mark.parametrize("seed", range(40))
def test_soft_suppression_one_by_one(seed: int) -> None:
    boxes, scores, classes = random_scene(seed)
    given_ = tuple(map(torch.from_numpy, (boxes, scores, classes)))
    rules = {
        "linear": lambda overlap: 1 - overlap if overlap >= 0.3 else 1,
        "gaussian": lambda overlap: math.exp(-(overlap**2) / 0.5),
    }
    for decay, rule in rules.items():
        wanted, final = softly(boxes.tolist(), scores.tolist(), classes.tolist(), rule, 0.05)
        found, lowered = soft_nms(*given_, decay=decay, score_threshold=0.05)
        assert found.tolist() == wanted
        assert lowered.tolist() == pytest.approx(final, rel=1e-12)
        most, _ = soft_nms(*given_, decay=decay, score_threshold=0.05, max_detections=5)
        assert most.tolist() == wanted[:5]


def test_soft_suppression_on_a_worked_example() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10]])  # a half, and a copy
    scores = torch.tensor([0.9, 0.8, 0.7])
    found, lowered = soft_nms(boxes, scores)
    assert found.tolist() == [0, 1] and lowered.tolist() == pytest.approx([0.9, 0.4])
    found, lowered = soft_nms(boxes, scores, decay="gaussian")  # exp(-0.5) = .606531 of the half, exp(-2) of the copy,
    assert found.tolist() == [0, 1, 2]  # which overlaps the half as well
    assert lowered.tolist() == pytest.approx([0.9, 0.8 * 0.606531, 0.7 * 0.135335 * 0.606531], rel=1e-5)


@pytest.mark.parametrize(
    ("function", "arguments", "options", "said"),
    [
        (nms, (torch.zeros(3, 4), torch.zeros(2)), {}, r"boxes \[N, 4\]"),
        (nms, (torch.zeros(3, 5), torch.zeros(3)), {}, r"boxes \[N, 4\]"),
        (nms, (torch.zeros(3, 4), torch.zeros(3), torch.zeros(1)), {}, r"classes \[N\]"),
        (soft_nms, (torch.zeros(3, 4), torch.zeros(2)), {}, r"boxes \[N, 4\]"),
        (soft_nms, (torch.zeros(3, 4), torch.zeros(3)), {"decay": "cubic"}, "'gaussian'"),
        (soft_nms, (torch.zeros(3, 4), torch.zeros(3)), {"sigma": 0.0}, "positive"),
        (multiclass_nms, (torch.zeros(1, 3, 4), torch.zeros(1, 2, 7)), {}, r"scores \[N, P, C\]"),
        (nms, (torch.zeros(3, 4), torch.zeros(3)), {"iou_threshold": 60}, "an IoU is 0 to 1"),
        (nms, (torch.zeros(3, 4), torch.zeros(3)), {"max_detections": 0}, "the least is 1"),
        (nms, (torch.zeros(3, 4), torch.zeros(3)), {"score_threshold": 5}, "nms: score_threshold is 5; .* 0 to 1"),
        (soft_nms, (torch.zeros(3, 4), torch.zeros(3)), {"score_threshold": float("nan")}, "score_threshold is nan"),
        (multiclass_nms, (torch.zeros(1, 3, 4), torch.zeros(1, 3, 7)), {"score_threshold": -1}, "score_threshold is"),
    ],
)
def test_wrong_arguments(function, arguments, options, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        function(*arguments, **options)
