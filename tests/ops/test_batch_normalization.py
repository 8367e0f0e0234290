"""Norm, residual and activation as one operation: by definition, by kernels and by torch, in all that can be asked."""

import json
import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.ops.batch_normalization import BOUNDS, batch_norm
from striate.ops.native import kernels, norm
from tests.ops.native.levels import computing_with, needs_kernels

BY = [pytest.param("auto", marks=needs_kernels), "off"]
CHANNELS = 4


def channels_last(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)


def normalised(x: Tensor, *, act="relu", training=True, residual=None, weight=None, bias=None, mean=None) -> Tensor:
    """The operation with what does not matter filled in."""
    mean = torch.zeros(x.shape[1]) if mean is None else mean
    how = {"training": training, "momentum": 0.1, "eps": 1e-3, "act": act, "residual": residual}
    return batch_norm(x, mean, torch.ones(x.shape[1]), weight, bias, **how)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("training", [True, False])
def test_by_hand(by: str, training: bool) -> None:
    """Two channels of two values: 1 and 3 with a mean of 2 and a variance of 1, and 0 and 8 with 4 and 16."""
    x = torch.tensor([[1.0, 0.0], [3.0, 8.0]]).reshape(2, 2, 1, 1).requires_grad_()
    weight, bias = torch.tensor([2.0, 10.0], requires_grad=True), torch.tensor([0.5, 1.0], requires_grad=True)
    residual = torch.tensor([[1.0, 1.0], [1.0, 1.0]]).reshape(2, 2, 1, 1).requires_grad_()
    mean, variance = torch.tensor([2.0, 4.0]), torch.tensor([1.0, 16.0])
    with computing_with(by):
        how = {"training": training, "momentum": 0.5, "eps": 1e-12, "act": "relu6", "residual": residual}
        y = batch_norm(x, mean, variance, weight, bias, **how)
        y.backward(torch.tensor([[1.0, 1.0], [10.0, 10.0]]).reshape(2, 2, 1, 1))
    # Before the activation: -2 + 0.5 + 1, 2 + 0.5 + 1, and -10 + 1 + 1, 10 + 1 + 1; only the 3.5 is between 0 and 6.
    assert y.flatten().tolist() == [0.0, 0.0, 3.5, 6.0]
    assert residual.grad.flatten().tolist() == [0.0, 0.0, 10.0, 0.0]
    assert bias.grad.tolist() == [10.0, 0.0] and weight.grad.tolist() == [10.0, 0.0]
    # Two values are 1 and -1 after their own norm wherever they stood, so then nothing moves them.
    wanted = [0.0, 0.0, 0.0, 0.0] if training else [0.0, 0.0, 20.0, 0.0]
    assert x.grad.flatten().tolist() == pytest.approx(wanted, abs=1e-5)
    assert mean.tolist() == [2.0, 4.0]
    assert variance.tolist() == pytest.approx([1.5, 24.0] if training else [1.0, 16.0])  # of a sample: 2 and 32


@needs_kernels
@pytest.mark.parametrize("act", list(BOUNDS))
def test_running_statistics_go_the_way_of_torchs(act: str) -> None:
    found = {}
    for by in ("auto", "off"):
        torch.manual_seed(0)
        mean, variance = torch.zeros(CHANNELS), torch.ones(CHANNELS)
        with computing_with(by):
            for _ in range(5):
                x = (3 * channels_last(2, CHANNELS, 5, 7) + 1).requires_grad_()
                batch_norm(x, mean, variance, training=True, momentum=0.3, eps=1e-3, act=act)
        found[by] = mean, variance
    for ours, theirs in zip(*found.values(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("training", [True, False])
def test_what_is_given_stays_as_it_is(by: str, training: bool) -> None:
    x, residual = channels_last(2, CHANNELS, 5, 7).requires_grad_(), channels_last(2, CHANNELS, 5, 7).requires_grad_()
    parameters = [torch.randn(CHANNELS, requires_grad=True) for _ in range(2)]
    given = [x, residual, *parameters]
    before = [tensor.detach().clone() for tensor in given]
    with computing_with(by):
        y = normalised(x, residual=residual, weight=parameters[0], bias=parameters[1], training=training)
        gradient = torch.randn_like(y)
        sent = gradient.clone()
        y.backward(gradient)
    assert all(torch.equal(now.detach(), then) for now, then in zip(given, before, strict=True))
    assert torch.equal(gradient, sent)
    places = [tensor.untyped_storage().data_ptr() for tensor in (*given, gradient, *(t.grad for t in given))]
    assert y.untyped_storage().data_ptr() not in places
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("by", BY)
def test_the_residual_may_be_the_input_itself(by: str) -> None:
    x = channels_last(2, CHANNELS, 5, 7).requires_grad_()
    with computing_with(by):
        normalised(x, residual=x, training=False).backward(torch.ones(2, CHANNELS, 5, 7))
    wanted = (x > 0) * (1 + 1 / math.sqrt(1 + 1e-3))
    torch.testing.assert_close(x.grad, wanted)


@pytest.mark.parametrize("by", BY)
def test_one_value_a_channel_has_no_statistics(by: str) -> None:
    x = torch.zeros(1, CHANNELS, 1, 1, requires_grad=True)
    with computing_with(by), pytest.raises(ModelError, match="one value a channel; it takes at least 2"):
        normalised(x)


@pytest.mark.parametrize("by", BY)
def test_a_channel_that_is_the_same_everywhere(by: str) -> None:
    """By our kernels its variance is exactly 0, not the rounding of a large number's square."""
    x = channels_last(3, CHANNELS, 9, 9)
    x[:, 0] = 1234.567
    x.requires_grad_()
    variance = torch.ones(CHANNELS)
    with computing_with(by):
        y = batch_norm(x, torch.zeros(CHANNELS), variance, training=True, momentum=1.0, eps=1e-3)
    assert 0 <= variance[0] <= (0 if by == "auto" else 1e-5)
    assert y[:, 0].abs().max() <= 0.1  # errors of the mean in its last place, over the root of eps


@needs_kernels
@pytest.mark.parametrize(("first", "allowed"), [(0.0, 1e-6), (10.0, 1e-4), (100.0, 2e-3)])
def test_statistics_do_not_hang_on_the_first_number(first: float, allowed: float) -> None:
    """The first number is what others are compared with before they are squared; it may be unlike all others."""
    x = channels_last(4, 19, 28, 28)
    x[0, :, 0, 0] = first
    mean, variance = norm.statistics(kernels(), x)
    exact = x.double().var((0, 2, 3), correction=0)
    assert ((variance - exact).abs() <= allowed * exact).all()
    assert ((mean - x.double().mean((0, 2, 3))).abs() <= 1e-5 * exact.sqrt()).all()


# Which way it goes


def way(y: Tensor) -> str:
    return "kernels" if y.grad_fn is not None and y.grad_fn.name() == "_NormBackward" else "torch"


@needs_kernels
@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, "kernels"),
        ({"dtype": torch.bfloat16}, "kernels"),
        ({"dtype": torch.float64}, "torch"),
        ({"dtype": torch.float16}, "torch"),
        ({"order": torch.contiguous_format}, "torch"),
        ({"watched": False}, "torch"),
        ({"residual": torch.bfloat16}, "torch"),
        ({"residual": torch.float32}, "kernels"),
        ({"shape": (2, CHANNELS, 0, 3), "training": False}, "torch"),
        ({"shape": (2, CHANNELS, 1, 1)}, "kernels"),
    ],
    ids=str,
)
def test_what_the_kernels_are_for(change: dict, wanted: str) -> None:
    shape, dtype = change.get("shape", (2, CHANNELS, 3, 5)), change.get("dtype", torch.float32)
    x = torch.randn(shape).to(dtype).contiguous(memory_format=change.get("order", torch.channels_last))
    x.requires_grad_(change.get("watched", True))
    residual = torch.randn(shape).to(change["residual"]) if "residual" in change else None
    of_norm = dtype if dtype == torch.float64 else torch.float32
    statistics = [torch.zeros(CHANNELS, dtype=of_norm), torch.ones(CHANNELS, dtype=of_norm)]
    how = {"training": change.get("training", True), "momentum": 0.1, "eps": 1e-3, "act": "relu", "residual": residual}
    y = batch_norm(x, *statistics, **how)
    assert way(y) == wanted
    assert y.shape == x.shape


@needs_kernels
def test_without_gradients_torch_computes() -> None:
    x = channels_last(2, CHANNELS, 3, 5).requires_grad_()
    with torch.no_grad():
        assert way(normalised(x)) == "torch"
    with torch.inference_mode():
        assert way(normalised(x)) == "torch"


@needs_kernels
def test_autocast_leaves_types_alone() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            x = channels_last(2, CHANNELS, 3, 5, dtype=dtype).requires_grad_()
            y = normalised(x, weight=torch.ones(CHANNELS, requires_grad=True))
            assert way(y) == "kernels" and y.dtype == dtype
            y.float().square().sum().backward()
            assert x.grad.dtype == dtype


# Parameters and statistics in bfloat16, and gradients of gradients


def all_in_bfloat16(by: str, *, create_graph: bool) -> list[Tensor]:
    torch.manual_seed(0)
    x = channels_last(2, CHANNELS, 5, 5, dtype=torch.bfloat16).requires_grad_()
    parameters = [torch.randn(CHANNELS).bfloat16().requires_grad_() for _ in range(2)]
    statistics = torch.zeros(CHANNELS, dtype=torch.bfloat16), torch.ones(CHANNELS, dtype=torch.bfloat16)
    with computing_with(by):
        y = batch_norm(x, *statistics, *parameters, training=True, momentum=0.1, eps=1e-3, act="none")
        found = torch.autograd.grad(y.float().exp().sum(), [x, *parameters], create_graph=create_graph)
        if create_graph:
            sum(g.float().square().sum() for g in found).backward()
            found = [*found, *(tensor.grad for tensor in (x, *parameters))]
    return [*found, *statistics]


@needs_kernels
@pytest.mark.parametrize("create_graph", [False, True])
def test_everything_in_bfloat16(create_graph: bool) -> None:
    for ours, theirs in zip(*(all_in_bfloat16(by, create_graph=create_graph) for by in ("auto", "off")), strict=True):
        assert ours.dtype == theirs.dtype == torch.bfloat16
        assert (ours - theirs).abs().max() <= 0.05 * theirs.abs().max()


@pytest.mark.parametrize(
    "by",
    [
        pytest.param("auto", marks=needs_kernels),
        "off",
    ],
)
def test_gradients_of_gradients_of_the_residual_alone(by: str) -> None:
    x, residual = channels_last(2, CHANNELS, 5, 5), channels_last(2, CHANNELS, 5, 5).requires_grad_()
    with computing_with(by):
        y = normalised(x, residual=residual, training=False)
        (gradient,) = torch.autograd.grad(y.square().sum(), residual, create_graph=True)
        gradient.sum().backward()
    assert torch.equal(residual.grad, 2.0 * (y > 0))


# Those who do not compute, but watch


TRANSFORMED = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from striate.layers import BatchNormAct2d, Conv2d
def step(x):
    y = LAYER(x)
    y.sum().backward()
    return y
def picture(): return torch.ones(2, 4, 9, 9).contiguous(memory_format=torch.channels_last)
"""
WATCHERS = {
    "fake": """
with FakeTensorMode():
    assert step(picture()).shape[:2] == (2, 4)
""",
    "fake mode around real tensors": """
layer = LAYER
with FakeTensorMode(allow_non_fake_inputs=True):
    assert layer(picture()).shape[:2] == (2, 4)
""",
    "functional": """
from torch.func import functional_call, grad
layer = LAYER
values, state = dict(layer.named_parameters()), dict(layer.named_buffers())
def loss(values):
    copies = {name: buffer.clone() for name, buffer in state.items()}
    return functional_call(layer, {**values, **copies}, (picture(),)).square().sum()
found = grad(loss)(values)
assert all(found[name].shape == value.shape for name, value in values.items())
""",
}
LAYERS = {
    "norm": "BatchNormAct2d(4, act='relu')",
    "depthwise": "Conv2d(4, 4, 5, stride=2, padding='same', groups=4)",
}


WAYS = [
    pytest.param(layer, watcher, by, marks=needs_kernels if by == "auto" else [])
    for layer in LAYERS
    for watcher in WATCHERS
    for by in ("auto", "off")
]

# What is watched is the first that a process does, so each has one. They are forked from a process that has imported
# torch and done nothing else: to import it twelve times takes longer than everything that is watched.
FORKING = """
import json, os, sys, traceback, warnings
import torch, torch.func
from torch._subclasses.fake_tensor import FakeTensorMode
import striate.layers
warnings.simplefilter("ignore")
answers = []
for by, program in json.load(sys.stdin):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 2)
        os.environ["STRIATE_NATIVE"] = by
        try:
            exec(program, {})
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        said = file.read()
    answers.append((os.waitpid(child, 0)[1], said))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def watched() -> dict[tuple[str, str, str], tuple[int, str]]:
    """How each process ended, 0 for well, and what it said to that."""
    ways = [tuple(way.values) for way in WAYS]
    programs = [(by, (TRANSFORMED + WATCHERS[watcher]).replace("LAYER", LAYERS[layer])) for layer, watcher, by in ways]
    command = [sys.executable, "-c", FORKING]
    done = subprocess.run(command, input=json.dumps(programs), capture_output=True, text=True, check=True)
    return dict(zip(ways, json.loads(done.stdout), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "watcher", "by"), WAYS)
def test_tensors_without_numbers(
    layer: str, watcher: str, by: str, watched: dict[tuple[str, str, str], tuple[int, str]]
) -> None:
    code, said = watched[layer, watcher, by]
    assert code == 0, said[-500:]


def test_torchs_own_is_a_special_case() -> None:
    x = channels_last(2, CHANNELS, 5, 5)
    wanted = F.batch_norm(x, torch.zeros(CHANNELS), torch.ones(CHANNELS), eps=1e-3)
    assert torch.equal(normalised(x, act="none", training=False), wanted)


@needs_kernels
@pytest.mark.parametrize("place", [0, 1, 40, -1])
@pytest.mark.parametrize("deviations", [100.0, 1000.0])
def test_one_odd_value_spoils_no_variance(place: int, deviations: float) -> None:
    """Where the first value of a channel is what squares are taken from, it does: by 4e-4 and 3e-3."""
    x = channels_last(4, CHANNELS, 32, 32)
    rows = x.permute(0, 2, 3, 1).contiguous().view(-1, CHANNELS)
    rows[place] = deviations
    maps = rows.view(4, 32, 32, CHANNELS).permute(0, 3, 1, 2).requires_grad_()
    mean, variance = torch.zeros(CHANNELS), torch.ones(CHANNELS)
    batch_norm(maps, mean, variance, training=True, momentum=1.0, eps=1e-3)
    wanted = rows.detach().double()
    assert ((mean - wanted.mean(0)).abs() <= 1e-6 * deviations).all()
    assert ((variance - wanted.var(0)).abs() <= 2e-5 * wanted.var(0)).all()
