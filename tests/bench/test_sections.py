"""Verdicts of the benchmark's sections, on timings that are made up."""

import math

import pytest

from bench import detection, inference, scenes, training
from bench.section import Settings
from striate.benchmarking.driver import Comparison, Timing
from striate.benchmarking.machine import Machine
from striate.benchmarking.process import Contender
from striate.benchmarking.suite import Part


def timing(name, seconds, **about):
    return Timing(Contender(name, name, ()), 16, about, (seconds,) if seconds else (), None if seconds else "gone")


def test_training_is_measured_against_the_faster_tuned_form():
    found = Comparison((timing("striate", 1.0), timing("torch_float32", 3.0), timing("torch_bfloat16", 2.0)))
    assert training.ratios(found) == {"torch_float32": 3.0, "torch_bfloat16": 2.0, "tuned": 2.0}
    row = next(row for row in training.ROWS if row.model == "resnet50")
    part = Part("training", "resnet50", 16, (224, 224), found)
    verdicts = {check.id: check for check in training._checks(row, part, amx=True)}
    assert verdicts["training.resnet50.tuned"].wanted == ">= 1.5" and verdicts["training.resnet50.tuned"].ok
    assert not verdicts["training.resnet50.keras_tensorflow"].ok  # it did not take part
    assert {check.wanted for check in training._checks(row, part, amx=False)} == {">= 1.2", ">= 3.5"}


def test_every_wanted_ratio_has_its_contender():
    for row in training.ROWS:
        there = {each.name for each in training.contenders(row)} | {"tuned"}
        assert {*row.least, *row.least_with_amx} <= there


def test_inference_is_measured_against_the_faster_runtime():
    found = Comparison((timing("striate", 1.0), timing("onnxruntime", 2.0), timing("openvino", 4.0)))
    assert inference.ratios(found)["runtime"] == 0.5
    alone = Comparison((timing("striate", 1.0), timing("onnxruntime", 0), timing("openvino", 0)))
    plain, tiles = Machine("A", 2, ("AVX512-BF16",), {}), Machine("A", 2, ("AMX",), {})
    assert "runtime" not in inference.ratios(alone)
    assert not inference._check("resnet50", 1, alone, plain).ok
    assert inference._check("resnet50", 1, found, tiles).wanted == "<= 0.8"


def test_other_answers_are_seen():
    own = timing("striate", 1.0, precision="float32", answers=[1.0, -2.0])
    assert inference._agrees(timing("b", 1.0, precision="float32", answers=[1.001, -2.0]), own)
    assert not inference._agrees(timing("b", 1.0, precision="float32", answers=[1.01, -2.0]), own)
    assert inference._agrees(timing("b", 1.0, precision="bfloat16", answers=[1.2, -2.0]), own)
    assert inference._agrees(timing("b", 1.0), own)


def test_detectors_are_compared_with_the_fastest_form_of_each_peer():
    found = Comparison(
        (
            timing("striate", 1.0),
            *(timing(f"ssdlite_{form}", seconds) for form, seconds in (("plain", 5.0), ("bfloat16", 2.5))),
            timing("ssdlite_float32", 0),
            *(timing(f"yolo11n_{form}", seconds) for form, seconds in (("plain", 1.5), ("float32", 3.0))),
        )
    )
    verdicts = detection.training_checks(8, found)
    assert [(check.id, check.got, check.ok) for check in verdicts] == [
        ("detection.training.8.ssdlite", "2.5", True),
        ("detection.training.8.yolo11n", "1.5", False),
    ]
    alone = Comparison((timing("striate", 1.0), timing("ssdlite_plain", 0)))
    assert not any(check.ok for check in detection.training_checks(8, alone))


def test_answers_are_compared_by_the_time_of_a_multiply_add():
    larger = timing("striate", 0.009, multiply_adds=900)
    peers = timing("ssdlite", 0.012, multiply_adds=600), timing("yolo11n", 0.0088, multiply_adds=800)
    check = detection.answer_check(Comparison((larger, *peers)))
    assert (check.wanted, check.ok) == ("<= 1", True)
    assert float(check.got) == pytest.approx(1e-5 / 1.1e-5, rel=1e-4)
    assert detection.answer_check(Comparison((larger, peers[0], timing("yolo11n", 0)))).got == "0.5"
    assert not detection.answer_check(Comparison((larger, timing("ssdlite", 0), timing("yolo11n", 0)))).ok


def stubbed(contenders, *, rounds, on_turn):
    """Everybody takes a second, but ultralytics, which is not there."""
    there = {"multiply_adds": 500_000_000, "kept": 900, "precision": "float32", "versions": {"torchvision": "0"}}
    return Comparison(
        tuple(
            Timing(who, failure="ultralytics is not installed")
            if who.name.startswith("yolo11n")
            else Timing(who, 8, there, (1.0,) * rounds)
            for who in contenders
        )
    )


def test_detection_says_who_took_part_and_who_could_not(monkeypatch):
    monkeypatch.setattr(detection, "alternate", stubbed)
    monkeypatch.setattr(detection.environment, "run", lambda command: "")
    section = detection.run(Settings(quick=True))
    assert len(section.tables) == len(detection.BATCHES) + 1 + len(scenes.KINDS)
    text = "\n".join(table.markdown() for table in section.tables)
    assert "| yolo11n, ultralytics, float32 | ultralytics is not installed |  |  |" in text
    assert "| SSDLite on MobileNetV2, torchvision, ONNX Runtime | 1000.00 |  | 500 | 2000.0 | 1.00 times |" in text
    assert "| torchvision | 900 | 1000.00 |  | 1.00 times |" in text
    assert section.how.endswith("The others: torchvision 0.")
    passed = {check.id: check.ok for check in section.checks}
    assert passed["detection.answer"] and passed["detection.suppression.crowds"]
    assert not passed["detection.training.8.ssdlite"]  # not twice as fast


def test_without_their_environment_peers_fail_and_say_so(monkeypatch, tmp_path):
    monkeypatch.setattr(detection, "alternate", stubbed)
    monkeypatch.setattr(detection.environment, "DETECTORS", tmp_path / "python")
    _, failure = detection.answers(Settings(quick=True))
    assert str(tmp_path / "python") in failure


def test_scenes_are_the_same_everywhere_and_inside_the_picture():
    pictures, boxes = scenes.pictures(3, 64)
    assert pictures.shape == (3, 64, 64, 3) and boxes.shape == (3, scenes.OBJECTS, 4)
    assert (boxes >= 0).all() and (boxes <= 64).all() and (boxes[..., 2:] > boxes[..., :2]).all()
    assert (scenes.pictures(3, 64)[0] == pictures).all()
    for kind in scenes.KINDS:
        candidates, scores, classes = scenes.candidates(kind)
        assert len(candidates) == len(scores) == len(classes) == 10_000
        assert (candidates[:, 2:] > candidates[:, :2]).all() and set(classes.tolist()) <= set(range(80))


def test_quick_is_one_round():
    assert (Settings(quick=True).rounds(5), Settings().rounds(5)) == (1, 5)
    assert Settings(networks=("vgg16",)).takes("vgg16") and not Settings(networks=("vgg16",)).takes("resnet50")
    assert math.isnan(timing("a", 0).median)
