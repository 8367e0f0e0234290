"""Which answers are right by Pascal VOC's rule, against the rule told answer by answer."""

import numpy as np
import pytest

from striate.data.records import Classes
from striate.tasks.detect_figures import figures_of
from striate.tasks.detect_matching import Measured
from tests.tasks.detect_scenes import scene


def overlap(a, b):
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared), shared


def by_the_rule(found, true, least):
    """For each answer, the surest first, True, False or None (about what nobody counts)."""
    taken, verdicts = set(), []
    for picture, *box, _, index in found[np.argsort(-found[:, 5], kind="stable")]:
        best, most, in_crowd = None, 0.0, 0.0
        for number, (where, *other, kind, _, crowd, _) in enumerate(true):
            if where != picture or kind != index:
                continue
            iou, shared = overlap(box, other)
            if crowd:
                in_crowd = max(in_crowd, shared / ((box[2] - box[0]) * (box[3] - box[1])))
            elif iou > most:
                best, most = number, iou
        if most >= least and true[best][8]:
            verdicts.append(None)
        elif most >= least:
            verdicts.append(best not in taken)
            taken.add(best)
        else:
            verdicts.append(None if in_crowd >= least else False)
    return verdicts


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("least", [0.5, 0.75])
def test_answers_are_judged_by_the_rule(seed, least):
    found, true = scene(seed)
    verdicts = Measured.of(found, true, images=6, classes=3).judged(least)
    wanted = by_the_rule(found, true, least)
    assert verdicts.right.tolist() == [each is True for each in wanted]
    assert verdicts.wrong.tolist() == [each is False for each in wanted]


@pytest.mark.parametrize("seed", range(5))
def test_the_averages_are_those_of_the_rule(seed):
    found, true = scene(seed, images=12)
    verdicts, order = by_the_rule(found, true, 0.5), np.argsort(-found[:, 5], kind="stable")
    eleven, area = [], []
    for index in range(3):
        objects = int(((true[:, 5] == index) & (true[:, 7:] == 0).all(axis=1)).sum())
        right = [verdict for verdict, row in zip(verdicts, found[order], strict=True) if row[6] == index]
        right = [verdict for verdict in right if verdict is not None]
        precisions = np.cumsum(right) / np.arange(1, len(right) + 1)
        recalls = np.cumsum(right) / objects
        eleven.append(np.mean([precisions[recalls >= k / 10].max(initial=0) for k in range(11)]))
        steps = np.diff(np.append(0, recalls))
        area.append(sum(step * precisions[at:].max() for at, step in enumerate(steps)))
    figures = figures_of(Measured.of(found, true, images=12, classes=3), Classes(("a", "b", "c")), None)
    assert figures["voc07_ap50"] == pytest.approx(np.mean(eleven), abs=1e-12)
    assert figures["voc12_ap50"] == pytest.approx(np.mean(area), abs=1e-12)


def test_pictures_may_come_in_any_order():
    found, true = scene(3)
    shuffled = np.random.default_rng(0).permutation
    one = Measured.of(found, true, images=6, classes=3)
    other = Measured.of(found[shuffled(len(found))], true[shuffled(len(true))], images=6, classes=3)
    assert one.judged().right.tolist() == other.judged().right.tolist()
