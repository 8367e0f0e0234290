"""The one loop from batches to figures."""

import copy
import os

import numpy as np
import pytest
import torch
from torch import nn

from striate.answering import FoldedNetwork
from striate.base.errors import ModelError
from striate.base.hardware import cores
from striate.data import ArrayHandle, Classes, Loader, Record
from striate.data.targets import ClassIndex
from striate.inference import answering, device_named, evaluating, measure, outputs
from striate.models import build
from striate.ops.own_state import _Threads
from striate.pictures.preprocess import Preprocess
from striate.tasks.classify import Classify

PREPROCESS = Preprocess(size=(32, 32))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def records():
    array = np.random.default_rng(0).integers(0, 256, (13, 32, 32, 3), dtype=np.uint8)
    return tuple(Record(ArrayHandle(array, i), ClassIndex(i % 3), bytes([i]) * 32, f"x[{i}]") for i in range(13))


@pytest.fixture(scope="module")
def network():
    return build("resnet18", classes=3, seed=1)


def figures(network, records, batch_size):
    task = Classify(Classes(("a", "b", "c")))
    return measure(
        network, task, PREPROCESS, Loader(records, PREPROCESS, batch_size=batch_size).epoch(0), CPU
    ).figures()


def test_figures_do_not_depend_on_the_batch_size(network, records):
    whole = figures(network, records, 13)
    for size in (1, 4, 6, 12):
        part = figures(network, records, size)
        assert part["confusion"] == whole["confusion"]
        for name in ("loss", "ece"):
            assert part[name] == pytest.approx(whole[name], rel=1e-5)


def test_figures_are_the_networks_own(network, records):
    images = torch.stack([torch.tensor(record.handle.array[record.handle.index]) for record in records])
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    whole = Preprocess(size=(32, 32), crop_fraction=1.0)  # all of the picture, so that nothing is resized
    with torch.no_grad():
        logits = network.eval()(((images / 255 - mean) / deviation).permute(0, 3, 1, 2))
    task = Classify(Classes(("a", "b", "c")))
    measured = measure(network, task, whole, Loader(records, whole, batch_size=5).epoch(0), CPU).figures()
    targets = torch.tensor([record.target.index for record in records])
    assert measured["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, targets)), rel=1e-5)
    assert measured["top1"] == pytest.approx(float((logits.argmax(1) == targets).double().mean()))


def test_each_module_comes_back_as_it_was(network, records):
    network.train()
    network.layer1.eval()
    network.layer2[0].bn1.eval()
    modes = {name: module.training for name, module in network.named_modules()}
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    figures(network, records, 5)
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(RuntimeError, match="boom"), evaluating(tuple(network.modules())):
        assert not any(module.training for module in network.modules())
        raise RuntimeError("boom")
    assert {name: module.training for name, module in network.named_modules()} == modes


def test_networks_of_ours_in_float32_are_folded_on_a_cpu(network):
    with evaluating(tuple(network.modules())):
        assert isinstance(answering(network, CPU), FoldedNetwork)
        assert answering(network, torch.device("meta")) is network
        assert answering(network.layer1, CPU) is network.layer1
        low = copy.deepcopy(network).double()
        assert answering(low, CPU) is low


def test_each_measurement_sees_the_weights_of_the_moment(network, records):
    once = figures(network, records, 5)
    with torch.no_grad():
        network.bn1.weight.mul_(-2)
    try:
        assert figures(network, records, 5)["loss"] != pytest.approx(once["loss"], rel=1e-3)
    finally:
        with torch.no_grad():
            network.bn1.weight.div_(-2)
    assert figures(network, records, 5)["loss"] == pytest.approx(once["loss"], rel=1e-5)


def test_whoever_consumes_finds_gradients_on(network, records):
    batches = Loader(records, PREPROCESS, batch_size=5).epoch(0)
    for batch, result in outputs(network, Classify(Classes(("a", "b", "c"))), PREPROCESS, batches, CPU):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        assert result.dtype is torch.float32 and result.shape == (len(batch), 3) and not result.requires_grad


def test_a_device_that_is_not_here():
    with pytest.raises(ModelError, match="'cdua' is not available here; there is cpu"):
        device_named("cdua")
    assert device_named("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize(
    ("asked", "threads"), [(None, cores()), ("1", 1), ("1,4", 1), ("4096", cores()), ("x", cores()), ("0", cores())]
)
def test_as_many_threads_as_the_environment_asks_for_but_not_more_than_cores(monkeypatch, asked, threads):
    monkeypatch.setattr(_Threads, "fitted", None)
    torch.set_num_threads(cores())
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", asked)
    device_named("cpu")
    assert torch.get_num_threads() == threads
