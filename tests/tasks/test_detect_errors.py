"""Six kinds of errors: a picture for each, and their cost against mending them one by one."""

import numpy as np
import pytest

from striate.tasks.average_precision import Curve, all_points
from striate.tasks.detect_errors import ERRORS, errors, kinds_of
from striate.tasks.detect_matching import Measured
from tests.tasks.detect_scenes import measured

CAT = [0, 100, 100, 200, 200, 0, 1e4, 0, 0]


def of(answers, *more, threshold=0.5):
    """The errors of answers (xyxy, score, class) about a cat, and further objects."""
    found = np.array([[0, *answer] for answer in answers], dtype=float).reshape(-1, 7)
    return errors(Measured.of(found, np.array([CAT, *more], dtype=float), images=1, classes=3), threshold)


@pytest.mark.parametrize(
    ("kind", "answer", "missed"),
    [
        ("class", (100, 100, 200, 200, 0.9, 1), 0),
        ("localization", (140, 100, 240, 200, 0.9, 0), 0),  # a third of either
        ("both", (140, 100, 240, 200, 0.9, 1), 1),
        ("background", (190, 190, 290, 290, 0.9, 0), 1),  # less than a hundredth
        ("background", (300, 300, 400, 400, 0.9, 1), 1),
    ],
)
def test_one_wrong_answer(kind, answer, missed):
    found = of([answer])
    assert {name: each["count"] for name, each in found.items()} == dict.fromkeys(ERRORS, 0) | {kind: 1} | (
        {"missed": missed} if missed else {}
    )
    # Right class or place: the cat is found. Withdrawn: nothing is. What was missed is not asked for: no class is left.
    assert found[kind]["gain"] == (1.0 if kind in ("class", "localization") else 0.0)
    assert found["missed"]["gain"] == (None if missed else 0.0)


def test_what_is_named_twice_costs_what_comes_after_it():
    dog = [0, 300, 300, 400, 400, 0, 1e4, 0, 0]
    twice = [(100, 100, 200, 200, 0.9, 0), (101, 100, 200, 200, 0.8, 0), (300, 300, 400, 400, 0.7, 0)]
    found = of(twice, dog)
    assert {name: each["count"] for name, each in found.items() if each["count"]} == {"duplicate": 1}
    assert found["duplicate"]["gain"] == pytest.approx(1 - (1 + 2 / 3) / 2)


def test_only_answers_that_are_given_are_counted_but_all_of_them_cost():
    unsure = of([(100, 100, 200, 200, 0.4, 1)])
    assert (unsure["class"]["count"], unsure["missed"]["count"], unsure["class"]["gain"]) == (0, 1, 1.0)


def test_what_nobody_counts_is_neither_missed_nor_an_error():
    hard = [0, 300, 300, 400, 400, 1, 1e4, 0, 1]
    crowd = [0, 500, 500, 900, 900, 1, 1e4, 1, 0]
    answers = [(300, 300, 400, 400, 0.9, 1), (600, 600, 650, 650, 0.9, 1), (100, 100, 200, 200, 0.9, 0)]
    assert all(each["count"] == 0 for each in of(answers, hard, crowd).values())


def slow_gain(scenery, kind):
    """As the paper has it: mend the answers of a kind, the surest first, and measure again."""
    verdicts, truth, matches = scenery.judged(), scenery.truth, scenery.matches
    kinds = kinds_of(scenery, verdicts)
    taken = {int(matches.own[at]) for at in np.flatnonzero(verdicts.right)}
    touched, lists = set(taken), {index: [] for index in range(scenery.classes)}
    objects = {index: int(count) for index, count in enumerate(scenery.objects)}
    for at in range(len(kinds)):  # the surest first
        index = int(scenery.answers.classes[at])
        about = int({"class": matches.other, "localization": matches.own}.get(kinds[at], matches.own)[at])
        if kinds[at] in ("class", "localization"):
            touched.add(about)
        if kinds[at] != kind:
            if verdicts.counted[at]:
                lists[index].append(bool(verdicts.right[at]))
        elif kind in ("class", "localization") and truth.counted[about] and about not in taken:
            taken.add(about)
            lists[int(truth.classes[about])].append(True)
    if kind == "missed":
        for number in np.flatnonzero(truth.counted):
            objects[int(truth.classes[number])] -= number not in touched
    precisions = [all_points(Curve(objects[i], np.array(lists[i], dtype=bool))) for i in objects if objects[i]]
    return np.mean(precisions) if precisions else None


@pytest.mark.parametrize("seed", range(12))
def test_gains_are_those_of_mending_one_by_one(seed):
    scenery = measured(seed, images=8, answers=12)
    before = slow_gain(scenery, "none")
    found = errors(scenery, 0.3)
    for kind in ERRORS:
        assert found[kind]["gain"] == pytest.approx(slow_gain(scenery, kind) - before, abs=1e-12), kind
