"""Classification against slow loops in NumPy and against worked examples."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data.records import Batch, Classes, Dataset, Record
from striate.data.targets import ClassIndex
from striate.recipe import Recipe
from striate.task_settings import ClassifySettings
from striate.tasks import task_named
from striate.tasks.classify import Classify, Scores
from striate.tasks.classify_defaults import RECIPES, _gentle, default_recipe
from striate.tasks.classify_meter import ClassifyMeter, calibration_error
from striate.tasks.intervals import wilson_interval
from tests.models.light import CLASSIFIERS, on_meta

CLASSES = Classes(("ant", "bee", "cat"), ("n1", "n2", "n3"))


def records(targets):
    return [
        Record(handle=None, target=ClassIndex(target), content=bytes(32), name=str(i))
        for i, target in enumerate(targets)
    ]


def batch(targets):
    return Batch(torch.zeros(len(targets)), tuple(map(ClassIndex, targets)), (), records(targets))


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
    task = Classify(CLASSES).fitted(Recipe(settings=settings), records(targets))
    weights = np.array([7 / (3 * 4), 7 / (3 * 2), 7 / 3]) if balanced else np.ones(3)
    loss = task.loss(torch.tensor(logits, dtype=torch.float32), (), torch.tensor(targets))
    assert float(loss.total) == pytest.approx(slow_entropy(logits, targets, weights, smoothing), rel=1e-5)


def map_criterion(distances, targets, weights, j):
    """LeCun et al. 1998, equation 9, picture by picture in float64, with the weighted mean of class weights."""
    total = norm = 0.0
    for row, target in zip(distances, targets, strict=True):
        total += weights[target] * (row[target] + np.log(np.exp(-j) + np.exp(-row).sum()))
        norm += weights[target]
    return total / norm


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_map_equals_the_papers_formula(scale, balanced):
    distances = np.random.default_rng(0).uniform(0, scale, size=(7, 3))
    targets = [0, 0, 0, 0, 1, 1, 2]
    settings = ClassifySettings(loss="map", class_weights="balanced" if balanced else "none")
    task = Classify(CLASSES).fitted(Recipe(settings=settings), records(targets))
    weights = np.array([7 / (3 * 4), 7 / (3 * 2), 7 / 3]) if balanced else np.ones(3)
    loss = task.loss(torch.tensor(-distances, dtype=torch.float32), (), torch.tensor(targets))
    assert float(loss.total) == pytest.approx(map_criterion(distances, targets, weights, task.none_distance), rel=1e-5)


def test_map_pulls_a_right_answer_nearer_where_cross_entropy_leaves_it():
    outputs = torch.tensor([[-60.0, -120.0, -130.0]], requires_grad=True)  # the nearest class is right, but far
    targets = torch.tensor([0])
    slopes = {}
    for kind in ("cross_entropy", "map"):
        loss = Classify(CLASSES, loss_kind=kind).loss(outputs, (), targets)
        (slopes[kind],) = torch.autograd.grad(loss.total, outputs)
    assert slopes["cross_entropy"].abs().max() < 1e-6
    # Minus distances: the slope is -1 where a step down the loss brings the code nearer.
    assert slopes["map"][0].tolist() == pytest.approx([-1.0, 0.0, 0.0], abs=1e-6)


def test_map_is_finite_at_any_distance():
    for distance in (0.0, 90.0, 1e4, 1e30):
        outputs = torch.tensor([[-distance, -0.0, -2 * distance]], requires_grad=True)
        for target in range(3):
            total = Classify(CLASSES, loss_kind="map").loss(outputs, (), torch.tensor([target])).total
            (slope,) = torch.autograd.grad(total, outputs)
            assert total.isfinite() and slope.isfinite().all()
            assert total >= 0


def test_map_is_float32_and_the_same_for_auxiliary_heads():
    task = Classify(CLASSES, loss_kind="map")
    outputs, targets = -torch.rand(4, 3) * 20, torch.tensor([0, 1, 2, 0])
    alone = task.loss(outputs, (), targets).total
    both = task.loss(outputs, (outputs,), targets).total
    assert float(both) == pytest.approx(1.3 * float(alone))
    assert task.loss(outputs.bfloat16(), (), targets).total.dtype == torch.float32


def test_the_network_of_1998_is_trained_with_its_own_loss():
    recipe = default_recipe(
        Dataset(root=Path("x"), format="idx", classes=CLASSES, records=(), channels=1), "lenet5_1998"
    )
    assert recipe.settings == ClassifySettings(loss="map")
    assert Classify(CLASSES).fitted(recipe, records([0, 1, 2])).loss_kind == "map"
    assert Classify(CLASSES).fitted(Recipe(), records([0, 1, 2])).loss_kind == "cross_entropy"


def test_auxiliary_heads_count_for_three_tenths():
    logits, other = torch.randn(4, 3), torch.randn(4, 3)
    targets = torch.tensor([0, 1, 2, 0])
    task = Classify(CLASSES)
    both = task.loss(logits, (other,), targets)
    expected = task.loss(logits, (), targets).total + 0.3 * task.loss(other, (), targets).total
    assert float(both.total) == pytest.approx(float(expected))
    assert set(both.parts) == {"loss", "auxiliary1"}


def test_scores_are_printed_in_one_line():
    scores = Scores(np.array([0.1, 0.6, 0.3], dtype=np.float32), Classes(("cat", "dog", "bird")))
    assert repr(scores) == "Scores(dog 60.0%, bird 30.0%, cat 10.0%)"
    names = tuple(f"{'a very long name of ' * 9}{n}\n" for n in range(1000))
    text = repr([Scores(np.full(1000, 0.001, dtype=np.float32), Classes(names))])
    assert len(text) <= 125 and "\n" not in text and text.endswith(" and 997 more)]")


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
    meter.add(torch.tensor(logits[:half]), batch(targets[:half]))
    other = ClassifyMeter(meter.classes)
    other.add(torch.tensor(logits[half:]), batch(targets[half:]))
    meter.merge(other.state())
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
    for logit, target, row in zip(logits, targets, meter.rows(), strict=True):
        assert (row["true"], row["answered"]) == ("abcdefg"[target], "abcdefg"[int(np.argmax(logit))])
        assert row["right"] == (row["true"] == row["answered"])
        assert row["loss"] == pytest.approx(slow_entropy(logit[None], [target], np.ones(7), 0.0))
    for index, row in enumerate(figures["per_class"]):
        assert row["images"] == confusion[index].sum()
        if row["images"]:
            assert row["recall"] == confusion[index][index] / row["images"]


def test_a_network_that_says_the_same_of_all_classes_is_never_right():
    meter = ClassifyMeter(CLASSES)
    meter.add(torch.zeros(3, 3), batch([0, 1, 2]))
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


def test_networks_gentle_have_gentle_recipes() -> None:
    """Found by building every network: one with layers that no batch norm tames must not train at the usual rate."""
    for name in CLASSIFIERS:
        normalised = any(isinstance(m, torch.nn.BatchNorm2d) for m in on_meta(name).modules())
        own = name in ("lenet5", "lenet5_1998", "fashion_cnn")  # measured by themselves
        tamed = normalised and not name.startswith("vgg")
        assert own or tamed != (RECIPES.get(name) is _gentle), name
