"""The objects of a large photograph, each once: by the definition, on known scenes, and counted with jitter."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data.records import Classes
from striate.ops.suppression import nms
from striate.pictures.geometry import Geometry
from striate.pictures.tiles import Tiling
from striate.tasks.detect import Detect, Detection
from striate.tasks.detect_tiles import each_once

SIZE = (100, 180)  # of a photograph in two tiles, left and right, which share 80..100
LEFT, RIGHT, WHOLE = [0.0, 0, 100, 100], [80.0, 0, 180, 100], [0.0, 0, 180, 100]


def merged(*rows, size=SIZE):
    """Rows of (box, score, name, window) to the rows (box, score, name) that stay."""
    boxes, scores, names, windows = zip(*rows, strict=True)
    kept, around = each_once(np.array(boxes, float), np.array(scores), np.array(names), np.array(windows, float), size)
    return [(box, scores[at], names[at]) for at, box in zip(kept, around.tolist(), strict=True)]


def test_nothing_is_merged_of_nothing():
    none = np.zeros((0, 4))
    kept, around = each_once(none, np.zeros(0), np.array([], dtype=str), none, SIZE)
    assert len(kept) == 0 and around.shape == (0, 4)


def test_a_half_is_gone_where_the_whole_is_seen_however_sure_it_is_and_whatever_it_is_called():
    whole = ([85.0, 20, 115, 40], 0.4, "truck")
    half = [85.0, 20, 100, 40]
    for name in ("truck", "car"):
        assert merged((half, 0.9, name, LEFT), (*whole, RIGHT)) == [whole]
    assert merged((half, 0.9, "car", LEFT)) == [(half, 0.9, "car")]  # nobody sees more


def test_a_half_as_a_detector_says_it():
    """Not quite up to the border, and a little off."""
    whole = ([85.0, 20, 115, 40], 0.6, "car")
    assert merged(([86.0, 19, 98.5, 42], 0.7, "car", LEFT), (*whole, RIGHT)) == [whole]


def test_two_views_of_one_object_are_the_surer_and_of_other_classes_both():
    one, other = ([82.0, 20, 97, 40], 0.7, "car"), ([83.0, 21, 97, 40], 0.8, "car")
    assert merged((*one, LEFT), (*other, RIGHT)) == [other]
    assert merged((*one, RIGHT), (*other, LEFT)) == [other]
    assert merged((*one, LEFT), (*one, RIGHT)) == [one]
    truck = (*other[:2], "truck")
    assert merged((*one, LEFT), (*truck, RIGHT)) == [truck, one]


def test_objects_that_cover_each_other_stay_as_the_view_told_them_apart():
    front, behind = ([84.0, 20, 96, 40], 0.9, "car"), ([87.0, 22, 97, 44], 0.8, "car")
    assert merged((*front, LEFT), (*behind, LEFT)) == [front, behind]
    assert merged((*front, LEFT), (*behind, LEFT), (*front, RIGHT), (*behind, RIGHT)) == [front, behind]


def test_a_small_object_at_the_border_is_no_piece_of_the_large_one_behind_it():
    """As merging by the smaller box's area would have it."""
    large, small = ([85.0, 10, 150, 90], 0.9, "car"), ([88.0, 40, 100, 50], 0.8, "car")
    assert merged((*large, RIGHT), (*small, LEFT)) == [large, small]


def test_pieces_that_no_view_shows_whole_are_joined_with_the_score_of_the_surest():
    pieces = [([30.0, 20, 100, 40], 0.5, "car"), ([80.0, 20, 150, 41], 0.8, "car")]
    assert merged((*pieces[0], LEFT), (*pieces[1], RIGHT)) == [([30.0, 20, 150, 41], 0.8, "car")]
    there = ([31.0, 20, 149, 40], 0.4, "car")
    assert merged((*pieces[0], LEFT), (*pieces[1], RIGHT), (*there, WHOLE)) == [there]
    others = (*pieces[0][:2], "truck")
    assert len(merged((*others, LEFT), (*pieces[1], RIGHT))) == 2
    apart = ([80.0, 60, 150, 80], 0.8, "car")
    assert len(merged((*pieces[0], LEFT), (*apart, RIGHT))) == 2


def test_the_photographs_own_border_cuts_nothing():
    edge = ([0.0, 0, 30, 40], 0.4, "car")
    surer = ([0.0, 0, 30, 38], 0.9, "car")
    assert merged((*edge, LEFT), (*surer, WHOLE)) == [surer]  # by score: neither is a piece


def by_definition(boxes, scores, names, windows, size):
    """The three steps of the module's first lines, box by box."""

    def area(box):
        return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])

    def clipped(box, other):
        return [max(box[0], other[0]), max(box[1], other[1]), min(box[2], other[2]), min(box[3], other[3])]

    def agree(i, j):
        both = clipped(windows[i], windows[j])
        if windows[i] == windows[j] or both[0] >= both[2] or both[1] >= both[3]:
            return False
        one, other = clipped(boxes[i], both), clipped(boxes[j], both)
        shared = area(clipped(one, other))
        union = area(one) + area(other) - shared
        return union > 0 and shared / union > 0.3

    def piece(i):
        side = max(windows[i][2] - windows[i][0], windows[i][3] - windows[i][1])
        edges = zip(boxes[i], windows[i], [0, 0, size[1], size[0]], strict=True)
        return any(border != end and abs(edge - border) <= 0.02 * side for edge, border, end in edges)

    ranked = sorted(range(len(boxes)), key=lambda i: -scores[i])
    wholes = []
    for i in (i for i in ranked if not piece(i)):
        if not any(agree(i, k) and names[i] == names[k] for k in wholes):
            wholes.append(i)
    left = [i for i in ranked if piece(i) and not any(agree(i, k) for k in wholes)]
    found = [(tuple(boxes[i]), scores[i], names[i]) for i in wholes]
    while left:
        together = [left.pop(0)]
        while more := [j for j in left if any(agree(i, j) and names[i] == names[j] for i in together)]:
            together += more
            left = [j for j in left if j not in more]
        sides = list(zip(*(boxes[i] for i in together), strict=True))
        box = (min(sides[0]), min(sides[1]), max(sides[2]), max(sides[3]))
        found.append((box, max(scores[i] for i in together), names[together[0]]))
    return sorted(found)


@given(st.integers(0, 100_000), st.integers(0, 60), st.sampled_from([(150, 170), (100, 300), (230, 90)]))
def test_merging_is_that_of_the_definition(seed, count, size):
    drawn = np.random.default_rng(seed)
    windows = np.concatenate([*(place.window for place in Tiling(64).places(*size)), Geometry(*size).window])
    rows = windows[drawn.integers(0, len(windows), count)].reshape(-1, 4)
    corners = np.sort(drawn.uniform(-0.2, 1.2, (count, 2, 2)).clip(0, 1), axis=1)
    boxes = rows[:, [0, 1, 0, 1]] + corners.reshape(-1, 4) * (rows[:, 2:] - rows[:, :2])[:, [0, 1, 0, 1]]
    scores = drawn.permutation(count) / 100
    names = np.array(["cat", "dog"])[drawn.integers(0, 2, count)]
    kept, around = each_once(boxes, scores, names, rows, size)
    assert (np.diff(scores[kept]) <= 0).all()
    found = [(tuple(box), scores[at], names[at]) for at, box in zip(kept, around.tolist(), strict=True)]
    assert sorted(found) == by_definition(boxes.tolist(), scores.tolist(), names.tolist(), rows.tolist(), size)


def test_the_whole_answers_only_for_what_may_lie_whole_in_no_tile():
    tiling, size = Tiling(100, 0.25), (100, 400)
    rough = [Detection("car", 0.9, (40.0, 20, 60, 45)), Detection("car", 0.5, (200.0, 20, 226, 45))]
    exact = [Detection("car", 0.6, (45.0, 25, 70, 50))]
    places = tiling.places(*size)
    parts = [(place, exact if place.window[0][0] == 0 else []) for place in places]
    assert Detect(Classes(("car",))).merged(iter([*parts, (Geometry(*size), rough)]), tiling) == (exact[0], rough[1])


def seen(drawn, objects, names, window, scale, jitter=0.7):
    """What a detector says of a view: the visible parts, each edge off by ``jitter`` input pixels and a 25th of a side.

    Of parts one in three is called something else; what is a third visible or less is often not found, nor is one
    object in twenty, nor what has less than 4 input pixels.
    """
    parts = np.concatenate([np.maximum(objects[:, :2], window[:2]), np.minimum(objects[:, 2:], window[2:])], axis=1)
    sides = np.clip(parts[:, 2:] - parts[:, :2], 0, None)
    visible = sides.prod(1) / (objects[:, 2:] - objects[:, :2]).prod(1)
    found = (sides.min(1) * scale >= 4) & (drawn.uniform(size=len(parts)) < 0.95 * np.minimum(1, 1.5 * visible + 0.1))
    spread = jitter / scale + 0.04 * sides[:, [0, 1, 0, 1]]
    boxes = np.clip(parts + spread * drawn.normal(size=parts.shape), window[[0, 1, 0, 1]], window[[2, 3, 2, 3]])
    scores = np.clip(0.35 + 0.5 * visible + 0.12 * drawn.normal(size=len(parts)), 0.3, 0.99)
    wrong = (visible < 0.6) & (drawn.uniform(size=len(parts)) < 1 / 3)
    return boxes[found], scores[found], np.where(wrong, 1 - names, names)[found]


def scene(drawn, count, low, high, size):
    """Objects that cover each other up to an IoU of 0.45."""
    objects = np.zeros((0, 4))
    while len(objects) < count:
        sides = np.exp(drawn.uniform(np.log(low), np.log(high), 2)).clip(max=min(size) - 1)
        corner = drawn.uniform(0, size[::-1] - sides)
        new = np.concatenate([corner, corner + sides])
        if not len(objects) or overlap(new, objects).max() < 0.45:
            objects = np.concatenate([objects, new[None]])
    return objects


def overlap(box, others):
    shared = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None).prod(1)
    areas = [(each[..., 2:] - each[..., :2]).prod(-1) for each in (box, others)]
    return shared / (sum(areas) - shared)


def counted(boxes, scores, names, objects, truth):
    """How many objects are found (IoU over 0.5, right class), and how many answers are too many."""
    free = np.ones(len(objects), bool)
    for at in np.argsort(-scores):
        match = overlap(boxes[at], objects) * free * (truth == names[at])
        free[match.argmax()] &= match.max() <= 0.5
    return int((~free).sum()), len(boxes) - int((~free).sum())


@pytest.mark.parametrize(
    ("low", "high", "count", "least", "most", "plainly"),
    [(16, 150, 220, 0.95, 0.02, 0.2), (100, 900, 20, 0.95, 0.05, 0.9)],
    ids=["small and crowded", "larger than the overlap"],
)
def test_with_a_detectors_jitter_objects_are_found_once_where_plain_suppression_finds_more(
    low, high, count, least, most, plainly
):
    """At least so many of the objects are found, and at most so many answers an object too many; plain NMS has more."""
    size = np.array([1600, 1600])
    tiling = Tiling(640)
    windows = np.concatenate([*(place.window for place in tiling.places(*size.tolist())), [[0.0, 0, *size[::-1]]]])
    ours, theirs, objects_there = np.zeros(2), np.zeros(2), 0
    for seed in range(3):
        drawn = np.random.default_rng(seed)
        objects, truth = scene(drawn, count, low, high, size), drawn.integers(0, 2, count)
        views = [seen(drawn, objects, truth, window, 320 / (window[2] - window[0])) for window in windows]
        boxes, scores, names = (np.concatenate(part) for part in zip(*views, strict=True))
        rows = np.repeat(windows, [len(view[0]) for view in views], axis=0)
        kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(names), iou_threshold=0.5)
        theirs += counted(boxes[kept], scores[kept], names[kept], objects, truth)
        large = ((boxes[:, 2:] - boxes[:, :2]).max(1) > tiling.shared) | (rows != [0, 0, *size[::-1]]).any(1)
        boxes, scores, names, rows = boxes[large], scores[large], names[large], rows[large]
        kept, around = each_once(boxes, scores, names.astype(str), rows, tuple(size.tolist()))
        ours += counted(around, scores[kept], names[kept], objects, truth)
        objects_there += count
    found, extra = ours / objects_there
    said = f"found {found:.3f} with {extra:.3f} too many an object; plain suppression {theirs / objects_there}"
    assert found >= least and extra <= most, said
    assert theirs[1] / objects_there >= plainly, said
