"""The meter against torchmetrics, plain counting and brute force; what it takes on a hundred frames."""

import time
from collections.abc import Iterator

import numpy as np
import torch

from accept import Check, at_most
from accept.pytests import all_pass
from striate.data.records import Batch, Classes, Record
from striate.data.targets import Mask
from striate.pictures.geometry import Geometry
from striate.tasks.segment import Segment

FRAMES, HEIGHT, WIDTH, CLASSES = 100, 360, 480, 11


def checks() -> Iterator[Check]:
    yield all_pass("3.torchmetrics", "tests/oracle/test_segment_figures.py")
    yield all_pass("3.counting", "tests/tasks/test_segment_figures.py", "tests/tasks/test_segment_loss.py")
    yield all_pass("3.answers", "tests/tasks/test_segment_answers.py", "tests/tasks/test_segment_census.py")
    meter = Segment(Classes(tuple(map(str, range(CLASSES))))).meter()
    drawn = np.random.default_rng(0)
    mask = drawn.integers(0, CLASSES, (HEIGHT // 8, WIDTH // 8)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    outputs = torch.randn(1, CLASSES, HEIGHT, WIDTH).to(memory_format=torch.channels_last)
    images = torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    record = Record(mask, Mask(mask), b"", "drawn")  # type: ignore[arg-type]
    batch = Batch(images, (record.target,), (Geometry(HEIGHT, WIDTH),), (record,))
    started = time.monotonic()
    for _ in range(FRAMES):
        meter.add(outputs, batch)
    meter.figures()
    yield at_most("3.seconds", time.monotonic() - started, 10, f"of {FRAMES} frames of {WIDTH}x{HEIGHT}")
    kept = sum(each.numel() * each.element_size() for each in meter.state().values())
    yield at_most("3.kilobytes", kept / 1024, 100, f"kept of {FRAMES} frames")
