"""The meter: COCO's figures against pycocotools, VOC's by the definition, what margins promise, how long it takes."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from accept import Check, at_least, at_most, noted
from accept.pytests import all_pass
from striate.data.records import Classes
from striate.tasks.average_precision import all_points
from striate.tasks.detect_figures import OVERLAPS
from striate.tasks.detect_margin import margin
from striate.tasks.detect_matching import Measured, curves
from striate.tasks.detect_meter import DetectMeter
from striate.tasks.detect_task_aligned import TaskAligned
from striate.tasks.intervals import SURE
from tests.tasks.detect_scenes import measured, scene

TASKS = "tests/tasks"


def checks() -> Iterator[Check]:
    yield all_pass("2.coco", "tests/oracle/test_coco_figures.py")
    yield all_pass("2.voc", f"{TASKS}/test_average_precision.py", f"{TASKS}/test_detect_matching.py")
    yield all_pass("2.errors", f"{TASKS}/test_detect_errors.py", f"{TASKS}/test_detect_figures.py")
    yield from times()
    yield from spreads()


def times() -> Iterator[Check]:
    """All figures of 5,000 pictures of 80 classes, with 30 objects and 30 answers each, or 100."""
    for answers in (30, 100):
        meter = DetectMeter(Classes(tuple(map(str, range(80)))), TaskAligned(), 0.6, None)
        found, true = (torch.from_numpy(rows) for rows in scene(0, 5000, 30, answers, 80))
        meter.merge({"found": found, "true": true, "losses": torch.ones(5000)})
        started, used = time.monotonic(), time.process_time()
        figures = meter.figures()
        took, used = time.monotonic() - started, time.process_time() - used
        note = f"s ({used:.1f} of processor; {len(true)} objects, {len(found)} answers, AP {figures['ap']:.3f})"
        yield at_most("2.seconds", took, 20, note) if answers == 30 else noted("2.seconds of 100", f"{took:.1f} {note}")


def spreads() -> Iterator[Check]:
    """How often an average precision lies within its margin of the mean of such draws, and of that of many pictures."""
    for name in ("ap", "ap50"):
        overlaps = OVERLAPS[name]
        whole = _average(measured(1_000_000, 4000, classes=2), overlaps)
        for images in (16, 40, 160):
            drawn = [measured(seed, images, classes=2) for seed in range(200)]
            values = np.array([_average(each, overlaps) for each in drawn])
            margins = np.array([margin(each, overlaps) for each in drawn])
            inside, true = (float((abs(values - middle) <= margins).mean()) for middle in (values.mean(), whole))
            ratio = margins.mean() / (SURE * values.std())
            note = f"(margin / spread {ratio:.2f}, flatters by {values.mean() - whole:.3f}, truth inside {true:.2f})"
            yield at_least(f"2.{name} of {images}", inside, 0.9, note)


def _average(scenery: Measured, overlaps: Sequence[float]) -> float:
    by_class = [
        curve
        for overlap in overlaps
        for curve in curves(scenery.answers.classes, scenery.judged(overlap), scenery.objects).values()
    ]
    return float(np.mean([all_points(curve) for curve in by_class]))
