"""Figures of segmentation against plain counting, and what is true of them whatever the pictures are."""

import math

import numpy as np
import pytest
import torch

from striate.data.records import Batch, Classes, Record
from striate.data.targets import Mask
from striate.pictures.geometry import Geometry
from striate.pictures.preprocess import Preprocess
from striate.tasks.segment import Segment
from striate.tasks.segment_boundaries import TOLERANCE, boundary_counts
from striate.tasks.segment_figures import margins

CLASSES = Classes(("sky", "road", "car", "moon"))  # no picture shows a moon


def blobs(random, size, classes=3, unknown=0.1):
    """Class indices in squares of 5 pixels, some of them unknown."""
    coarse = random.integers(0, classes, (size[0] // 5 + 1, size[1] // 5 + 1)).astype(np.uint8)
    coarse[random.random(coarse.shape) < unknown] = 255
    return coarse.repeat(5, axis=0).repeat(5, axis=1)[: size[0], : size[1]]


def batch_of(masks, size=None):
    """Pictures with these masks, seen whole, or letterboxed into a size."""
    geometries = [Geometry(*mask.shape) for mask in masks]
    if size:
        geometries = [Preprocess(size=size, resize="letterbox").geometry(each) for each in geometries]
    records = tuple(Record(None, Mask(mask), bytes([at]), str(at)) for at, mask in enumerate(masks))
    targets = tuple(record.target.moved(each) for record, each in zip(records, geometries, strict=True))
    images = torch.zeros(len(masks), 3, *geometries[0].output_size, dtype=torch.uint8)
    return Batch(images, targets, tuple(geometries), records)


def logits_of(answers, classes=4):
    """Logits that answer so, of other sizes in each place."""
    drawn = torch.rand(len(answers), classes, *answers[0].shape, generator=torch.Generator().manual_seed(0))
    return drawn.scatter_add(1, torch.from_numpy(np.stack(answers)).long()[:, None], torch.full(drawn.shape, 2.0))


@pytest.fixture
def pictures():
    random = np.random.default_rng(0)
    masks = [blobs(random, (40, 55)) for _ in range(5)]
    answers = [
        np.where(random.random(mask.shape) < 0.7, np.minimum(mask, 2), random.integers(0, 3, mask.shape))
        for mask in masks
    ]
    return masks, [each.astype(np.uint8) for each in answers]


def measured(masks, answers, task=None):
    meter = (task or Segment(CLASSES)).meter()
    meter.add(logits_of(answers), batch_of(masks))
    return meter


def test_figures_are_those_of_plain_counting(pictures):
    masks, answers = pictures
    true, said = (np.concatenate([each.reshape(-1) for each in some]) for some in (masks, answers))
    true, said = true[true != 255], said[true != 255]
    figures = measured(masks, answers).figures()
    ious = [((true == c) & (said == c)).sum() / ((true == c) | (said == c)).sum() for c in range(3)]
    assert [row["iou"] for row in figures["per_class"]] == [*ious, None]
    assert figures["mean_iou"] == np.mean(ious)  # the moon does not count
    assert figures["pixel_accuracy"] == (true == said).mean()
    assert figures["images"] == 5 and len(figures["confusion"]) == 4
    for c, row in enumerate(figures["per_class"][:3]):
        assert row["recall"] == (said == c)[true == c].mean() and row["precision"] == (true == c)[said == c].mean()
        assert row["share"] == (true == c).mean() and row["images"] == 5
        assert figures["confusion"][c] == [((true == c) & (said == other)).sum() for other in range(4)]


def test_a_class_that_is_answered_and_nowhere_true_counts_as_nothing_right(pictures):
    masks, answers = pictures
    answers[0][:5] = 3
    figures = measured(masks, answers).figures()
    assert figures["per_class"][3]["iou"] == 0 and figures["per_class"][3]["recall"] is None
    ious = [row["iou"] for row in figures["per_class"]]
    assert figures["mean_iou"] == pytest.approx(np.mean(ious))


def test_batches_and_folds_accumulate_to_the_whole_exactly(pictures):
    masks, answers = pictures
    whole = measured(masks, answers)
    parts = Segment(CLASSES).meter()
    parts.merge(measured(masks[:1], answers[:1]).state())
    parts.add(logits_of(answers)[1:3], batch_of(masks[1:3]))
    parts.merge(Segment(CLASSES).meter().state())  # of nothing
    late = Segment(CLASSES).meter()
    late.add(logits_of(answers)[3:], batch_of(masks[3:]))
    parts.merge(late.state())
    wanted, got = whole.state(), parts.state()
    assert torch.equal(wanted["counts"], got["counts"]) and torch.equal(wanted["confusion"], got["confusion"])
    assert {name: value for name, value in whole.figures().items() if name != "loss"} == {
        name: value for name, value in parts.figures().items() if name != "loss"
    }
    assert len(whole.rows()) == 5


def test_losses_are_those_of_each_picture_alone_and_of_none_without_known_pixels(pictures):
    masks, answers = pictures
    task = Segment(CLASSES, dice_weight=0.5, class_weights=(1.0, 2.0, 3.0, 1.0))
    masks = [*masks[:2], np.full_like(masks[0], 255)]
    meter = measured(masks, answers[:3], task)
    logits = logits_of(answers[:3])
    wanted = [float(task.loss(logits[at : at + 1], (), torch.from_numpy(masks[at])[None]).total) for at in range(2)]
    assert [row["loss"] for row in meter.rows()] == [*map(pytest.approx, wanted), None]
    assert meter.rows()[2] == dict.fromkeys(("pixel_accuracy", "mean_iou", "boundary_f1", "loss"))
    assert meter.figures()["loss"] == pytest.approx(np.mean(wanted))


def test_an_empty_meter_has_no_figures():
    figures = Segment(CLASSES).meter().figures()
    assert figures["images"] == 0 and figures["mean_iou"] is figures["loss"] is figures["boundary_f1"] is None
    assert "-" in Segment(CLASSES).summary(figures) and "-" in Segment(CLASSES).brief(figures)
    assert list(Segment(CLASSES).details(figures, []))


def by_brute_force(true, said, classes):
    """As `boundary_counts`, by comparing every border pixel with every other."""
    unknown = (true == 255) | (said == 255)
    maps = [np.where(unknown, 255, each).astype(int) for each in (true, said)]
    reach = TOLERANCE * math.hypot(*true.shape)
    borders = []
    for each in maps:
        rows = []
        for (y, x), index in np.ndenumerate(each):
            around = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
            inside = [each[v, w] for v, w in around if 0 <= v < each.shape[0] and 0 <= w < each.shape[1]]
            if index != 255 and any(other not in (255, index) for other in inside):
                rows.append((y, x, index))
        borders.append(np.array(rows, int).reshape(-1, 3))
    counts = np.zeros((4, classes), int)
    for side, (own, other) in enumerate((borders, borders[::-1])):
        for y, x, index in own:
            near = (other[:, 2] == index) & ((other[:, 0] - y) ** 2 + (other[:, 1] - x) ** 2 <= reach**2)
            counts[2 * side : 2 * side + 2, index] += (1, near.any())
    return counts


@pytest.mark.parametrize(
    ("size", "classes"), [((1, 1), 2), ((9, 7), 3), ((20, 33), 9), ((60, 70), 64), ((10, 290), 65), ((30, 200), 255)]
)
def test_boundaries_equal_brute_force(size, classes):
    random = np.random.default_rng(classes)
    true, said = blobs(random, size, classes), blobs(random, size, classes, unknown=0)
    said = np.where(random.random(size) < 0.8, np.roll(np.where(true == 255, 0, true), 1, axis=1), said).astype(
        np.uint8
    )
    assert np.array_equal(boundary_counts(true, said, classes), by_brute_force(true, said, classes))


def test_boundary_f1_is_the_mean_of_pictures_and_of_their_classes():
    """A border one pixel off is found where the diagonal allows a pixel, and not where it does not."""

    def halves(size, at):
        mask = np.zeros((size, size), np.uint8)
        mask[:, at:] = 1
        return mask

    near, far = (measured([halves(size, 20)], [halves(size, 21)]) for size in (100, 90))
    assert near.figures()["boundary_f1"] == 1 and TOLERANCE * math.hypot(100, 100) > 1
    assert far.figures()["boundary_f1"] == 0 and TOLERANCE * math.hypot(90, 90) < 1
    plain = measured([halves(100, 20)], [np.zeros((100, 100), np.uint8)])  # no border is answered
    assert plain.figures()["boundary_f1"] == 0
    nothing = measured([np.zeros((9, 9), np.uint8)], [np.zeros((9, 9), np.uint8)])
    assert nothing.figures()["boundary_f1"] is None and nothing.figures()["mean_iou"] == 1


def test_margins_cover_the_spread_of_draws():
    """Of pictures drawn alike, 95 % of the figures lie within their margin of the middle."""
    random = np.random.default_rng(0)

    def drawn(images):
        true = random.integers(50, 500, (images, 3))
        right = random.binomial(true, np.clip(random.normal(0.7, 0.15, (images, 3)), 0, 1))
        answered = right + random.poisson(60, (images, 3))
        borders = np.stack([true // 10, right // 10, answered // 10, right // 10], 1)
        return np.concatenate([np.stack([right, true, answered], 1), borders], 1)

    def iou(counts):
        right, true, answered = counts[:, :3].sum(0)
        return (right / (true + answered - right)).mean()

    draws = [drawn(40) for _ in range(300)]
    values = np.array([iou(each) for each in draws])
    reach = np.array([margins(each)["mean_iou"] for each in draws])
    assert 0.9 < (abs(values - values.mean()) <= reach).mean() < 0.99
    assert margins(draws[0][:1]) == dict.fromkeys(("mean_iou", "pixel_accuracy", "boundary_f1"))


def test_margins_are_none_of_what_grows():
    figures = measured(*([[np.zeros((9, 9), np.uint8)] * 2] * 2)).figures()
    task = Segment(CLASSES)
    assert task.margin("mean_iou", figures) == 0 and task.margin("loss", figures) == 0
    assert task.logged(figures).keys() == figures.keys() - {"per_class", "confusion"}
    assert all(figures.get(name) is not None for name in task.directions if name != "boundary_f1")
