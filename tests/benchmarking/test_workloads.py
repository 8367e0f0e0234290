"""What the contenders compute: all the same, and Striate's by its own step."""

import pytest
import torch

from striate.benchmarking import forms, workloads
from striate.benchmarking.forms import PREDICTOR, STRIATE, TORCH, contender
from striate.training.learner import Learner

SIZE = (64, 64)


@pytest.mark.parametrize("name", TORCH)
def test_all_answer_as_striate_does(name):
    ours = workloads.inference(STRIATE, "efficientnet_lite0", 2, SIZE)
    theirs = workloads.inference(name, "efficientnet_lite0", 2, SIZE)
    assert ours.images == theirs.images == 2
    tolerance = 1e-4 if theirs.about["precision"] == "float32" else 0.2
    most = max(map(abs, ours.about["answers"]))
    assert theirs.about["answers"] == pytest.approx(ours.about["answers"], abs=tolerance * most)


@pytest.mark.parametrize("name", [STRIATE, *TORCH])
def test_a_step_learns(name, monkeypatch):
    built = []
    real = workloads.build
    monkeypatch.setattr(workloads, "build", lambda *args, **words: built.append(real(*args, **words)) or built[-1])
    plain = []
    real_plain = workloads.plain_torch
    monkeypatch.setattr(
        workloads, "plain_torch", lambda *args, **words: plain.append(real_plain(*args, **words)) or plain[-1]
    )
    work = workloads.training(name, "mobilenet_v1_025", 2, SIZE)
    (network,) = plain or built
    before = {path: parameter.detach().clone() for path, parameter in network.named_parameters()}
    work.step()
    moved = [path for path, parameter in network.named_parameters() if not torch.equal(parameter, before[path])]
    assert len(moved) > 0.9 * len(before)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert work.images == 2


def test_striate_takes_the_loops_own_step(monkeypatch):
    rates = []
    monkeypatch.setattr(Learner, "step", lambda self, batches, rate: rates.append((len(batches[0]), rate)))
    work = workloads.training(STRIATE, "lenet5", 4, (32, 32))
    work.step()
    assert rates == [(4, workloads.RATE)]
    assert work.about["precision"] == "float32" and work.about["multiply_adds"] > 0
    assert "kernels" in work.about


def test_the_predictor_is_called_as_users_call_it():
    work = workloads.inference(PREDICTOR, "lenet5", 3, (32, 32))
    answers = work.step()
    assert len(answers) == 3 and 0 < answers[0].probability <= 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_peaks_convolution_counts_its_operations(precision, monkeypatch):
    monkeypatch.setattr(workloads, "CHANNELS", 8)
    monkeypatch.setattr(workloads, "SIDE", 6)
    monkeypatch.setattr(workloads, "PICTURES", 2)
    work = workloads.convolution(precision)
    y = work.step()
    assert y.shape == (2, 8, 6, 6) and str(y.dtype) == f"torch.{precision}"
    assert work.about["operations"] == 2 * (2 * 8 * 6 * 6) * (8 * 3 * 3)


def test_a_contenders_command_says_everything():
    made = contender("training", STRIATE, "resnet50", 16, (224, 200))
    assert made.command[1:] == ("-m", "striate.benchmarking", "training", "striate", "resnet50", "16", "224", "200")


def test_more_pictures_need_more_memory_and_striate_less():
    few, many = (contender("training", "torch", "resnet50", count, (224, 224)).memory for count in (8, 16))
    assert forms.LIBRARIES < few < many
    assert contender("training", STRIATE, "resnet50", 16, (224, 224)).memory < many
    assert contender("inference", "torch", "resnet50", 16, (224, 224)).memory < many
