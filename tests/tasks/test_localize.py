"""Localization: what the head says, what it learns by, what is counted, and the road from data to answer."""

import json
import math
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

import striate
from striate.answering import FoldedNetwork
from striate.base.errors import DataError, RecipeError
from striate.data import open_data
from striate.data.augmentation import Augmentation
from striate.data.records import ArrayHandle, Classes, Dataset, Record
from striate.data.settings import DataSettings
from striate.data.targets import Boxes, ClassIndex
from striate.models import build
from striate.models.one_box import AveragedBox
from striate.pictures.geometry import Crop, Flip, Geometry, Resize
from striate.recipe import Recipe
from striate.task_settings import LocalizeSettings
from striate.tasks.localize import Localize
from striate.tasks.localize_loss import Objects, localization_losses
from striate.training.events import StepDone
from striate.training.one_network import RunStopped
from tests.tasks.box_batches import SIZE, batch

CLASSES = Classes(("cat", "dog", "bird"))


def said_of(boxes, classes, sure=9.0):
    """Raw outputs that say these boxes, in pixels of the input, and these classes."""
    logits = torch.zeros(len(boxes), len(CLASSES))
    logits[range(len(boxes)), classes] = sure
    return torch.cat([torch.tensor(boxes, dtype=torch.float32), logits], 1)


# What the head says


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 4), columns=st.integers(1, 4), scale=st.floats(0.1, 20))
def test_one_box_is_the_mean_of_all_cells_by_the_definition(seed, rows, columns, scale):
    said = np.random.default_rng(seed).normal(0, scale, (2, 5, rows, columns)).astype(np.float32)
    got = AveragedBox(8)(torch.from_numpy(said)).numpy()
    for picture in range(2):
        total, wanted = 0.0, np.zeros(4)
        most = said[picture, 0].max()
        for row in range(rows):
            for column in range(columns):
                weight = math.exp(float(said[picture, 0, row, column]) - float(most))
                left, top, right, bottom = (8 * math.exp(min(10.0, n)) for n in said[picture, 1:, row, column].tolist())
                x, y = 8 * (column + 0.5), 8 * (row + 0.5)
                wanted += weight * np.array([x - left, y - top, x + right, y + bottom])
                total += weight
        np.testing.assert_allclose(got[picture], wanted / total, rtol=1e-4, atol=1e-3)
    assert (got[:, 2:] >= got[:, :2]).all()


def test_what_is_seen_elsewhere_is_said_elsewhere():
    """A cell that counts alone says the same box two strides to the right, if it is two cells to the right."""
    said = torch.randn(1, 5, 3, 6)
    said[:, 0] = -1e4
    said[:, 0, 1, 1] = 0
    moved = said.roll(2, dims=3)
    torch.testing.assert_close(AveragedBox(16)(moved) - AveragedBox(16)(said), torch.tensor([[32.0, 0, 32, 0]]))


@pytest.mark.parametrize("name", ["resnet20", "lenet5", "squeezenet1_1"])
def test_the_head_stands_on_any_backbone_and_answers_folded_alike(name):
    network = build(f"box/{name}", classes=3, seed=0).eval()
    images = torch.randn(2, network.in_channels, *SIZE)
    with torch.inference_mode():
        said = network(images)
        folded = FoldedNetwork(network)(images)
    assert said.shape == (2, 4 + 3) and (said[:, 2:4] > said[:, :2]).all()
    torch.testing.assert_close(folded, said, rtol=1e-4, atol=1e-2)


def test_boxes_are_computed_in_float32_where_the_network_is_not():
    numbers = torch.randn(2, 5, 7, 7)
    with torch.autocast("cpu", torch.bfloat16):
        got = AveragedBox(32)(numbers.bfloat16())
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, AveragedBox(32)(numbers.bfloat16().float()))


# What it learns by


def reference_losses(said, true, classes, size):
    """Cross-entropy, 1 - GIoU and the chapter's own loss of a box, picture by picture."""
    rows = []
    for numbers, box, index in zip(said.tolist(), true, classes, strict=True):
        a, logits = numbers[:4], numbers[4:]
        entropy = math.log(sum(math.exp(each) for each in logits)) - logits[index]
        area = lambda b: (b[2] - b[0]) * (b[3] - b[1])  # noqa: E731
        wide = max(0, min(a[2], box[2]) - max(a[0], box[0]))
        high = max(0, min(a[3], box[3]) - max(a[1], box[1]))
        union = area(a) + area(box) - wide * high
        around = (max(a[2], box[2]) - min(a[0], box[0])) * (max(a[3], box[3]) - min(a[1], box[1]))
        giou = wide * high / union - (around - union) / around
        height, width = size
        chapter = [
            ((a[0] + a[2] - box[0] - box[2]) / 2 / width) ** 2,
            ((a[1] + a[3] - box[1] - box[3]) / 2 / height) ** 2,
            (math.sqrt((a[2] - a[0]) / width) - math.sqrt((box[2] - box[0]) / width)) ** 2,
            (math.sqrt((a[3] - a[1]) / height) - math.sqrt((box[3] - box[1]) / height)) ** 2,
        ]
        rows.append((entropy, 1 - giou, sum(chapter) / 4))
    return np.array(rows).T


@given(seed=st.integers(0, 10_000))
def test_losses_are_those_of_the_definition(seed):
    drawn = np.random.default_rng(seed)
    corners = drawn.uniform(0, 1, (2, 3, 2, 2)) * [SIZE[1], SIZE[0]]
    said, true = np.concatenate([corners.min(2), corners.max(2) + 1], 2)
    classes = drawn.integers(0, 3, 3).tolist()
    outputs = torch.cat([torch.tensor(said), torch.from_numpy(drawn.normal(0, 2, (3, 3)))], 1).float()
    objects = Objects(torch.tensor(true).float(), torch.tensor(classes), torch.ones(3).bool(), SIZE)
    entropy, giou, roots = reference_losses(outputs, true.tolist(), classes, SIZE)
    for kind, wanted in (("giou", giou), ("square_roots", roots)):
        parts = localization_losses(outputs, objects, kind)
        np.testing.assert_allclose(parts["class"].numpy(), entropy, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(parts["box"].numpy(), wanted, rtol=1e-3, atol=1e-5)


def test_the_recipe_weighs_class_and_box():
    target = Boxes.of([[10, 20, 50, 60]], [1])
    said = said_of([[10, 20, 58, 60]], [1], sure=1.0)
    chapters = LocalizeSettings(box_loss="square_roots", loss_weights=(0.8, 0.2))
    task = Localize(CLASSES).fitted(Recipe(task="localize", settings=chapters), ())
    loss = task.loss(said, (), task.encode(batch(target), torch.device("cpu")))
    entropy = math.log(math.e + 2) - 1
    middle, side = (4 / 96) ** 2, (math.sqrt(48 / 96) - math.sqrt(40 / 96)) ** 2
    assert float(loss.total) == pytest.approx(0.8 * entropy + 0.2 * (middle + side) / 4, rel=1e-4)
    assert loss.parts.keys() == {"class", "box"} and float(loss.parts["class"]) == pytest.approx(entropy)


@pytest.mark.parametrize("kind", ["giou", "square_roots"])
def test_objects_that_a_window_missed_and_absurd_outputs_have_finite_losses_and_gradients(kind):
    task = Localize(CLASSES, box_loss=kind)
    seen, missed = Boxes.of([[10, 20, 50, 60]], [1]), Boxes.of([[0, 0, 4, 4]], [2])
    away = [Geometry(*SIZE), Geometry(*SIZE).then(Crop(32, 48, 32, 48), Resize(*SIZE))]
    targets = task.encode(batch(seen, missed, geometries=away), torch.device("cpu"))
    assert targets.there.tolist() == [True, False]
    alone = task.encode(batch(seen), torch.device("cpu"))
    for scale in (1.0, 1e4):
        said = (torch.randn(2, 7) * scale).requires_grad_()
        loss = task.loss(said, (), targets)
        assert torch.equal(loss.total, task.loss(said[:1], (), alone).total)  # what is not seen is not learnt
        loss.total.backward()
        assert loss.total.isfinite() and said.grad.isfinite().all() and not said.grad[1].any()
    nothing = task.encode(batch(missed, geometries=away[1:]), torch.device("cpu"))
    assert float(task.loss(torch.randn(1, 7), (), nothing).total) == 0


# What is answered and counted


def test_an_answer_is_in_the_photographs_pixels_and_inside():
    # A photograph of 200 x 240 of which the window (20, 40) to (148, 232), half as large, is what the network sees.
    geometry = Geometry(200, 240).then(Crop(20, 40, 128, 192), Resize(64, 96), Flip())
    found, over = Localize(CLASSES).decode(said_of([[8.0, 8, 40, 56], [-80, -99, 999, 99]], [1, 2]), [geometry] * 2)
    assert (found.name, round(found.probability, 3)) == ("dog", 1)
    assert found.xyxy == pytest.approx((40 + 2 * (96 - 40), 20 + 2 * 8, 40 + 2 * (96 - 8), 20 + 2 * 56))
    assert over.xyxy == (0, 0, 240, 200)
    assert str(found) == "dog 100% at 152, 36, 216, 132"


def test_what_is_said_of_mirrored_pictures_comes_back():
    box = [8.0, 8, 40, 56]
    mirrored = [96 - box[2], box[1], 96 - box[0], box[3]]
    task = Localize(CLASSES)
    assert torch.equal(task.undo(said_of([mirrored], [2]), SIZE), said_of([box], [2]))


def test_figures_of_answers_that_are_known():
    truth = [Boxes.of([[0, 0, 40, 40]], [index]) for index in (0, 1, 2, 2)]
    boxes = [[0, 0, 40, 40], [0, 0, 40, 30], [0, 0, 40, 30], [40, 40, 90, 60]]  # IoU 1, 0.75, 0.75, 0
    meter = Localize(CLASSES).meter()
    meter.add(said_of(boxes, [0, 1, 0, 2]), batch(*truth))
    figures = meter.figures()
    assert figures["images"] == 4 and figures["top1"] == 0.75
    assert figures["mean_iou"] == pytest.approx(2.5 / 4)
    assert figures["accuracy_iou50"] == 0.5  # of the third the class is wrong, of the fourth the box
    deviation = np.std([1, 0.75, 0.75, 0], ddof=1)
    assert figures["interval"] == pytest.approx([0.625 - 1.959964 * deviation / 2, 1])
    rows = meter.rows()
    assert [row["right"] for row in rows] == [True, True, False, False]
    assert [(row["true"], row["answered"]) for row in rows[2:]] == [("bird", "cat"), ("bird", "bird")]
    assert figures["loss"] == pytest.approx(np.mean([row["loss"] for row in rows]))
    task = Localize(CLASSES)
    assert task.margin("mean_iou", figures) == pytest.approx(1.959964 * deviation / 2)
    assert 0 < task.margin("accuracy_iou50", figures) < 0.5 and task.margin("loss", figures) == 0
    (worst,) = task.details(figures, [{"image": f"{at}.jpg", **row} for at, row in enumerate(rows)])
    assert worst == "1 box with an IoU below 0.5: 3.jpg 0.00"
    (worst,) = task.details(figures, [{"image": "4.jpg", "iou": 0.4999}])
    assert worst == "1 box with an IoU below 0.5: 4.jpg 0.49"


def test_no_pictures_have_no_figures_and_one_no_interval():
    task = Localize(CLASSES)
    meter = task.meter()
    assert set(meter.figures().values()) == {0, None}
    assert "mean IoU -, " in task.summary(meter.figures())
    meter.add(said_of([[0, 0, 40, 40]], [0]), batch(Boxes.of([[0, 0, 40, 40]], [0])))
    assert meter.figures()["mean_iou"] == 1 and meter.figures()["interval"] is None
    assert task.margin("mean_iou", meter.figures()) == 0
    said = "mean IoU 1.000, without an interval, since it is of 1 picture; class and box right 1.000, top-1 1.000"
    assert task.summary(meter.figures()) == said
    meter.add(said_of([[0, 0, 40, 40]], [0]), batch(Boxes.of([[0, 0, 40, 40]], [0])))
    assert "mean IoU 1.000, with 95 % confidence between 1.000 and 1.000; " in task.summary(meter.figures())


def test_an_answer_that_is_no_number_is_wrong_and_an_object_cut_away_has_no_loss():
    cut = Geometry(*SIZE).then(Crop(32, 48, 32, 48), Resize(*SIZE))
    meter = Localize(Classes(("cat",))).meter()
    meter.add(torch.full((1, 5), math.nan), batch(Boxes.of([[10, 20, 50, 60]], [0])))
    meter.add(torch.tensor([[0.0, 0, 9, 9, 1]]), batch(Boxes.of([[0, 0, 4, 4]], [0]), geometries=[cut]))
    lost, cut_away = meter.rows()
    assert lost["right"] is False and lost["iou"] == 0
    assert cut_away["iou"] == 0 and cut_away["loss"] is None and meter.figures()["loss"] is None


def test_two_meters_count_as_one():
    truth = [Boxes.of([[0, 0, 40, 40]], [0]), Boxes.of([[50, 20, 90, 60]], [2])]
    said = [said_of([[0, 0, 40, 30]], [0]), said_of([[52, 24, 90, 60]], [1])]
    whole, *halves = (Localize(CLASSES).meter() for _ in range(3))
    whole.add(torch.cat(said), batch(*truth))
    for half, target, outputs in zip(halves, truth, said, strict=True):
        half.add(outputs, batch(target))
    halves[0].merge(halves[1].state())
    assert halves[0].figures() == whole.figures() and halves[0].rows() == whole.rows()


# The data


def of_targets(root, *targets):
    handle = ArrayHandle(np.zeros((1, 60, 90, 3), np.uint8), 0)
    records = tuple(Record(handle, target, b"", f"{at}.jpg") for at, target in enumerate(targets))
    return Dataset(root, "coco", CLASSES, records, 3, task="detect")


def test_data_of_several_objects_or_none_are_refused_with_what_helps(tmp_path):
    one, two, none = Boxes.of([[0, 0, 9, 9]], [0]), Boxes.of([[0, 0, 9, 9], [5, 5, 9, 9]], [0, 1]), Boxes.of([], [])
    group = Boxes(one.xyxy, one.classes, np.array([False]), np.array([True]))
    task = Localize(CLASSES)
    assert len(task.checked(of_targets(tmp_path, one, one)).records) == 2
    with pytest.raises(DataError, match=r"2 pictures have several objects \(1\.jpg, 2\.jpg\), .*--largest.*detect"):
        task.checked(of_targets(tmp_path, one, two, two))
    with pytest.raises(DataError, match=r"several objects \(0\.jpg\) and 2 pictures have no object \(2\.jpg, 3\.jpg\)"):
        task.checked(of_targets(tmp_path, two, one, none, group))
    with pytest.raises(DataError, match="not for localize, which needs the boxes of each picture; give other data"):
        task.checked(of_targets(tmp_path, ClassIndex(0)))


def test_the_largest_object_is_no_group():
    boxes = Boxes(
        np.array([[0.0, 0, 90, 60], [0, 0, 9, 9], [5, 5, 30, 20], [6, 6, 31, 21]]),
        np.array([0, 1, 2, 0]),
        np.array([False, False, True, False]),
        np.array([True, False, False, False]),
        ids=("a", "b", "c", "d"),
        areas=np.array([1.0, 2, 3, 4]),
    )
    largest = boxes.largest()
    assert (largest.xyxy.tolist(), largest.classes.tolist(), largest.ids) == ([[5, 5, 30, 20]], [2], ("c",))
    assert largest.difficult.tolist() == [True] and largest.areas.tolist() == [3] and largest.outlines is None
    assert len(Boxes(boxes.xyxy[:1], boxes.classes[:1], boxes.difficult[:1], boxes.crowd[:1]).largest()) == 0
    assert len(Boxes.of([], []).largest()) == 0


@pytest.fixture
def squares(tmp_path):
    """Sixteen pictures with a bright square, red or blue; on the first a small one, too, on the last nothing."""
    drawn = np.random.default_rng(0)
    folder = tmp_path / "squares"
    (folder / "images").mkdir(parents=True)
    names = ("red", "blue")
    told = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 7 + at, "name": name} for at, name in enumerate(names)],
    }
    for number in range(16):
        pixels = drawn.integers(0, 60, (40, 48, 3)).astype(np.uint8)
        left, top, side = (int(each) for each in drawn.integers([2, 2, 16], [24, 16, 22]))
        boxes = [[left, top, side, side]] if number < 15 else []
        boxes += [[0, 0, 8, 8]] if number == 0 else []
        for box in boxes:
            pixels[box[1] : box[1] + box[3], box[0] : box[0] + box[2], 2 * (number % 2)] = 230
            annotation = {"id": len(told["annotations"]) + 1, "image_id": number, "category_id": 7 + number % 2}
            told["annotations"].append({**annotation, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        told["images"].append({"id": number, "file_name": f"{number}.png", "width": 48, "height": 40})
    (folder / "annotations.json").write_text(json.dumps(told))
    return folder


def test_the_largest_is_taken_where_it_is_asked_for_and_that_is_said(squares):
    whole, largest = (open_data(squares, settings=DataSettings(largest=choice)) for choice in (False, True))
    assert [len(record.target) for record in whole.records] == [2, *[1] * 14, 0] and not whole.notices
    assert [len(record.target) for record in largest.records] == [1] * 15
    assert largest.records[0].target.xyxy.tolist() == whole.records[0].target.xyxy[:1].tolist()
    assert largest.notices == (
        "1 picture has several objects, of which the largest is taken: images/0.png",
        "1 picture has no object, left out: images/15.png",
    )


QUICK = ("--task", "localize", "--model", "box/resnet20", "--size", "32", "--batch-size", "4", "--epochs")


@pytest.fixture
def answered(tmp_path, monkeypatch, capsys):
    """What one command says as JSON."""
    from striate.cli import main

    def run(*words, code=0):
        assert main([*map(str, words), "--quiet", "--json"]) == code
        return json.loads(capsys.readouterr().out)

    monkeypatch.chdir(tmp_path)
    return run


def test_the_road_from_boxes_to_drawn_answers(tmp_path, answered, squares):
    said = answered("train", squares, *QUICK, 1, "--out", "refused", code=2)["error"]
    assert "1 picture has several objects (images/0.png) and 1 picture has no object (images/15.png)" in said
    assert not (tmp_path / "refused").exists()
    run = answered("train", squares, *QUICK, 2, "--largest", "--precision", "bfloat16", "--out", "run")
    assert run["task"] == "localize" and run["model"] == "box/resnet20"
    measured = answered("evaluate", "run", squares)  # read alike: the model file knows that the largest is meant
    assert run["test"].keys() == {"images", "top1", "mean_iou", "accuracy_iou50", "interval", "loss"}
    assert {name: measured[name] for name in run["test"]} == run["test"]
    assert all(row.keys() >= {"image", "true", "answered", "iou"} for row in measured["wrong"])
    (found,) = answered("predict", "run", squares / "images" / "0.png", "--out", "drawn")["predictions"]
    (box,) = found["boxes"]
    assert box.keys() == {"name", "probability", "xyxy"} and box["name"] in ("red", "blue")
    assert 0 <= box["xyxy"][0] < box["xyxy"][2] <= 48 and 0 <= box["xyxy"][1] < box["xyxy"][3] <= 40
    with Image.open(tmp_path / "drawn" / found["drawn"]) as shown:
        assert shown.size == (48, 40)
    said = answered("predict", "run", squares / "images" / "0.png", "--top", 2, code=2)["error"]
    assert said == "top is 2, but localize gives each picture one answer; leave top out"


@pytest.mark.slow
def test_folds_by_the_chapters_own_loss_pool_what_was_held_out(answered, squares):
    chapters = ("--largest", "--box-loss", "square_roots", "--loss-weights", "0.8", "0.2")
    result = answered("train", squares, *QUICK, 1, *chapters, "--folds", 3, "--out", "folds")
    assert result["pooled"]["images"] == 15 and 0 < result["pooled"]["mean_iou"] < 1


@pytest.mark.slow
def test_squares_are_found_after_some_epochs(tmp_path, squares):
    changes = {"data": {"largest": True}, "size": (32, 32), "batch_size": 4, "split": (0.8, 0.2, 0.0)}
    result = striate.train(
        squares, task="localize", model="box/resnet20", epochs=12, changes=changes, out=tmp_path / "run"
    )
    assert result.best["mean_iou"] > 0.6


def test_a_run_that_is_stopped_and_resumed_ends_as_if_it_never_was(tmp_path, squares):
    changes = {"data": {"largest": True}, "size": (32, 32), "batch_size": 4, "log_every": 1}
    words = {"task": "localize", "model": "box/resnet20", "epochs": 2, "changes": changes}
    striate.train(squares, out=tmp_path / "whole", **words)
    seen = []

    def stopping(event):
        if isinstance(event, StepDone):
            seen.append(event)
            if len(seen) == 2:
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(RunStopped):
        striate.train(squares, out=tmp_path / "stopped", **words, on_event=stopping)
    striate.train(squares, out=tmp_path / "stopped", **words, resume=True)
    whole, resumed = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "stopped"))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_mosaics_are_refused_since_a_picture_has_one_box():
    recipe = Recipe(task="localize", augment=Augmentation(crop=(1.0, 1.0), mosaic=0.5))
    with pytest.raises(RecipeError, match="localization answers each picture with one box"):
        Localize(CLASSES).fitted(recipe, [])
