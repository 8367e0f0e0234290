"""A trace takes the memory of a real step: the same storages in the same order, of the same sizes, as long-lived."""

import gc
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from striate.models import build
from striate.ops.native import left_to_torch
from striate.tracing import Trace, summed, trace
from striate.tracing.tracing import OPTIMIZERS
from striate.tracing.watching import Watching
from tests.ops.native.levels import computing_with
from tests.tracing.test_workspaces import without_onednn


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def real(module: nn.Module, x: Tensor, precision: str, optimizer: str | None) -> Watching:
    """The second of two real steps, watched as a trace is."""
    watching = Watching(lambda: "")
    learning = [each for each in module.parameters() if each.requires_grad]
    stepping = OPTIMIZERS[optimizer](learning) if optimizer else None

    def step(marks: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            outputs = module(x)
        torch.clear_autocast_cache()
        error = summed(outputs)
        if marks:
            watching.phase = "backward"
        error.backward()
        if marks:
            watching.phase = "optimizer"
        if stepping:
            stepping.step()
            stepping.zero_grad(set_to_none=True)

    if stepping:
        step(False)
    watching.known((*module.parameters(), *module.buffers(), x), "inputs")
    if stepping:
        watching.known([each for kept in stepping.state.values() for each in kept.values()], "inputs")
    with watching:
        step(True)
    return watching


def lives(found: Any) -> list[tuple[int, str, str | None]]:
    """Of each storage its size, and by which operations, counted by name, it was born and gone."""
    names = [operation.name for operation in found.operations]
    seen: Counter[str] = Counter()
    marks = []
    for name in names:
        seen[name] += 1
        marks.append(f"{name} {seen[name]}")
    marks.append("end")
    storages = found.storages if isinstance(found, Trace) else found.storages()
    return [(each.bytes, marks[each.birth], None if each.death is None else marks[each.death]) for each in storages]


def course(storages, operations) -> int:
    """The peak of storages that live as these."""
    alive = [0] * (len(operations) + 1)
    for each in storages:
        for place in range(each.birth, len(operations) if each.death is None else each.death):
            alive[place] += each.bytes
    return max(alive)


def compared(module: nn.Module, x: Tensor, precision: str, optimizer: str | None) -> None:
    found = trace(module, x, mode="training", precision=precision, optimizer=optimizer)
    wanted = real(module.train(), x, precision, optimizer)
    assert [each.name for each in found.operations] == [each.name for each in wanted.operations]
    assert [each.phase for each in found.operations] == [each.phase for each in wanted.operations]
    assert lives(found) == lives(wanted)
    assert found.peak().bytes == course(wanted.storages(), wanted.operations)


NETWORKS = ("resnet18", "mobilenet_v2", "unet/efficientnet_lite0", "yolov3/mobilenet_v2")


# One of each kind; all in `make test-all`.
SOME = {("resnet18", "bfloat16", "auto")}
CASES = [
    pytest.param(*case, marks=[] if case in SOME else [pytest.mark.slow])
    for case in itertools.product(NETWORKS, ("float32", "bfloat16"), ("off", "auto"))
]


@pytest.mark.parametrize(("name", "precision", "level"), CASES)
def test_a_step_takes_the_memory_of_a_real_one(name: str, precision: str, level: str) -> None:
    network = build(name, classes=5, seed=0).to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with computing_with(level):
        compared(network, x, precision, None)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_step_of_an_optimizer_takes_the_memory_of_any_but_the_first(optimizer: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    compared(module, torch.randn(4, 3, 8, 8), "float32", optimizer)
    found = trace(module, torch.randn(4, 3, 8, 8), mode="training", optimizer=optimizer)
    learns = 4 * sum(each.numel() for each in module.parameters())
    assert found.bytes_of("gradients") == found.bytes_of("parameters") == learns
    assert found.bytes_of("optimizer state") in (learns, 2 * learns + 4 * 6)


@pytest.mark.parametrize("level", [pytest.param("off", marks=pytest.mark.slow), "auto"])
def test_all_that_a_trace_counts_is_allocated_in_a_real_step_that_nobody_watches(level: str) -> None:
    """Libraries allocate a little more than is known of them; branches that join are added up in place."""
    network = build("mobilenet_v2", classes=5, seed=0).to(memory_format=torch.channels_last).train()
    x = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    before = ("parameters", "buffers", "inputs")
    with computing_with(level):
        found = trace(network, x, mode="training")
        summed(network(x)).backward()
        network.zero_grad(set_to_none=True)
        gc.collect()  # what tests before left in cycles must not end within
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            outputs = network(x)  # which who calls a step holds
            summed(outputs).backward()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    traced = Counter(each.bytes for each in found.storages if each.kind not in before and each.bytes)
    assert not traced - Counter(change for change in changes if change > 0)
    there = sum(each.bytes for each in found.storages if each.kind in before)
    most, peak = max(itertools.accumulate(changes)), found.peak().bytes - there
    assert peak <= most
    assert level == "off" or peak >= 0.99 * most  # torch's depthwise gradients take copies of maps


@pytest.mark.slow
def test_kernels_can_be_left_out() -> None:
    network = build("resnet18", classes=5, seed=0).to(memory_format=torch.channels_last)
    x = torch.empty(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with computing_with("auto"):
        found = trace(network, x, mode="training", kernels=False)
        with left_to_torch():
            wanted = trace(network, x, mode="training")
        ours = trace(network, x, mode="training")
        low = trace(network, x, mode="training", precision="bfloat16")
        with without_onednn():
            alone = trace(network, x, mode="training", kernels=False)
    assert lives(found) == lives(wanted)
    assert ours.bytes_of("saved for backward") < found.bytes_of("saved for backward")
    assert alone.bytes_of("scratch") == 0 < low.bytes_of("scratch") < found.bytes_of("scratch")
    assert all(each.death is not None for each in low.storages if each.kind == "scratch")


def test_what_is_computed_again_belongs_to_its_module_in_the_backward_pass() -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Sigmoid(), nn.Conv2d(3, 3, 3, padding=1))

        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.body, x, use_reentrant=False)

    found = trace(Checkpointed(), torch.empty(1, 3, 8, 8), mode="training")
    again = [(each.name, each.path) for each in found.operations if each.phase == "backward"]
    assert ("convolution", "body.0") in again and ("sigmoid", "body.1") in again


def test_backward_operations_belong_to_the_modules_of_the_forward_pass() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 5, 3)))
    found = trace(module, torch.empty(2, 3, 8, 8), mode="training", optimizer="sgd")
    backward = [each.path for each in found.operations if each.name == "convolution_backward"]
    assert backward == ["1.1", "0"]
    assert {each.path for each in found.operations if each.phase == "optimizer"} == {""}


def test_kinds_and_the_peak_of_a_plain_chain() -> None:
    module = nn.Sequential(nn.Linear(4, 1000, bias=False), nn.ReLU(), nn.Linear(1000, 1, bias=False))
    found = trace(module, torch.empty(8, 4))
    assert found.bytes_of("parameters") == 4 * (4000 + 1000) and found.bytes_of("inputs") == 4 * 32
    assert found.bytes_of("outputs") == 4 * 8
    peak = found.peak()
    assert (peak.path, peak.bytes) == ("1", 4 * (5000 + 32 + 2 * 8000))
    assert sum(peak.kinds.values()) == peak.bytes
    step = trace(module, torch.empty(8, 4), mode="training")
    assert step.bytes_of("saved for backward") >= 4 * 8000  # what the last layer reads
    assert step.peak("backward").bytes <= step.peak().bytes
