"""The lines behind a summary: against a small table by hand, and for many classes."""

import numpy as np
import torch

from striate.data.records import Batch, Classes
from striate.data.targets import ClassIndex
from striate.tasks.classify import Classify
from striate.tasks.classify_details import MOST_PICTURES
from striate.tasks.tables import MOST_CLASSES


def lines(true, answered, probabilities, names):
    """The details for pictures of classes ``true`` that were answered so, each with its probability."""
    task = Classify(Classes(tuple(names)))
    logits = torch.zeros(len(true), len(names), dtype=torch.float64)
    for row, (index, chance) in enumerate(zip(answered, probabilities, strict=True)):
        logits[row] = np.log((1 - chance) / (len(names) - 1))
        logits[row, index] = np.log(chance)
    meter = task.meter()
    meter.add(logits, Batch(torch.zeros(len(true)), tuple(map(ClassIndex, true)), (), ()))
    rows = [{"image": f"{number}.jpg", **row} for number, row in enumerate(meter.rows())]
    return list(task.details(meter.figures(), rows))


def test_classes_confusions_and_the_surest_of_the_wrong():
    told = lines(
        [0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 0, 2], [0.9, 0.8, 0.95, 0.7, 0.6, 0.5], ("cat", "dog", "a longer name")
    )
    assert told == [
        "",
        "class          pictures  recall  precision",
        "cat                   3   0.333      0.500",
        "dog                   2   0.500      0.333",
        "a longer name         1   1.000      1.000",
        "",
        "taken for another most often:",
        "  cat for dog: 2 of 3",
        "  dog for cat: 1 of 2",
        "",
        "wrong: 3 pictures; the surest of them:",
        "  2.jpg: dog 95.0%, is cat",
        "  1.jpg: dog 80.0%, is cat",
        "  4.jpg: cat 60.0%, is dog",
    ]


def test_classes_that_are_neither_there_nor_answered_are_left_out_and_all_right_needs_no_more_words():
    told = lines([0, 1], [0, 1], [0.9, 0.9], ("cat", "dog", "eel"))
    assert [line.split()[0] for line in told if line] == ["class", "cat", "dog"]


def test_of_many_classes_the_worst_are_shown_and_of_many_pictures_the_surest():
    count = MOST_CLASSES + 20
    answered = [*range(count - 30), *[0] * 30]
    told = lines(list(range(count)), answered, np.linspace(0.5, 0.9, count), [f"c{i}" for i in range(count)])
    assert sum(line.startswith("c") for line in told) == 1 + MOST_CLASSES
    assert {f"c{i}" for i in range(count - 30, count)} <= {line.split()[0] for line in told if line}
    assert "and 20 classes that are recognised better" in told
    surest = told[told.index("wrong: 30 pictures; the surest of them:") + 1 :]
    assert [line.split(".")[0].strip() for line in surest] == [str(count - 1 - i) for i in range(MOST_PICTURES)]
