"""Where bfloat16 is taken: a rule on processor and network, never a stopwatch."""

import pytest
import torch
from torch import nn

from striate.base.hardware import Processor
from striate.layers import BatchNormAct2d, Conv2d, Linear, MaxPool2d
from striate.ops import native
from striate.training.precision import WIDE, choose, kernels_for

CPU = torch.device("cpu")
OLD = Processor("old", 2, bfloat16=False, amx=False)
NEW = Processor("new", 2, bfloat16=True, amx=True)


def convolution(into, out, groups=1):
    return nn.Sequential(nn.Conv2d(into, out, 3, groups=groups), nn.Linear(512, 512))


@pytest.mark.parametrize(
    ("asked", "network", "processor", "expected"),
    [
        ("auto", convolution(64, 64), NEW, "bfloat16"),
        ("auto", convolution(WIDE, WIDE), NEW, "bfloat16"),
        ("auto", convolution(WIDE - 1, 512), NEW, "float32"),
        ("auto", convolution(512, WIDE - 1), NEW, "float32"),
        ("auto", convolution(512, 512, groups=512), NEW, "float32"),  # each window sees one channel
        ("auto", nn.Linear(512, 512), NEW, "float32"),
        ("auto", nn.ReLU(), NEW, "float32"),
        ("auto", convolution(64, 64), OLD, "float32"),
        ("float32", convolution(64, 64), NEW, "float32"),
        ("bfloat16", convolution(64, 64), OLD, "bfloat16"),
        ("bfloat16", convolution(1, 4), OLD, "bfloat16"),
    ],
)
def test_the_rule(asked, network, processor, expected):
    precision = choose(asked, network, processor, CPU)
    assert precision.name == expected
    assert precision.dtype is getattr(torch, expected)
    assert precision.reason
    assert choose(precision.name, network, processor, CPU).name == expected  # a resolved recipe decides the same


def test_other_devices_do_not_ask_the_processor():
    assert choose("auto", convolution(64, 64), NEW, torch.device("mps")).name == "float32"


def test_only_networks_with_something_to_compute_ask_for_kernels(monkeypatch):
    monkeypatch.setattr(native, "prepare", lambda on_unit: "whose kernels")
    depthwise, grouped = Conv2d(8, 8, 3, groups=8), Conv2d(8, 8, 3, groups=2)
    assert kernels_for(BatchNormAct2d(8), CPU) == "whose kernels"
    assert kernels_for(Conv2d(8, 8, 1), CPU) == "whose kernels"
    assert kernels_for(MaxPool2d(2), CPU) == "whose kernels"
    assert kernels_for(Linear(2, 2), CPU) == "whose kernels"
    assert kernels_for(nn.Sequential(grouped, depthwise), CPU) == "whose kernels"
    assert kernels_for(nn.Sequential(grouped, nn.Linear(2, 2)), CPU) == ""
    assert kernels_for(depthwise, torch.device("cuda")) == ""


def test_who_has_to_wait_for_a_compiler_hears_how_far_it_is(monkeypatch):
    heard = []

    def prepare(on_unit):
        on_unit(3, 11)
        return "whose kernels"

    monkeypatch.setattr(native, "prepare", prepare)
    assert kernels_for(BatchNormAct2d(8), CPU, lambda *counts: heard.append(counts)) == "whose kernels"
    assert kernels_for(nn.Linear(2, 2), CPU, lambda *counts: heard.append(counts)) == ""
    assert heard == [(3, 11)]
