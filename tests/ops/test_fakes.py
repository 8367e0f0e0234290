"""Traces: fake tensors take the memory of a real step and no time, and a recorded graph has all operations in it."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from striate.layers import BatchNormAct2d, Conv2d
from striate.models import build
from striate.ops.native import checking, library
from tests.ops.native.levels import computing_by, computing_with, needs_kernels
from tests.ops.storages import Births, born_in, faked, kept
from tests.ops.test_checkpointing import CHANNELS, DTYPES, layers, picture

pytestmark = needs_kernels


class Deaf:
    """Kernels that must not be asked to compute anything, only how much room they need."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        assert name.endswith(("_sums", "_parts", "_threads", "_multiplies")), f"{name} was called"
        return getattr(self._library, name)


@pytest.fixture
def real() -> Iterator[Any]:
    with computing_with("auto") as kernels:
        yield kernels


def step(network: nn.Module, images: Tensor, dtype: torch.dtype) -> tuple[Births, list[Tensor]]:
    def forward_and_back() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = network(images)
        y.float().square().sum().backward()

    births, _ = born_in(network, images, forward_and_back)
    return births, [parameter.grad for parameter in network.parameters()]


@DTYPES
@pytest.mark.parametrize("within", [True, False])
def test_a_fake_step_takes_the_memory_of_a_real_one(real: Any, dtype: torch.dtype, within: bool) -> None:
    """All that is born in it, room for kernels too, in the same order; in the trace's own block and behind it."""
    network, mode = layers(), FakeTensorMode()
    fake, images = faked(mode, network), mode.from_tensor(picture().to(dtype))
    with computing_by(library.Loaded(Deaf(real), "tests")):
        if within:
            with mode:
                found, gradients = step(fake, images, dtype)
        else:
            found, gradients = step(fake, images, dtype)
    wanted, real_gradients = step(network, picture().to(dtype), dtype)
    assert found.sizes == wanted.sizes
    for ours, theirs in zip(gradients, real_gradients, strict=True):
        assert (ours.shape, ours.stride(), ours.dtype) == (theirs.shape, theirs.stride(), theirs.dtype)


@pytest.mark.parametrize("by_blocks", [False, True])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_a_fake_forward_pass_leaves_behind_what_a_real_one_does(real: Any, name: str, by_blocks: bool) -> None:
    network = build(name, classes=10, seed=0).to(memory_format=torch.channels_last).train()
    images = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    mode = FakeTensorMode()
    fake, fake_images = faked(mode, network), mode.from_tensor(images)
    with mode:
        found = kept(fake, fake_images, by_blocks=by_blocks)
    assert found == kept(network, images, by_blocks=by_blocks)


def test_what_nobody_differentiates_is_seen_as_torchs_operations(real: Any) -> None:
    """By which a trace counts what is multiplied."""
    network, mode = layers()[:2], FakeTensorMode()
    fake, images = faked(mode, network), mode.from_tensor(picture())
    with mode, torch.no_grad(), torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        fake(images)
    seen = [event.name for event in profile.events()]
    assert seen.count("aten::conv2d") == 6


def test_symbols_are_left_to_torch(real: Any) -> None:
    network = layers()[0]
    graph = make_fx(network, tracing_mode="symbolic", _allow_non_fake_inputs=True)(picture().requires_grad_())
    assert recorded(graph)["aten.convolution.default"] == 3


@pytest.mark.parametrize("mode", ["real", "fake"])
def test_a_recorded_graph_computes_what_was_recorded(real: Any, mode: str) -> None:
    network, x = layers()[:2], picture().requires_grad_()
    graph = make_fx(network, tracing_mode=mode, _allow_non_fake_inputs=mode == "fake")(x)
    assert recorded(graph)["aten.convolution.default"] == 6
    with computing_with("off"):
        torch.testing.assert_close(graph(x), network(x), rtol=1e-3, atol=1e-3)


def recorded(graph: torch.fx.GraphModule) -> dict[str, int]:
    names = [str(node.target) for node in graph.graph.nodes]
    return {name: names.count(name) for name in names}


def test_real_tensors_in_a_trace_are_refused_by_torch(real: Any) -> None:
    norm, convolution = BatchNormAct2d(CHANNELS), Conv2d(CHANNELS, CHANNELS, 1)
    for layer in (norm, convolution):
        with FakeTensorMode(), pytest.raises(Exception, match="convert all Tensors to FakeTensors"):
            layer(picture())
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert type(norm(picture())).__name__ == "FakeTensor"


def test_kernels_that_a_trace_is_the_first_to_load_are_compared_with_real_tensors(real: Any) -> None:
    with FakeTensorMode(), Births() as births:
        assert checking.first_difference(real) == ""
    assert births.sizes == []


@DTYPES
def test_tensors_without_memory_are_left_to_torch(real: Any, dtype: torch.dtype) -> None:
    network = layers().to("meta")
    with computing_by(library.Loaded(Deaf(real), "tests")), torch.autocast("cpu", enabled=False):
        y = network.to(dtype)(picture().to("meta", dtype))
        y.sum().backward()
    assert y.device.type == "meta" and all(each.grad.device.type == "meta" for each in network.parameters())
