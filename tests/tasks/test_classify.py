"""Classification against slow loops in NumPy and against worked examples."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data.records import Classes, Record
from striate.recipe import ClassifySettings, Recipe
from striate.tasks import task_named
from striate.tasks.classify import Classify
from striate.tasks.classify_meter import ClassifyMeter, calibration_error, wilson_interval

CLASSES = Classes(("ant", "bee", "cat"), ("n1", "n2", "n3"))


def records(targets):
    return [Record(handle=None, target=target, content=bytes(32), name=str(i)) for i, target in enumerate(targets)]


def slow_entropy(logits, targets, weights, smoothing):
    """Szegedy et al. 2016, equations 3 and 7, with the weighted mean that class weights mean."""
    total = norm = 0.0
    for row, target in zip(logits, targets, strict=True):
        logs = row - np.log(np.exp(row).sum())
        wanted = np.full(len(row), smoothing / len(row))
        wanted[target] += 1 - smoothing
        total += -(wanted * logs * weights).sum()
        norm += weights[target]
    return total / norm


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("balanced", [False, True])
def test_loss_equals_a_slow_loop(smoothing, balanced):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(7, 3))
    targets = [0, 0, 0, 0, 1, 1, 2]
    settings = ClassifySettings(label_smoothing=smoothing, class_weights="balanced" if balanced else "none")
    task = Classify(CLASSES).fitted(Recipe(classify=settings), records(targets))
    weights = np.array([7 / (3 * 4), 7 / (3 * 2), 7 / 3]) if balanced else np.ones(3)
    loss = task.loss(torch.tensor(logits, dtype=torch.float32), (), torch.tensor(targets))
    assert float(loss.total) == pytest.approx(slow_entropy(logits, targets, weights, smoothing), rel=1e-5)


def test_auxiliary_heads_count_for_three_tenths():
    logits, other = torch.randn(4, 3), torch.randn(4, 3)
    targets = torch.tensor([0, 1, 2, 0])
    task = Classify(CLASSES)
    both = task.loss(logits, (other,), targets)
    expected = task.loss(logits, (), targets).total + 0.3 * task.loss(other, (), targets).total
    assert float(both.total) == pytest.approx(float(expected))
    assert set(both.parts) == {"loss", "auxiliary1"}


def test_answers_carry_names_and_ids():
    (scores,) = Classify(CLASSES).decode(torch.tensor([[0.0, 2.0, 1.0]]), ())
    assert (scores.name, [answer.id for answer in scores.top(2)]) == ("bee", ["n2", "n3"])
    assert scores.probability == pytest.approx(np.exp(2) / (1 + np.exp(1) + np.exp(2)))
    assert Classify(CLASSES).as_json(scores, 1)["classes"][0].keys() == {"name", "id", "probability"}


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(0, 2**32 - 1))
def test_figures_equal_counting_by_hand(targets, seed):
    logits = np.random.default_rng(seed).normal(size=(len(targets), 7))
    meter = ClassifyMeter(Classes(tuple("abcdefg")))
    half = len(targets) // 2
    meter.add(torch.tensor(logits[:half]), records(targets[:half]))
    other = ClassifyMeter(meter.classes)
    other.add(torch.tensor(logits[half:]), records(targets[half:]))
    meter.merge(other)
    figures = meter.figures()
    order = [list(np.argsort(-row)) for row in logits]
    assert figures["images"] == len(targets)
    assert figures["top1"] == pytest.approx(np.mean([o[0] == t for o, t in zip(order, targets, strict=True)]))
    assert figures["top5"] == pytest.approx(np.mean([t in o[:5] for o, t in zip(order, targets, strict=True)]))
    assert figures["loss"] == pytest.approx(slow_entropy(logits, targets, np.ones(7), 0.0))
    confusion = np.zeros((7, 7), int)
    for o, t in zip(order, targets, strict=True):
        confusion[t][o[0]] += 1
    assert figures["confusion"] == confusion.tolist()
    for index, row in enumerate(figures["per_class"]):
        assert row["images"] == confusion[index].sum()
        if row["images"]:
            assert row["recall"] == confusion[index][index] / row["images"]


def test_a_network_that_says_the_same_of_all_classes_is_never_right():
    meter = ClassifyMeter(CLASSES)
    meter.add(torch.zeros(3, 3), records([0, 1, 2]))
    assert meter.figures()["top1"] == 0.0


def test_no_pictures_no_figures():
    figures = ClassifyMeter(CLASSES).figures()
    assert figures["images"] == 0
    assert figures["top1"] is None


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_equals_published_examples(right, images, low, high):
    assert wilson_interval(right, images) == pytest.approx((low, high), abs=5e-5)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_error_equals_a_slow_loop(pairs):
    expected = 0.0
    for index in range(15):
        inside = [(c, r) for c, r in pairs if min(int(c * 15), 14) == index]
        if inside:
            gap = abs(np.mean([c for c, _ in inside]) - np.mean([r for _, r in inside]))
            expected += len(inside) / len(pairs) * gap
    confidence, right = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs])
    assert calibration_error(confidence, right) == pytest.approx(expected, abs=1e-12)


def test_an_unknown_task_is_refused_with_the_nearest():
    from striate.base.errors import ModelFileError

    with pytest.raises(ModelFileError, match="Did you mean 'classify'"):
        task_named("clasify", CLASSES)
