"""What figures say of answers: thresholds, rows, curves, and what does not exist; the lines that tell it."""

import json

import numpy as np
import pytest
import torch

from striate.data.records import Classes
from striate.data.targets import Boxes
from striate.tasks.detect import Detect
from striate.tasks.detect_errors import ERRORS
from striate.tasks.detect_figures import USUAL_SCORE, figures_of, rows_of
from tests.tasks.detect_scenes import measured
from tests.tasks.test_detect import CLASSES, batch, outputs_that_say

NAMES = Classes(("cat", "dog", "bird"))


@pytest.fixture(scope="module")
def scenery():
    return measured(5, images=40)


def f1_at(rows):
    objects, named, found = (sum(row[name] for row in rows) for name in ("objects", "named", "found"))
    return 2 * found / (objects + named)


def test_without_a_threshold_answers_are_given_from_the_best_on(scenery):
    figures = figures_of(scenery, NAMES, None)
    assert figures["score_threshold"] == figures["best_threshold"] and figures["f1"] == figures["best_f1"]
    losses = [1.0] * 40
    assert f1_at(rows_of(scenery, losses, None)) == pytest.approx(figures["best_f1"])
    others = [f1_at(rows_of(scenery, losses, score)) for score in np.linspace(0.01, 0.99, 99)]
    assert max(others) <= figures["best_f1"] and min(others) < figures["best_f1"] - 0.1


@pytest.mark.parametrize("score", [0.2, 0.5, 0.8])
def test_rows_errors_precision_and_recall_tell_of_the_same_answers(scenery, score):
    figures, rows = figures_of(scenery, NAMES, score), rows_of(scenery, [1.0] * 40, score)
    objects, named, found, missed = (sum(row[name] for row in rows) for name in ("objects", "named", "found", "missed"))
    assert figures["score_threshold"] == score and objects == found + missed
    assert (figures["precision"], figures["recall"]) == (pytest.approx(found / named), pytest.approx(found / objects))
    wrong = sum(each["count"] for kind, each in figures["errors"].items() if kind != "missed")
    assert wrong == named - found and figures["errors"]["missed"]["count"] <= missed
    for row in rows:
        assert row["right"] == (row["objects"] == row["found"] == row["named"])
    assert not all(row["right"] for row in rows) and (score < 0.5 or any(row["right"] for row in rows))


def test_a_curves_mean_is_the_precision_of_its_class(scenery):
    figures = figures_of(scenery, NAMES, None)
    for row, curve in zip(figures["per_class"], figures["curves"], strict=True):
        assert len(curve) == 101 and curve == sorted(curve, reverse=True)
        assert np.mean(curve) == pytest.approx(row["ap50"], abs=1e-4)
    assert np.mean([row["ap"] for row in figures["per_class"]]) == pytest.approx(figures["ap"])
    assert np.mean([row["ap50"] for row in figures["per_class"]]) == pytest.approx(figures["ap50"])


def test_what_annotators_call_hard_to_see_is_no_object_of_vocs_but_one_of_cocos():
    easy, hard = [8.0, 8, 40, 56], [50.0, 20, 90, 60]
    target = Boxes(np.array([easy, hard]), np.array([0, 0]), np.array([False, True]), np.zeros(2, dtype=bool))
    meter = Detect(CLASSES).meter()
    meter.add(outputs_that_say([easy], [0]), batch(target))
    figures = meter.figures()
    assert (figures["voc07_ap50"], figures["voc12_ap50"], figures["recall"]) == (1, 1, 1)
    assert figures["ap50"] == pytest.approx(51 / 101)
    meter.add(outputs_that_say([hard], [0]), batch(target))
    figures = meter.figures()
    assert figures["voc12_ap50"] == pytest.approx(0.5) and figures["precision"] == 1
    assert [row["named"] for row in meter.rows()] == [1, 0]


def test_figures_are_null_where_there_is_nothing_to_find():
    meter = Detect(CLASSES).meter()
    for _ in range(2):
        meter.add(outputs_that_say([[8.0, 8, 40, 56]], [0]), batch(Boxes.of([], [])))
    figures = meter.figures()
    counted = ("images", "loss", "margins", "errors", "per_class", "curves", "precision", "score_threshold")
    assert {figures[name] for name in figures if name not in counted} == {None}
    assert set(figures["margins"].values()) == {None} and figures["per_class"] == figures["curves"] == []
    assert figures["score_threshold"] == USUAL_SCORE and figures["precision"] == 0
    assert {kind: each for kind, each in figures["errors"].items() if each["count"]} == {
        "background": {"count": 2, "gain": None}
    }
    assert [row["right"] for row in meter.rows()] == [False, False]


@pytest.mark.parametrize("said", [float("nan"), float("-inf"), -20.0])
def test_outputs_that_say_nothing_find_nothing(said):
    meter = Detect(CLASSES).meter()
    for _ in range(2):
        meter.add(torch.full_like(outputs_that_say([], []), said), batch(Boxes.of([[8, 8, 40, 56]], [2])))
    figures = meter.figures()
    assert (figures["ap"], figures["voc07_ap50"], figures["recall"], figures["precision"]) == (0, 0, 0, None)
    assert figures["errors"]["missed"]["count"] == 2 and figures["best_threshold"] is None
    assert [(row["name"], row["objects"]) for row in figures["per_class"]] == [("bird", 2)]
    assert Detect(CLASSES).margin("ap", figures) == 0


def test_no_pictures_at_all_have_figures_and_lines():
    task = Detect(CLASSES)
    figures = task.meter().figures()
    assert figures["images"] == 0 and figures["ap"] is None and figures["loss"] is None
    assert task.meter().rows() == [] and "AP -" in task.summary(figures)
    assert any("0 objects named" in line for line in task.details(figures, []))


def test_all_figures_are_numbers_of_json(scenery):
    figures = figures_of(scenery, NAMES, None)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    task = Detect(NAMES)
    logged = task.logged(figures)
    assert len(json.dumps(logged)) < 2000 and "curves" not in logged
    assert {task.margin(name, figures) for name in ("ap_small", "ar100", "loss")} == {0}
    assert 0 < task.margin("ap", figures) < task.margin("voc07_ap50", figures) == task.margin("ap50", figures) < 0.3


def test_the_best_threshold_is_taken_where_the_recipe_has_none():
    figures = {"best_threshold": 0.4375}
    assert Detect(CLASSES).calibrated(figures).arguments["score_threshold"] == 0.4375
    assert Detect(CLASSES, score_threshold=0.2).calibrated(figures).arguments["score_threshold"] == 0.2
    nothing = Detect(CLASSES).calibrated({"ap": None})
    assert Detect.of(CLASSES, nothing.arguments) == nothing and nothing.score_threshold is None


def test_lines_tell_of_classes_answers_errors_and_pictures():
    cat, dog = [8.0, 8, 40, 56], [50.0, 20, 90, 60]
    task = Detect(CLASSES, score_threshold=0.5)
    meter = task.meter()
    meter.add(outputs_that_say([cat, dog], [0, 1]), batch(Boxes.of([cat, dog], [0, 1])))
    meter.add(outputs_that_say([cat, dog], [0, 0]), batch(Boxes.of([cat, dog], [0, 1])))
    meter.add(outputs_that_say([cat], [0], sure=-1.0), batch(Boxes.of([cat], [0])))
    rows = [{"image": f"{number}.jpg", **row} for number, row in enumerate(meter.rows())]
    assert list(task.details(meter.figures(), rows)) == [
        "",
        "class  objects     AP   AP50  precision  recall",
        "cat          3  0.916  0.916      0.667   0.667",
        "dog          2  0.505  0.505      1.000   0.500",
        "",
        "from a score of 0.500 on 4 objects named, 3 of them right, of 5 that are there: F1 0.667",
        "the best F1 on these pictures is 0.800, from a score of 0.134 on",
        "",
        "errors            count (from 0.500 on)  AP50 lost (any score)",
        "of another class                      1                  0.292",
        "not found at all                      1                  0.000",
        "what is found with a lower score counts as not found at all, and loses no AP50",
        "",
        "not all right: 2 pictures; the worst of them:",
        "  1.jpg: 1 of 2 objects found, 1 named wrongly",
        "  2.jpg: 0 of 1 object found",
    ]
    assert set(ERRORS) == set(meter.figures()["errors"])
