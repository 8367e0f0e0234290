"""Pictures full of objects and of answers about them, as a detector's meter keeps both."""

import numpy as np

from striate.tasks.detect_matching import Measured


def scene(seed, images=6, objects=5, answers=8, classes=3, *, crowd=0.1, difficult=0.15, digits=9):
    """Rows of answers ``[M, 7]`` and of what is there ``[T, 9]``; up to twice so many a picture, sometimes none.

    Most answers are about an object, some of them badly placed or of another class. Scores have so many digits.
    """
    draws = np.random.default_rng(seed)
    pictures = np.repeat(np.arange(images), draws.integers(0, 2 * objects + 1, images))
    count = len(pictures)
    corners, sides = draws.uniform(0, 300, (count, 2)), np.exp(draws.uniform(2.5, 5.3, (count, 2)))
    boxes, kinds = np.concatenate([corners, corners + sides], axis=1), draws.integers(0, classes, count)
    marks = draws.random((2, count)) < [[crowd], [difficult]]
    areas = sides.prod(axis=1) * draws.uniform(0.5, 1, count)
    true = np.column_stack([pictures, boxes, kinds, areas, *marks]).astype(np.float64)

    asked = np.repeat(np.arange(images), draws.integers(0, 2 * answers + 1, images))
    start, number = np.searchsorted(pictures, [asked, asked + 1])
    empty = number == start
    about = np.minimum(start + (draws.random(len(asked)) * (number - start)).astype(int), max(count - 1, 0))
    elsewhere = draws.uniform(0, 300, (len(asked), 2))
    placed = np.concatenate([elsewhere, elsewhere + draws.uniform(10, 200, (len(asked), 2))], axis=1)
    if count:
        near = boxes[about] + draws.normal(0, 0.15, (len(asked), 4)) * np.tile(sides[about], 2) * draws.random(
            (len(asked), 1)
        )
        placed = np.where((empty | (draws.random(len(asked)) < 0.15))[:, None], placed, near)
    placed = np.concatenate(
        [np.minimum(placed[:, :2], placed[:, 2:]), np.maximum(placed[:, :2], placed[:, 2:])], axis=1
    )
    named = draws.integers(0, classes, len(asked))
    if count:
        named = np.where(empty | (draws.random(len(asked)) < 0.2), named, kinds[about])
    scores = draws.uniform(0.01, 1, len(asked)).round(digits)
    return np.column_stack([asked, placed, scores, named]).astype(np.float64), true


def measured(seed, images=6, classes=3, **more):
    return Measured.of(*scene(seed, images, classes=classes, **more), images=images, classes=classes)
