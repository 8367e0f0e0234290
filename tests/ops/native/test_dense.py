"""Our dense layers of few rows against torch's in float64, by the kernels of every level this processor has."""

import ctypes
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from striate.layers import Linear
from striate.ops import linear
from striate.ops.native import dense
from tests.ops.native import levels
from tests.ops.native.placing import Fenced, addresses, placed

UNIT = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}  # what rounding to the nearest may lose
ARITHMETIC = 2e-6  # what sums in float32 may lose of the sum of what is added up
RUNS = levels.runs(30)
INPUTS, OUTPUTS = 1040, 1011  # more than a million numbers


@dataclass(frozen=True)
class Call:
    """One layer: how large, of which type its rows are, where its numbers lie."""

    seed: int
    rows: int
    inputs: int
    outputs: int
    dtype: torch.dtype
    bias: bool
    offset: int


@st.composite
def calls(draw) -> Call:
    return Call(
        seed=draw(st.integers(0, 2**16)),
        rows=draw(st.integers(1, max(dense.MOST_ROWS.values()))),
        inputs=draw(st.one_of(st.integers(1, 200), st.integers(760, 1600))),
        outputs=draw(st.integers(1, 200)),
        dtype=draw(st.sampled_from(list(UNIT))),
        bias=draw(st.booleans()),
        offset=draw(st.integers(0, 17)),
    )


def matrix(rows: int, columns: int, dtype: torch.dtype, offset: int) -> Tensor:
    """Random numbers behind numbers that are none, row after row."""
    return placed(torch.randn(rows, columns, 1, 1).to(dtype), "channels_first", offset).view(rows, columns)


def drawn(call: Call) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """x, weight, bias and the gradient that comes back."""
    torch.manual_seed(call.seed)
    x = matrix(call.rows, call.inputs, call.dtype, call.offset)
    weight = matrix(call.outputs, call.inputs, torch.float32, call.offset)
    gradient = matrix(call.rows, call.outputs, call.dtype, call.offset)
    return x, weight, torch.randn(call.outputs) if call.bias else None, gradient


def results(library, x: Tensor, weight: Tensor, bias: Tensor | None, gradient: Tensor) -> tuple[Tensor, ...]:
    return (
        dense.forward(library, x, weight, bias),
        dense.input_gradient(library, gradient, weight),
        dense.weight_gradient(library, gradient, x),
    )


def exactly(x: Tensor, weight: Tensor, bias: Tensor | None, gradient: Tensor) -> tuple[Tensor, ...]:
    """The same by torch, in float64."""
    x, weight, gradient = x.double(), weight.double(), gradient.double()
    return F.linear(x, weight, None if bias is None else bias.double()), gradient @ weight, gradient.t() @ x


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_products_equal_torchs_in_float64(level: str, examples: int) -> None:
    @given(calls())
    @settings(max_examples=examples)
    def holds(call: Call) -> None:
        tensors = drawn(call)
        added = exactly(*(None if tensor is None else tensor.abs() for tensor in tensors))
        found, exact = results(library, *tensors), exactly(*tensors)
        for name, ours, theirs, size in zip(("y", "x", "weight"), found, exact, added, strict=True):
            assert ours.dtype == torch.float32
            assert ((ours.double() - theirs).abs() <= ARITHMETIC * size + 1e-30).all(), name

    with levels.computing_with(level) as library:
        holds()


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_nothing_is_written_beside_the_results_and_threads_change_nothing(level: str, examples: int) -> None:
    @given(calls(), st.integers(2, 5))
    @settings(max_examples=examples)
    def holds(call: Call, threads: int) -> None:
        x, weight, bias, gradient = drawn(call)
        x, gradient = x.float(), gradient.float()
        shape = ctypes.byref(dense.Dense(call.rows, call.inputs, call.outputs))
        found = []
        for count in (1, threads):
            sizes = (call.rows * call.outputs, call.rows * call.inputs, call.outputs * call.inputs)
            fenced = [Fenced.of(size, torch.float32, call.offset) for size in sizes]
            y, for_x, for_weight = (each.inside for each in fenced)
            assert library.dense_forward(*addresses(x, weight, bias, y), shape, count) == 0
            assert library.dense_input(*addresses(gradient, weight, for_x), shape, count) == 0
            assert library.dense_weight(*addresses(gradient, x, for_weight), shape, count) == 0
            assert all(each.whole for each in fenced)
            found.append((y, for_x, for_weight))
        assert all(torch.equal(one, several) for one, several in zip(*found, strict=True))

    with levels.computing_with(level) as library:
        holds()


# As an operation and as a layer


def layers(*, bias: bool = True) -> tuple[Linear, nn.Linear]:
    """Ours and torch's with the same weights."""
    torch.manual_seed(0)
    ours, theirs = Linear(INPUTS, OUTPUTS, bias=bias), nn.Linear(INPUTS, OUTPUTS, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def by_kernels(y: Tensor) -> bool:
    return y.grad_fn is not None and y.grad_fn.name() == "_DenseBackward"


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("autocast", "given_type"), [(True, torch.float32), (True, torch.bfloat16), (False, torch.float32)]
)
def test_outputs_and_gradients_have_torchs_types_and_values(
    bias: bool, autocast: bool, given_type: torch.dtype
) -> None:
    found = []
    for layer in layers(bias=bias):
        x = torch.randn(6, INPUTS, generator=torch.Generator().manual_seed(1)).to(given_type).requires_grad_()
        with levels.computing_with("auto"), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = layer(x)
        assert by_kernels(y) == isinstance(layer, Linear)
        y.float().square().sum().backward()
        found.append([y, x.grad, *(parameter.grad for parameter in layer.parameters())])
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        assert (ours - theirs).float().norm() <= (0.02 if autocast else 1e-5) * theirs.float().norm()


def test_gradients_of_gradients() -> None:
    twice = []
    for layer in layers():
        x = torch.randn(3, INPUTS, generator=torch.Generator().manual_seed(1)).requires_grad_()
        with levels.computing_with("auto"):
            y = layer(x)
            leaves = [x, *layer.parameters()]
            inner = torch.autograd.grad(y.pow(3).sum(), leaves, create_graph=True)
            twice.append([*inner, *torch.autograd.grad(sum(g.square().sum() for g in inner), leaves)])
    for ours, theirs in zip(*twice, strict=True):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm()


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_whoever_asks_alone_gets_what_all_get(wanted: int) -> None:
    layer, _ = layers()
    x = torch.randn(5, INPUTS, requires_grad=True)
    leaves = [x, layer.weight, layer.bias]
    with levels.computing_with("auto"):
        together = torch.autograd.grad(layer(x).exp().sum(), leaves)
        for place, leaf in enumerate(leaves):
            leaf.requires_grad_(place == wanted)
        (alone,) = torch.autograd.grad(layer(x).exp().sum(), leaves[wanted])
    assert torch.equal(alone, together[wanted])


def test_what_is_not_trained_or_lies_otherwise_stays_with_torch() -> None:
    layer, theirs = layers()
    x = torch.randn(4, INPUTS)
    few = torch.randn(7, 16), torch.randn(5, 16, requires_grad=True)
    with levels.computing_with("auto"):
        with torch.no_grad():
            assert torch.equal(layer(x), theirs(x))
        assert by_kernels(layer(x))
        many = max(dense.MOST_ROWS.values()) + 1
        others = [
            layer(x[None]),
            layer(torch.randn(many, INPUTS)),
            layer(torch.randn(INPUTS, 4).t()),
            layer(x[:0]),
            linear(x.double(), layer.weight.double()),
            linear(*few),
        ]
        assert not any(by_kernels(y) for y in others)
        with torch.autocast("cpu", torch.float16):
            assert layer(x).dtype == torch.float16
        assert linear(x.to("meta"), layer.weight.to("meta")).device.type == "meta"
    with levels.computing_with("off"):
        assert torch.equal(layer(x), theirs(x))


def test_transforms_and_traces_are_torchs() -> None:
    layer, theirs = layers()
    x = torch.randn(4, INPUTS)
    with levels.computing_with("auto"):
        per_row = torch.func.vmap(torch.func.grad(lambda row: layer(row[None]).square().sum()))(x)
        given = x.clone().requires_grad_()
        (wanted,) = torch.autograd.grad(theirs(given).square().sum(), given)
        torch.testing.assert_close(per_row, wanted, rtol=1e-3, atol=1e-3)
        exported = torch.export.export(layer, (x,))
        torch.testing.assert_close(exported.module()(x), theirs(x))


def test_a_weight_that_was_changed_is_noticed() -> None:
    layer, _ = layers()
    with levels.computing_with("auto"):
        y = layer(torch.randn(2, INPUTS))
        with torch.no_grad():
            layer.weight.mul_(2)
        with pytest.raises(RuntimeError, match="by an inplace"):
            y.sum().backward()


def test_the_gradient_of_a_weight_is_not_copied() -> None:
    """It is as large as the weight."""
    layer, _ = layers()
    with levels.computing_with("auto"):
        seen = []
        layer.weight.register_hook(lambda gradient: seen.append(gradient.data_ptr()))
        layer(torch.randn(2, INPUTS)).sum().backward()
    assert seen == [layer.weight.grad.data_ptr()]
