"""Detection: which places answer for an object, what they learn, what is counted, and the road from data to answer."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate.base.errors import ModelFileError
from striate.data.records import Classes
from striate.data.targets import Boxes
from striate.evaluation import evaluate
from striate.modelfile import Description, save
from striate.models import build
from striate.ops.grids import cell_centres, encode_distances
from striate.pictures.geometry import Crop, Flip, Geometry, Pad, Resize
from striate.pictures.preprocess import Preprocess
from striate.predictor import load
from striate.tasks import detect_figures, task_named
from striate.tasks.detect import Detect
from striate.tasks.detect_objects import Objects
from striate.tasks.detect_task_aligned import STRIDES, TaskAligned, assign, decoded, detection_loss, mirrored
from tests.tasks.box_batches import SIZE, batch

CLASSES = Classes(("cat", "dog", "bird"))
PLACES = 8 * 12 + 4 * 6 + 2 * 3


def outputs_that_say(boxes, classes, sure=6.0, size=SIZE):
    """Raw outputs of one picture: at the finest place in the middle of each box that box, surely of its class."""
    centres, strides = cell_centres(size, STRIDES)
    said = torch.full((1, len(centres), 4 + len(CLASSES)), -12.0)
    for box, index in zip(torch.tensor(boxes), classes, strict=True):
        middle = torch.stack([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        at = int(((centres - middle).square().sum(1) + strides * 1e3).argmin())
        said[0, at, :4] = encode_distances(box.expand(len(centres), 4), centres, strides)[at]
        said[0, at, 4 + index] = sure
    return said


def objects(boxes, classes, size=SIZE):
    count = len(classes)
    return Objects(torch.tensor(boxes).reshape(1, count, 4), torch.tensor([classes]), torch.ones(1, count).bool(), size)


def test_the_head_says_four_distances_and_the_classes_at_every_place():
    network = build("tood/resnet18", classes=3, seed=0).eval()
    with torch.no_grad():
        said = network(torch.zeros(2, 3, *SIZE))
    assert said.shape == (2, PLACES, 4 + 3)
    assert said[..., 4:].sigmoid().mean() == pytest.approx(0.01, rel=0.2)  # most places show nothing


def reference_assignment(boxes, logits, truth, classes, size):
    """The same, place by place and object by object."""
    centres, _ = cell_centres(size, STRIDES)
    fits, overlaps = np.zeros((2, len(classes), len(centres)))
    for k, (box, index) in enumerate(zip(truth, classes, strict=True)):
        for p, (x, y) in enumerate(centres.tolist()):
            if not (box[0] < x < box[2] and box[1] < y < box[3]):
                continue
            wide = max(0, min(box[2], boxes[p][2]) - max(box[0], boxes[p][0]))
            high = max(0, min(box[3], boxes[p][3]) - max(box[1], boxes[p][1]))
            area = lambda b: (b[2] - b[0]) * (b[3] - b[1])  # noqa: E731
            overlap = wide * high / (area(box) + area(boxes[p]) - wide * high)
            fits[k, p] = 1 / (1 + math.exp(-logits[p][index])) * overlap**6
            overlaps[k, p] = overlap
    owner, fit = np.zeros(len(centres), int), np.zeros(len(centres))
    chosen = np.zeros_like(fits, bool)
    for k in range(len(classes)):
        best = sorted(range(len(centres)), key=lambda p: -fits[k, p])[:10]
        chosen[k, [p for p in best if fits[k, p] > 1e-9]] = True
    for p in range(len(centres)):
        mine = [k for k in range(len(classes)) if chosen[k, p]]
        if mine:
            owner[p] = max(mine, key=lambda k: overlaps[k, p])
            k = owner[p]
            most = fits[k][chosen[k]].max()
            fit[p] = fits[k, p] / most * overlaps[k][chosen[k]].max()
    return owner, fit


@given(seed=st.integers(0, 10_000), count=st.integers(1, 4))
def test_assignment_is_that_of_the_definition(seed, count):
    drawn = np.random.default_rng(seed)
    corners = drawn.uniform(0, 1, (count, 2, 2)) * [SIZE[1], SIZE[0]]
    truth = np.concatenate([corners.min(1), corners.max(1) + 1], 1).astype(np.float32)
    classes = drawn.integers(0, 3, count).tolist()
    said = torch.from_numpy(drawn.normal(1, 0.7, (1, PLACES, 7)).astype(np.float32))
    boxes = decoded(said, SIZE)
    got = assign(boxes, said[..., 4:], objects(truth.tolist(), classes))
    owner, fit = reference_assignment(boxes[0].tolist(), said[0, :, 4:].tolist(), truth.tolist(), classes, SIZE)
    np.testing.assert_allclose(got.fit[0].numpy(), fit, atol=2e-4)
    there = fit > 1e-3
    assert got.objects[0].numpy()[there].tolist() == owner[there].tolist()


def test_outputs_that_say_what_is_there_cost_next_to_nothing_and_others_more():
    boxes, classes = [[8.0, 8, 40, 56], [50, 20, 90, 60]], [0, 2]
    right = detection_loss(outputs_that_say(boxes, classes), objects(boxes, classes))
    assert right["box"] < 1e-4 and right["class"] < 0.02
    wrong = detection_loss(outputs_that_say(boxes, [1, 2]), objects(boxes, classes))
    assert wrong["class"] > 1
    off = detection_loss(outputs_that_say([[8.0, 8, 40, 40], boxes[1]], classes), objects(boxes, classes))
    assert off["box"] > 0.05


def test_pictures_without_objects_and_absurd_outputs_have_finite_losses_and_gradients():
    none = Objects(torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1).bool(), SIZE)
    for scale in (1.0, 1e4):
        for there in (none, objects([[8.0, 8, 40, 56]], [0])):
            said = (torch.randn(1, PLACES, 7) * scale).requires_grad_()
            parts = detection_loss(said, there)
            (parts["class"] + 2 * parts["box"]).backward()
            assert all(part.isfinite() for part in parts.values()) and said.grad.isfinite().all()


def test_an_answer_is_in_the_photographs_pixels():
    # A photograph of 200 x 200 of which the window (20, 40) to (148, 232), half as large, is what the network sees.
    geometry = Geometry(200, 240).then(Crop(20, 40, 128, 192), Resize(64, 96), Flip())
    said = outputs_that_say([[8.0, 8, 40, 56]], [1])
    (found,) = Detect(CLASSES).decode(said, [geometry])
    (one,) = found
    assert one.name == "dog" and one.probability == pytest.approx(0.9975, abs=1e-3)
    assert one.xyxy == pytest.approx((40 + 2 * (96 - 40), 20 + 2 * 8, 40 + 2 * (96 - 8), 20 + 2 * 56), abs=1e-2)


def test_boxes_beside_the_photograph_are_no_answers_and_take_no_place_of_one():
    """A letterbox with an object on 32 x 64 pixels, and 192 surer answers beside them, where a picture has 100."""
    geometry = Geometry(64, 32).then(Pad(0, 0, 32, 32))
    beside = [[x, y, x + 8.0, y + 8] for x in (*range(0, 32, 8), *range(64, 96, 8)) for y in range(0, 64, 8)]
    surer = outputs_that_say(3 * beside, [0] * 64 + [1] * 64 + [2] * 64)
    said = torch.maximum(surer, outputs_that_say([[24.0, 8, 56, 40]], [1], sure=3.0))
    (found,) = Detect(CLASSES).decode(said, [geometry])
    (one,) = found
    assert one.name == "dog" and one.xyxy == pytest.approx((0, 8, 24, 40), abs=1e-2)
    meter = Detect(CLASSES).meter()
    meter.add(said, batch(Boxes.of([[0, 8, 24, 40]], [1]), geometries=[geometry]))
    (row,) = meter.rows()
    assert (row["named"], row["found"], row["right"]) == (1, 1, True) and meter.figures()["ap"] == pytest.approx(1)


def test_what_is_said_of_mirrored_pictures_comes_back():
    boxes = [[8.0, 8, 40, 56], [50, 20, 90, 60]]
    turned = [[96 - b[2], b[1], 96 - b[0], b[3]] for b in boxes]
    back = mirrored(outputs_that_say(turned, [0, 2]), SIZE)
    (found,) = Detect(CLASSES).decode(back, [Geometry(*SIZE)])
    assert sorted(each.xyxy for each in found) == [pytest.approx(tuple(box), abs=1e-2) for box in boxes]


def test_figures_of_answers_that_are_known():
    # Two cats, one of which is found, a dog found where there is none: AP of cats is 51 of 101 recalls at every IoU.
    truth = Boxes.of([[8, 8, 40, 56], [50, 20, 90, 60]], [0, 0])
    said = outputs_that_say([[8.0, 8, 40, 56], [4.0, 30, 30, 60]], [0, 1])
    meter = Detect(CLASSES).meter()
    meter.add(said, batch(truth))
    figures = meter.figures()
    assert figures["ap"] == figures["ap50"] == figures["ap75"] == pytest.approx(51 / 101)
    assert figures["ar100"] == pytest.approx(0.5)
    assert figures["voc07_ap50"] == pytest.approx(6 / 11)  # recalls 0, 0.1, ..., 0.5 of eleven
    assert figures["ap_large"] is None  # none of them has 96 x 96 pixels
    assert [(row["name"], row["objects"]) for row in figures["per_class"]] == [("cat", 2)]
    (row,) = meter.rows()
    assert (row["objects"], row["named"], row["found"], row["missed"], row["right"]) == (2, 2, 1, 1, False)
    assert figures["loss"] == row["loss"]


def test_groups_that_nobody_counted_are_neither_learnt_nor_held_against_an_answer():
    crowd = Boxes(np.array([[8.0, 8, 40, 56]]), np.array([0]), np.array([False]), np.array([True]))
    meter = Detect(CLASSES).meter()
    meter.add(outputs_that_say([[50.0, 20, 90, 60]], [0]), batch(Boxes.of([[50, 20, 90, 60]], [0])))
    meter.add(outputs_that_say([[8.0, 8, 40, 56]], [0]), batch(crowd))
    assert meter.figures()["ap"] == pytest.approx(1)
    assert not Detect(CLASSES).encode(batch(crowd), torch.device("cpu")).there.any()


def test_no_objects_have_no_figures():
    meter = Detect(CLASSES).meter()
    assert meter.figures()["ap"] is None and meter.figures()["loss"] is None
    meter.add(outputs_that_say([], []), batch(Boxes.of([], [])))
    figures = meter.figures()
    assert figures["ap"] is None and figures["images"] == 1 and figures["per_class"] == []


def test_two_meters_count_as_one():
    first = Boxes.of([[8, 8, 40, 56]], [0]), outputs_that_say([[8.0, 8, 40, 56]], [0])
    second = Boxes.of([[50, 20, 90, 60]], [2]), outputs_that_say([[52.0, 24, 90, 60]], [2])
    whole, *halves = (Detect(CLASSES).meter() for _ in range(3))
    for target, said in (first, second):
        whole.add(said, batch(target))
    for half, (target, said) in zip(halves, (first, second), strict=True):
        half.add(said, batch(target))
    halves[0].merge(halves[1].state())
    assert halves[0].figures() == whole.figures() and 0 < whole.figures()["ap"] < 1


def test_the_road_from_boxes_to_drawn_answers(tmp_path, monkeypatch, capsys, squares):
    from striate import modelfile
    from striate.cli import main

    monkeypatch.chdir(tmp_path)
    scores = itertools.count(2)  # so short a run finds nothing, of which no score is the best
    monkeypatch.setattr(detect_figures, "best_threshold", lambda *_: (next(scores) / 1000, 0.5))
    quick = ["--size", "64", "--epochs", "1", "--batch-size", "4"]
    words = [*quick, "--out", "run", "--quiet", "--json"]
    assert main(["train", str(squares), *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["task"] == "detect" and answer["model"] == "tood/efficientnet_lite0"
    assert main(["evaluate", "run", str(squares), "--quiet", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    equal = set(answer["test"]) - {"best_threshold", "per_class"}
    assert all(measured[name] == answer["test"][name] for name in equal) and {"ap", "errors", "recall"} < equal
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    (*_, kept) = (line["validation"]["best_threshold"] for line in lines if line.get("kept"))
    told = modelfile.describe(Path("run/model.safetensors")).task_arguments["score_threshold"]
    assert told == kept == measured["score_threshold"] == answer["test"]["score_threshold"]
    picture = squares / "images" / "0.png"
    assert main(["predict", "run", str(picture), "--out", "drawn", "--quiet", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["predictions"]
    assert all(set(each) == {"name", "probability", "xyxy"} for each in found["boxes"])
    with Image.open(tmp_path / "drawn" / found["drawn"]) as shown:
        assert shown.size == (90, 60)
    assert main(["predict", "run", str(picture), "--tile", "40", "--overlap", "0.5", "--quiet", "--json"]) == 0
    (tiled,) = json.loads(capsys.readouterr().out)["predictions"]
    assert set(tiled) == {"image", "boxes"} and tiled["boxes"] != found["boxes"]
    edges = np.array([each["xyxy"] for each in tiled["boxes"]])
    assert len(edges) and edges.min() >= 0 and (edges <= [90, 60, 90, 60]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"iou_threshold": "x"},
        {"iou_threshold": -3},
        {"score_threshold": math.nan},
        {"form": {"name": "none"}},
        {"form": {"name": "task_aligned", "box_weight": "x"}},
        {"form": {"name": "task_aligned", "more": 1}},
        {"more": 1},
    ],
)
def test_a_model_file_of_wrong_arguments_is_refused(wrong):
    with pytest.raises(ModelFileError, match="the task detect cannot be had with the arguments"):
        task_named("detect", CLASSES, wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"iou_threshold": 0.5, "score_threshold": -1}, "iou_threshold, score_threshold: score_threshold is -1: Input"),
        ({"form": {"name": "yolo_gird"}}, "form: its form is 'yolo_gird'; expected one with a name of task_aligned, "),
        ({"form": None}, "form: its form is None; expected"),
        ({"form": {"name": "yolov3", "strides": [0, 8, 16]}}, "form: strides.0 is 0: Input should be greater"),
    ],
)
def test_what_is_wrong_of_arguments_is_said_and_of_which_file(tmp_path, wrong, said):
    description = Description(
        "tood/resnet18", {"classes": 3, "in_channels": 3}, "detect", CLASSES, Preprocess(), task_arguments=wrong
    )
    save(tmp_path / "odd.safetensors", build("tood/resnet18", classes=3, seed=0).state_dict(), description)
    for verb in (load, lambda path: evaluate(path, tmp_path)):
        with pytest.raises(ModelFileError) as error:
            verb(tmp_path / "odd.safetensors")
        told = f"{tmp_path}/odd.safetensors: the task detect cannot be had with the arguments {said}"
        assert str(error.value).startswith(told)


def test_a_model_file_keeps_what_the_loss_is_measured_by():
    task = Detect(CLASSES, TaskAligned(box_weight=5.0), score_threshold=0.2)
    again = task_named("detect", CLASSES, json.loads(json.dumps(task.arguments)))
    assert again == task
