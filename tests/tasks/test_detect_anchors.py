"""Detectors with anchors: boxes said and read again, the loss by the slowest loops, anchors of a data set's own."""

import json
import math
from contextlib import nullcontext
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.base.errors import ModelError, ModelFileError
from striate.data.records import ArrayHandle, Classes, Record
from striate.data.targets import Boxes
from striate.models import MODELS
from striate.ops import anchor_report
from striate.pictures.geometry import Geometry
from striate.recipe import Recipe
from striate.task_settings import DetectSettings
from striate.tasks import task_named
from striate.tasks.detect import Detect
from striate.tasks.detect_anchors import answering, boxes_in_input
from striate.tasks.detect_objects import Objects
from striate.tasks.detect_task_aligned import TaskAligned
from striate.tasks.detect_yolo_grid import YoloGrid
from striate.tasks.detect_yolov3 import Yolov3
from tests.tasks.box_batches import batch

CLASSES = 3
FORMS = {
    "yolov3": Yolov3(),
    "tiny": Yolov3(**MODELS["yolov3_tiny"].form_arguments),
    # As darknet's files have them: the coarse scale first, and reaches over the cells' edges.
    "darknet": Yolov3(anchors=[[[81, 82], [135, 169]], [[10, 14]]], strides=[32, 16], scale_xy=[1.05, 1.2]),
    "grid": YoloGrid(),
}
SIZES = ((64, 96), (96, 64), (75, 101))


def scales_of(form):
    """Anchors, stride and reach of each scale."""
    if isinstance(form, YoloGrid):
        return [(form.anchors, form.stride, 1.0)]
    return list(zip(form.anchors, form.strides, form.scale_xy, strict=True))


@cache
def places_of(form, size):
    """Column, row, anchor, stride and reach of each place, by loops."""
    return [
        (column, row, anchor, stride, reach)
        for anchors, stride, reach in scales_of(form)
        for row in range(math.ceil(size[0] / stride))
        for column in range(math.ceil(size[1] / stride))
        for anchor in anchors
    ]


def width_of(form):
    """Rows and numbers of the raw outputs for each place of the form."""
    return (1, 5 + CLASSES) if isinstance(form, Yolov3) else (len(form.anchors), 5 * len(form.anchors) + CLASSES)


def raw(form, numbers, logits):
    """Raw outputs from numbers ``[N, P, 5]`` and logits ``[N, P, C]`` (of a grid those of each cell's first place)."""
    if isinstance(form, Yolov3):
        return torch.cat([numbers, logits], -1)
    count = len(form.anchors)
    return torch.cat([numbers.unflatten(1, (-1, count)).flatten(2), logits[:, ::count]], -1)


@st.composite
def scenes(draw, most=6):
    size = draw(st.sampled_from(SIZES))
    height, width = size
    boxes = []
    for _ in range(draw(st.integers(1, most))):
        x, y = draw(st.floats(1, width - 1)), draw(st.floats(1, height - 1))
        across, down = draw(st.floats(0.5, width)), draw(st.floats(0.5, height))
        boxes.append([x - across / 2, y - down / 2, x + across / 2, y + down / 2])
    classes = [draw(st.integers(0, CLASSES - 1)) for _ in boxes]
    padding = draw(st.integers(0, 2))
    there = [True] * len(boxes) + [False] * padding
    boxes, classes = boxes + [[0.0] * 4] * padding, classes + [0] * padding
    return Objects(torch.tensor([boxes], dtype=torch.float64), torch.tensor([classes]), torch.tensor([there]), size)


def shape_overlap(a, b):
    shared = min(a[0], b[0]) * min(a[1], b[1])
    return shared / (a[0] * a[1] + b[0] * b[1] - shared)


def overlap(a, b):
    wide = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return wide * high / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high)


def answers_of(form, objects):
    """The place of each object, or None where another has it, by loops."""
    places = places_of(form, objects.size)
    anchors = [anchor for scale, _, _ in scales_of(form) for anchor in scale]
    steps = [stride for scale, stride, _ in scales_of(form) for _ in scale]
    found = []
    for (left, top, right, bottom), there in zip(objects.boxes[0].tolist(), objects.there[0].tolist(), strict=True):
        if not there:
            continue
        best = max(range(len(anchors)), key=lambda a: shape_overlap((right - left, bottom - top), anchors[a]))
        column, row = int((left + right) / 2 / steps[best]), int((top + bottom) / 2 / steps[best])
        place = next(at for at, each in enumerate(places) if each[:4] == (column, row, anchors[best], steps[best]))
        found.append(None if place in found else place)
    return found


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=40)
@given(objects=scenes())
def test_boxes_said_and_read_again(name, objects):
    form = FORMS[name]
    found = answering(objects, *[[scale[part] for scale in scales_of(form)] for part in (0, 1)])
    wanted = answers_of(form, objects)
    count = len(wanted)
    assert found.do[0].tolist() == [place is not None for place in wanted] + [False] * (len(objects.boxes[0]) - count)
    kept = [at for at, place in enumerate(wanted) if place is not None]
    assert found.places[0, kept].tolist() == [wanted[at] for at in kept]
    if name != "darknet":  # whose scales have not as many anchors each
        anchors = torch.tensor([anchor for scale, _, _ in scales_of(form) for anchor in scale])
        strides = [stride for _, stride, _ in scales_of(form)]
        assert anchor_report([objects.boxes[0, :count]], anchors, strides).collisions == wanted.count(None)
    # Encoded, put where they belong, decoded:
    places = form._places(objects.size, torch.device("cpu"))
    numbers = torch.full((1, len(places.centres), 5), -9.0, dtype=torch.float64)
    numbers[0, found.places[0, kept], :4] = places.numbers(objects.boxes, found.places)[0, kept]
    outputs = raw(form, numbers, torch.zeros(1, len(places.centres), CLASSES, dtype=torch.float64))
    boxes = form.boxes(outputs, objects.size)
    assert boxes.dtype == torch.float64
    torch.testing.assert_close(boxes[0, found.places[0, kept]], objects.boxes[0, kept], rtol=0, atol=1e-3)


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


def entropy(t, wanted):
    return math.log1p(math.exp(-abs(t))) + max(t, 0) - t * wanted


def reference_loss(form, numbers, logits, objects):
    """The paper's sums for one picture, place by place; boxes and anchors in pixels."""
    places, answers = places_of(form, objects.size), answers_of(form, objects)
    truth, classes = objects.boxes[0].tolist(), objects.classes[0].tolist()
    parts = dict.fromkeys(("box", "object", "background", "class"), 0.0)
    for at, (column, row, anchor, stride, reach) in enumerate(places):
        tx, ty, tw, th, sure = numbers[at]
        x = (column + 0.5 + (sigmoid(tx) - 0.5) * reach) * stride
        y = (row + 0.5 + (sigmoid(ty) - 0.5) * reach) * stride
        width, height = anchor[0] * math.exp(tw), anchor[1] * math.exp(th)
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        mine = [k for k, place in enumerate(answers) if place == at]
        if not mine:
            if not any(overlap(box, truth[k]) > 0.7 for k in range(len(answers))):
                parts["background"] += entropy(sure, 0)
            continue
        (k,) = mine
        left, top, right, bottom = truth[k]
        for t, middle, cell in ((tx, (left + right) / 2, column), (ty, (top + bottom) / 2, row)):
            within = min(max((middle / stride - cell - 0.5) / reach + 0.5, 1e-6), 1 - 1e-6)  # at a cell's border
            true = math.log(within / (1 - within))
            parts["box"] += entropy(t, within) - entropy(true, within)
        parts["box"] += (tw - math.log((right - left) / anchor[0])) ** 2 / 2
        parts["box"] += (th - math.log((bottom - top) / anchor[1])) ** 2 / 2
        parts["object"] += entropy(sure, 1)
        if isinstance(form, Yolov3):
            parts["class"] += sum(entropy(t, index == classes[k]) for index, t in enumerate(logits[at]))
        else:
            cell = logits[at // len(form.anchors) * len(form.anchors)]
            parts["class"] += math.log(sum(map(math.exp, cell))) - cell[classes[k]]
    return parts


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=25)
@given(objects=scenes(most=4), seed=st.integers(0, 10_000))
def test_the_loss_is_that_of_the_loops(name, objects, seed):
    form = FORMS[name]
    drawn = np.random.default_rng(seed)
    places = places_of(form, objects.size)
    numbers, logits = drawn.normal(0, 1, (len(places), 5)), drawn.normal(0, 2, (len(places), CLASSES))
    for k, place in enumerate(answers_of(form, objects)):  # some boxes nearly right, so that neighbours are ignored
        if place is not None and k % 2:
            numbers[max(0, place - 1) : place + 2] = 0.1
    outputs = raw(form, *(torch.from_numpy(each)[None] for each in (numbers, logits))).float()
    got = form.loss(outputs, objects)
    wanted = reference_loss(form, numbers.tolist(), logits.tolist(), objects)
    assert {name: float(part) for name, part in got.items()} == pytest.approx(wanted, rel=2e-4, abs=1e-3)


def two_pictures(size=(64, 96)):
    """One with two objects of one place, and a third; and one without any."""
    boxes = torch.zeros(2, 3, 4)
    boxes[0] = torch.tensor([[8.0, 8, 40, 56], [9, 8, 41, 56], [50, 20, 90, 60]])
    there = torch.tensor([[True] * 3, [False] * 3])
    return Objects(boxes, torch.tensor([[0, 2, 1], [0, 0, 0]]), there, size)


@pytest.mark.parametrize("name", FORMS)
def test_pictures_are_averaged_and_parts_weighed(name):
    form, objects = FORMS[name], two_pictures()
    rows, width = width_of(form)
    outputs = torch.randn(2, len(places_of(form, objects.size)) // rows, width)
    each = [
        form.loss(outputs[at : at + 1], Objects(*(part[at : at + 1] for part in parts), objects.size))
        for at in (0, 1)
        for parts in [(objects.boxes, objects.classes, objects.there)]
    ]
    whole = form.loss(outputs, objects)
    assert all(float(whole[part]) == pytest.approx(float(each[0][part] + each[1][part]) / 2) for part in whole)
    assert float(each[1]["box"]) == float(each[1]["object"]) == float(each[1]["class"]) == 0 < each[1]["background"]
    heavy = replace(form, box_weight=3.0, background_weight=0.5).loss(outputs, objects)
    weights = {"box": 3.0, "object": 1.0, "background": 0.5, "class": 1.0}
    assert all(float(heavy[part]) == pytest.approx(weights[part] * float(whole[part])) for part in whole)


def test_gradients_are_what_is_said_less_what_is_true():
    """Section 2.1; of x and y behind the sigmoid."""
    form, objects = (
        Yolov3(),
        Objects(torch.tensor([[[8.0, 8, 40, 56]]]), torch.tensor([[1]]), torch.ones(1, 1).bool(), (64, 96)),
    )
    outputs = torch.randn(1, len(places_of(form, objects.size)), 5 + CLASSES).requires_grad_()
    sum(form.loss(outputs, objects).values()).backward()
    (place,) = answers_of(form, objects)
    column, row, anchor, stride, _ = places_of(form, objects.size)[place]
    said, slope = outputs[0, place].tolist(), outputs.grad[0, place].tolist()
    true = [24 / stride - column, 32 / stride - row, math.log(32 / anchor[0]), math.log(48 / anchor[1]), 1, 0, 1, 0]
    held = [t if 2 <= at < 4 else sigmoid(t) for at, t in enumerate(said)]
    assert slope == pytest.approx([a - b for a, b in zip(held, true, strict=True)], abs=1e-5)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_absurd_outputs_have_finite_losses_and_gradients(name, scale):
    form, objects = FORMS[name], two_pictures((75, 101))
    rows, width = width_of(form)
    outputs = (torch.randn(2, len(places_of(form, objects.size)) // rows, width) * scale).requires_grad_()
    parts = form.loss(outputs, objects)
    sum(parts.values()).backward()
    assert all(part.isfinite() for part in parts.values()) and outputs.grad.isfinite().all()
    assert form.boxes(outputs, objects.size).isfinite().all()
    scores = form.scores(outputs)
    assert scores.dtype == torch.float32 and scores.min() >= 0 and scores.max() <= 1


def test_scores_are_objectness_times_class():
    outputs = torch.tensor([[[0.0, 0, 0, 0, 1.0, 2.0, -1.0]]])
    assert Yolov3().scores(outputs)[0, 0].tolist() == pytest.approx([sigmoid(1) * sigmoid(2), sigmoid(1) * sigmoid(-1)])
    cell = torch.zeros(1, 1, 5 * 5 + 2)
    cell[..., [4, 9]], cell[..., -2:] = torch.tensor([1.0, -1.0]), torch.tensor([2.0, -1.0])
    scores = YoloGrid().scores(cell)[0]  # of five places
    first = math.exp(2) / (math.exp(2) + math.exp(-1))
    assert scores[0].tolist() == pytest.approx([sigmoid(1) * first, sigmoid(1) * (1 - first)])
    assert scores[1:3, 0].tolist() == pytest.approx([sigmoid(-1) * first, 0.5 * first])


@pytest.mark.parametrize("name", FORMS)
def test_what_is_said_of_mirrored_pictures_comes_back(name):
    form, size = FORMS[name], (64, 96)
    boxes = torch.tensor([[[8.0, 8, 40, 56], [50, 20, 90, 60]]])
    turned = torch.stack([96 - boxes[..., 2], boxes[..., 1], 96 - boxes[..., 0], boxes[..., 3]], -1)
    objects = Objects(turned, torch.tensor([[0, 2]]), torch.ones(1, 2).bool(), size)
    places, at = form._places(size, torch.device("cpu")), answers_of(form, objects)
    numbers = torch.full((1, len(places.centres), 5), -12.0)
    numbers[0, at, :4] = places.numbers(turned, torch.tensor([at]))[0]
    numbers[0, at, 4] = 9.0
    logits = torch.full((1, len(places.centres), CLASSES), -12.0)
    for place, index in zip(at, (0, 2), strict=True):
        logits[0, place if isinstance(form, Yolov3) else place // 5 * 5, index] = 9.0
    task = Detect(Classes(("cat", "dog", "bird")), form)
    (found,) = task.decode(task.undo(raw(form, numbers, logits), size), [Geometry(*size)])
    by_name = {each.name: each.xyxy for each in found}
    assert by_name == {
        "cat": pytest.approx((8, 8, 40, 56), abs=1e-2),
        "bird": pytest.approx((50, 20, 90, 60), abs=1e-2),
    }


@pytest.mark.parametrize("name", ["grid", *(pytest.param(name, marks=pytest.mark.slow) for name in list(FORMS)[:-1])])
def test_one_graph_whatever_the_objects(name):
    """Nothing in the loss depends on values: dynamo sees one graph, and runs it for other objects."""
    form, objects = FORMS[name], two_pictures()
    rows, width = width_of(form)
    outputs = torch.randn(2, len(places_of(form, objects.size)) // rows, width)
    compiled = torch.compile(form.loss, backend="eager", fullgraph=True)
    for there in (objects.there, ~objects.there):
        scene = Objects(objects.boxes, objects.classes, there, objects.size)
        wanted, found = form.loss(outputs, scene), compiled(outputs, scene)
        assert all(torch.equal(wanted[part], found[part]) for part in wanted)


# Anchors of the data


def records(sizes, photograph=(200, 400)):
    """Pictures of this height and width, each with one box of a size, and a group that nobody counted."""
    pictures = np.zeros((len(sizes), *photograph, 3), np.uint8)
    found = []
    for at, (width, height) in enumerate(sizes):
        xyxy = np.array([[10.0, 20, 10 + width, 20 + height], [0, 0, 5, 5]])
        target = Boxes(xyxy, np.array([0, 0]), np.zeros(2, bool), np.array([False, True]))
        found.append(Record(ArrayHandle(pictures, at), target, b"", f"picture {at}"))
    return found


RECIPE = Recipe(
    task="detect",
    model="yolov3/efficientnet_lite0",
    size=(100, 100),
    fit="letterbox",
    settings=DetectSettings(box_weight=2.5, background_weight=0.25),
)


def test_boxes_lie_where_the_network_sees_them():
    # A photograph of 200 x 400 becomes 50 x 100, and 25 rows lie above it.
    (boxes,) = boxes_in_input(RECIPE, records([(80, 40)]))
    assert boxes.tolist() == [[2.5, 25 + 5, 22.5, 25 + 15]]


def test_anchors_are_those_of_the_boxes_in_the_input():
    groups = [(8 * (at + 1), 10 * (at + 1)) for at in range(9)]
    found = Yolov3().fitted(RECIPE, records([(w + jitter, h) for w, h in groups for jitter in (-0.4, 0, 0.4)]))
    wanted = [(w / 4, h / 4) for w, h in groups]  # 400 pixels are 100
    assert [size for scale in found.anchors for size in scale] == [pytest.approx(size, abs=0.01) for size in wanted]
    assert (found.strides, found.box_weight, found.background_weight) == ((8, 16, 32), 2.5, 0.25)
    assert found.report.objects == 27 and found.report.mean_best_iou > 0.9
    (said,) = found.remarks()
    assert said.startswith("anchors: 2x2, 4x5, ") and "of 27 objects 100.0% reach an IoU of 0.5" in said
    assert "0 are lost" in said and f"{found.report.small} are smaller than a cell" in said
    coarse_first = Yolov3(**{**FORMS["tiny"].arguments, "strides": [32, 16]}).fitted(RECIPE, records(groups))
    fine, coarse = coarse_first.anchors[1], coarse_first.anchors[0]
    assert max(w * h for w, h in fine) < min(w * h for w, h in coarse)
    grid = YoloGrid().fitted(RECIPE, records(groups))
    assert len(grid.anchors) == 5 and grid.report.objects == 9


@pytest.mark.parametrize(("form", "count"), [(Yolov3(), 9), (YoloGrid(), 5)])
def test_too_few_sizes_leave_the_anchors_as_they_were(form, count):
    found = form.fitted(RECIPE, records([(8 + at, 10) for at in range(count - 1)]))
    assert found.anchors == form.anchors and found.box_weight == 2.5
    (said,) = found.remarks()
    assert "fewer boxes of different sizes than there are anchors" in said


# What a model file keeps


@pytest.mark.parametrize("name", FORMS)
def test_through_json_and_back(name):
    task = Detect(Classes(("cat",)), replace(FORMS[name], background_weight=0.3))
    assert task_named("detect", task.classes, json.loads(json.dumps(task.arguments))) == task


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "yolov3", "anchors": [[[10, 13]]]}, "anchors of 1 scales, 3 strides and 3 reaches"),
        ({"name": "yolov3", "anchors": [[[10, -13]]] * 3}, "greater than 0"),
        ({"name": "yolov3", "anchors": [[[10, float("nan")]]] * 3}, "less than or equal to 65536"),
        ({"name": "yolov3", "anchors": [[]] * 3}, "at least 1 item"),
        ({"name": "yolov3", "strides": [0, 8, 16]}, "greater than or equal to 1"),
        ({"name": "yolov3", "scale_xy": [1, 1, "wide"]}, "valid number"),
        ({"name": "yolov3", "stride": 32}, "Unexpected keyword"),
        ({"name": "yolov3", "box_weight": float("nan")}, "finite number"),
        ({"name": "yolo_grid", "stride": 32.5}, "valid integer"),
        ({"name": "yolo_grid", "anchors": [[1, 2, 3]]}, "at most 2 items"),
        ({"name": "yolov9"}, "yolov9"),
    ],
)
def test_arguments_that_cannot_be(form, said):
    with pytest.raises(ModelFileError, match="the task detect cannot be had") as error:
        task_named("detect", Classes(("cat",)), {"form": form})
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", FORMS)
def test_a_network_of_other_places_is_refused(name):
    rows, width = width_of(FORMS[name])
    places = len(places_of(FORMS[name], (64, 96))) // rows + 1
    with pytest.raises(ModelError, match="belong to another network"):
        FORMS[name].boxes(torch.zeros(1, places, width), (64, 96))


@pytest.mark.parametrize("name", [*FORMS, "tood"])
@pytest.mark.parametrize("other", [*FORMS, "tood"])
def test_a_network_of_another_form_is_refused(name, other):
    """By whatever answers or measures; a model file may have been put together by somebody."""
    size, tood = (64, 96), TaskAligned()
    said = torch.zeros(1, *{**FORMS, "tood": tood}[other].shape(size, CLASSES))
    task = Detect(Classes(("a", "b", "c")), form={**FORMS, "tood": tood}[name])
    refused = pytest.raises(ModelError, match="belong to another network") if name != other else nullcontext()
    with refused:
        task.decode(said, [Geometry(*size)])
    with refused:
        task.meter().add(said, batch(Boxes.of([[8, 8, 40, 56]], [1])))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("size", SIZES)
def test_the_shape_of_outputs(name, size):
    rows, width = width_of(FORMS[name])
    assert FORMS[name].shape(size, CLASSES) == (len(places_of(FORMS[name], size)) // rows, width)
