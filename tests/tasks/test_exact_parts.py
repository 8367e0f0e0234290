"""Outputs for tiles gathered into one answer, without a network: parts of a whole's outputs give the whole's answer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data.records import Classes
from striate.pictures.exact_tiles import Axis, ExactTiles
from striate.pictures.geometry import Geometry, Pad
from striate.tasks.detect import Detect
from striate.tasks.detect_task_aligned import TaskAligned
from striate.tasks.detect_yolo_grid import YoloGrid
from striate.tasks.detect_yolov3 import Yolov3
from striate.tasks.segment import Segment

STEP = 32
CLASSES = Classes(("cat", "dog", "bird"))
# Form, and of each map the stride with how many numbers a cell says.
FORMS = {
    "task_aligned": (TaskAligned(), [(8, 7), (16, 7), (32, 7)]),
    "yolov3": (Yolov3(), [(8, 24), (16, 24), (32, 24)]),
    "yolo_grid": (YoloGrid(), [(32, 28)]),
}


@st.composite
def cuts(draw):
    axes = []
    for _ in range(2):
        side, before, after, more = (
            STEP * draw(st.integers(least, most)) for least, most in ((1, 9), (0, 2), (0, 2), (0, 2))
        )
        seam = STEP * (before > 0) * draw(st.integers(0, 1))
        axes.append(Axis(side, min(side, before + STEP + after + more), STEP, before, after, seam))
    tiles = ExactTiles(*axes)
    border = draw(st.integers(0, 9))
    height, width = (max(1, side - 2 * border - draw(st.integers(0, 20))) for side in tiles.size)
    down, across = (side - border - own for side, own in zip(tiles.size, (height, width), strict=True))
    return tiles, Geometry(height, width).then(Pad(border, down, border, across))


@settings(max_examples=40)
@given(cuts(), st.integers(0, 100))
def test_a_mask_is_that_of_all_logits(cut, seed):
    tiles, geometry = cut
    logits = torch.randn(1, 3, *tiles.size, generator=torch.Generator().manual_seed(seed))
    parts = [(tile, logits[:, :, tile.shows[0] : tile.shows[2], tile.shows[1] : tile.shows[3]]) for tile in tiles]
    seams = []
    task = Segment(CLASSES)
    mask = task.gathered(parts, geometry, lambda places, otherwise: seams.append((places, otherwise)))
    np.testing.assert_array_equal(mask, task.decode(logits, [geometry])[0])
    assert all(otherwise == 0 for _, otherwise in seams)
    assert bool(sum(places for places, _ in seams)) <= bool(tiles.rows.seam or tiles.columns.seam)


@pytest.mark.parametrize("size", [(16, 1), (1, 16), (1, 1), (2, 1)])
def test_a_photograph_of_one_line_is_answered_by_that_line(size):
    """Within a border, whatever stands beside it."""
    height, width = size
    geometry = Geometry(height, width).then(Pad(8, 24 - height, 8, 24 - width))
    logits = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    (found,) = Segment(CLASSES).decode(logits, [geometry])
    assert (found == logits[0, :, 8 : 8 + height, 8 : 8 + width].argmax(0).numpy()).all()


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=15)
@given(cuts(), st.integers(0, 100))
def test_objects_are_those_of_all_places(name, cut, seed):
    tiles, geometry = cut
    form, maps = FORMS[name]
    random = torch.Generator().manual_seed(seed)
    whole = [torch.randn(1, *(side // stride for side in tiles.size), many, generator=random) for stride, many in maps]
    # Few different scores, so that of many equal ones the first must be the same.
    whole = [(each * 2).round() / 2 for each in whole]

    def outputs(box):
        top, left, bottom, right = box
        parts = [
            each[:, top // stride : bottom // stride, left // stride : right // stride]
            for each, (stride, _) in zip(whole, maps, strict=True)
        ]
        count = form.shape((STEP, STEP), len(CLASSES))[1]
        return torch.cat([part.reshape(1, -1, count) for part in parts], 1)

    task = Detect(CLASSES, form, score_threshold=0.4)
    (expected,) = task.decode(outputs((0, 0, *tiles.size)), [geometry])
    found = task.gathered([(tile, outputs(tile.shows)) for tile in tiles], geometry, lambda places, otherwise: None)
    assert [(each.name, each.probability) for each in found] == [(each.name, each.probability) for each in expected]
    np.testing.assert_allclose(
        [each.xyxy for each in found], [each.xyxy for each in expected], atol=1e-3 * max(1, *tiles.size)
    )


def test_outputs_of_another_network_are_refused():
    axis = Axis(64, 64, STEP, 0, 0)
    (tile,) = ExactTiles(axis, axis)
    with pytest.raises(Exception, match="they belong to another network"):
        Detect(CLASSES).gathered([(tile, torch.zeros(1, 9, 7))], Geometry(64, 64), lambda places, otherwise: None)
