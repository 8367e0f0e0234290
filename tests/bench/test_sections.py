"""Verdicts of the benchmark's sections, on timings that are made up."""

import math

from bench import inference, training
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


def test_quick_is_one_round():
    assert (Settings(quick=True).rounds(5), Settings().rounds(5)) == (1, 5)
    assert Settings(networks=("vgg16",)).takes("vgg16") and not Settings(networks=("vgg16",)).takes("resnet50")
    assert math.isnan(timing("a", 0).median)
