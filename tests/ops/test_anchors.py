"""Anchors: clusters that are there, all partitions of a few sizes, losses counted by hand, and published anchors."""

import itertools
import json
import math
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.base.errors import DataError, ModelError
from striate.ops import AnchorReport, anchor_report, anchors_by_kmeans

YOLOV3 = [[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119], [116, 90], [156, 198], [373, 326]]


def overlap(a, b) -> float:
    shared = min(a[0], b[0]) * min(a[1], b[1])
    return shared / (a[0] * a[1] + b[0] * b[1] - shared)


def mean_best(sizes, anchors) -> float:
    return sum(max(overlap(size, anchor) for anchor in anchors) for size in sizes) / len(sizes)


def test_clusters_that_are_there() -> None:
    drawn = torch.Generator().manual_seed(0)
    centres = torch.tensor([[12.0, 40], [60, 20], [100, 100], [150, 300]])
    groups = [centre * (0.95 + 0.1 * torch.rand(50, 2, generator=drawn)) for centre in centres]
    sizes = torch.cat(groups)[torch.randperm(200, generator=drawn)]
    found = anchors_by_kmeans(sizes, 4)
    wanted = torch.stack([group.double().mean(0) for group in groups])
    torch.testing.assert_close(found, wanted[wanted.prod(1).argsort()], rtol=1e-6, atol=0)


SIZES = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=3, max_size=7, unique=True)


@given(SIZES, st.integers(1, 3), st.integers(0, 3))
def test_anchors_are_means_of_their_own(sizes, count: int, seed: int) -> None:
    anchors = anchors_by_kmeans(torch.tensor(sizes), count, seed).tolist()
    areas = [width * height for width, height in anchors]
    assert areas == sorted(areas)
    own: dict[int, list] = {index: [] for index in range(count)}
    for size in sizes:
        own[max(range(count), key=lambda index: overlap(size, anchors[index]))].append(size)
    for anchor, members in zip(anchors, own.values(), strict=True):
        assert not members or anchor == pytest.approx([sum(side) / len(members) for side in zip(*members, strict=True)])


def best_end(sizes, count: int) -> float:
    """The highest mean IoU with which k-means can end: nobody is nearer to another mean than to its own."""
    best = 0.0
    for owners in itertools.product(range(count), repeat=len(sizes)):
        parts = [[size for size, owner in zip(sizes, owners, strict=True) if owner == each] for each in range(count)]
        if all(parts):
            means = [[sum(side) / len(part) for side in zip(*part, strict=True)] for part in parts]
            kept = [overlap(size, means[owner]) for size, owner in zip(sizes, owners, strict=True)]
            if all(mine >= mean_best([size], means) for mine, size in zip(kept, sizes, strict=True)):
                best = max(best, mean_best(sizes, means))
    return best


def test_starts_are_enough_to_end_where_k_means_ends_best() -> None:
    """No number of starts can promise it: of 2,483 sets twenty left one at 0.70 of the best end, five left two."""
    drawn, reached = random.Random(0), []
    while len(reached) < 200:
        side = drawn.choice([5, 30, 300])
        sizes = list({(drawn.randint(1, side), drawn.randint(1, side)) for _ in range(drawn.randint(3, 6))})
        count = drawn.randint(1, 3)
        if len(sizes) >= 3 and (best := best_end(sizes, count)):
            reached.append(mean_best(sizes, anchors_by_kmeans(torch.tensor(sizes), count).tolist()) / best)
    assert min(reached) > 0.75
    assert sum(each > 0.999 for each in reached) >= 0.9 * len(reached)


def test_a_size_counts_as_often_as_it_occurs() -> None:
    sizes = torch.tensor([[10, 10], [10, 10], [10, 10], [20, 30], [300, 300], [300, 300]])
    assert anchors_by_kmeans(sizes, 2).tolist() == [[12.5, 15], [300, 300]]


def test_the_order_of_sizes_does_not_matter_and_the_seed_is_all_chance() -> None:
    drawn = torch.Generator().manual_seed(1)
    sizes = 1 + 200 * torch.rand(300, 2, generator=drawn)
    found = anchors_by_kmeans(sizes, 5, seed=3)
    assert torch.equal(found, anchors_by_kmeans(sizes[torch.randperm(300, generator=drawn)], 5, seed=3))
    assert found.dtype == torch.float64


def test_what_is_lost_counted_by_hand() -> None:
    first = [
        [0, 0, 20, 20],  # the small anchor, stride 16, cell (0, 0)
        [2, 2, 22, 22],  # and again, its centre (12, 12): lost
        [6, 6, 26, 26],  # its centre (16, 16) is in the next cell
        [0, 0, 30, 10],  # the small anchor, cell (0, 0): lost. IoU 10 * 20 / (300 + 400 - 200) = 0.4
        [0, 0, 100, 100],  # the large anchor, stride 32, cell (1, 1)
        [90, 90, 100, 100],  # IoU 0.25 with the small one; both sides under 16
    ]
    second = [[0, 0, 20, 20]]  # of another picture
    boxes = [torch.tensor(part, dtype=torch.float32).reshape(-1, 4) for part in (first, [], second)]
    report = anchor_report(boxes, torch.tensor([[20.0, 20], [100, 100]]), [16, 32])
    mean = (1 + 1 + 1 + 0.4 + 1 + 0.25 + 1) / 7
    assert report == AnchorReport(7, pytest.approx(mean), pytest.approx(5 / 7), collisions=2, small=1)


def test_own_anchors_fit_better_than_those_of_another_data_set(shared_data: Path) -> None:
    told = json.loads((shared_data / "coco128" / "instances.json").read_text())
    longest = {image["id"]: max(image["width"], image["height"]) for image in told["images"]}
    boxes: dict[int, list] = {image: [] for image in longest}
    for annotation in told["annotations"]:
        left, top, width, height = (side * 416 / longest[annotation["image_id"]] for side in annotation["bbox"])
        boxes[annotation["image_id"]].append([left, top, left + width, top + height])
    each = [torch.tensor(part, dtype=torch.float64).reshape(-1, 4) for part in boxes.values()]
    every = torch.cat(each)
    own = anchors_by_kmeans(every[:, 2:] - every[:, :2], 9)
    ours, theirs = (anchor_report(each, anchors, [8, 16, 32]) for anchors in (own, torch.tensor(YOLOV3)))
    assert ours.objects == theirs.objects == len(told["annotations"])
    assert ours.mean_best_iou > theirs.mean_best_iou
    sizes = [[box[2] - box[0], box[3] - box[1]] for box in every.tolist()]
    assert ours.mean_best_iou == pytest.approx(mean_best(sizes, own.tolist()))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: anchors_by_kmeans(torch.ones(5, 2), 2), DataError, "different sizes; there are 1"),
        (lambda: anchors_by_kmeans(torch.tensor([[1.0, 2], [0, 3], [2, float("nan")]]), 1), DataError, "2 of 3 boxes"),
        (lambda: anchors_by_kmeans(torch.tensor([[1.0, math.inf], [3, 3]]), 1), DataError, "1 of 2 boxes have no size"),
        (lambda: anchors_by_kmeans(torch.ones(5, 4), 2), ModelError, r"sizes \[K, 2\]"),
        (lambda: anchors_by_kmeans(torch.ones(5, 2), 0), ModelError, "a count from 1"),
        (lambda: anchor_report([torch.ones(1, 4)], torch.ones(4, 2), [8, 16, 32]), ModelError, "4 anchors"),
        (lambda: anchor_report([torch.ones(0, 4)], torch.ones(3, 2), [8]), DataError, "no boxes"),
        (lambda: anchor_report([], torch.ones(3, 2), [8]), DataError, "no boxes"),
    ],
)
def test_wrong_arguments(call, error, said: str) -> None:
    with pytest.raises(error, match=said):
        call()
