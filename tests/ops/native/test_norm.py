"""Our norms against torch's in float64, in shapes drawn at random, by the kernels of every level this processor has."""

import ctypes
import dataclasses
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from striate.ops.batch_normalization import BOUNDS, batch_norm
from striate.ops.native import norm
from tests.ops.native import levels
from tests.ops.native.placing import LAYOUTS, Fenced, addresses, placed

UNIT = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}  # what rounding to the nearest may lose
ARITHMETIC = 4e-6  # what a few additions and multiplications in float32 may lose of the largest number among them
EPS = 1e-3

RUNS = levels.runs(30)


@dataclass(frozen=True)
class Call:
    """One norm: what there is, how large, where it lies, and who asks for gradients."""

    seed: int
    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    act: str
    training: bool
    momentum: float
    middle: float
    spread: float
    residual: str | None
    affine: tuple[bool, bool]
    wants: tuple[bool, bool, bool, bool]
    gradient: str
    offset: int


@st.composite
def calls(draw) -> Call:
    training = draw(st.booleans())
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 70)), draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    if training and shape[0] * shape[2] * shape[3] == 1:
        shape = (2, *shape[1:])
    residual = draw(st.sampled_from([None, None, *LAYOUTS]))
    affine = draw(st.sampled_from([(True, True), (True, True), (True, False), (False, True), (False, False)]))
    wants = draw(st.tuples(*[st.sampled_from([True, True, True, False])] * 4))
    if not (affine[0] and wants[1]) and not (residual and wants[3]):  # kernels are for what is differentiated
        wants = (True, *wants[1:])
    return Call(
        seed=draw(st.integers(0, 2**16)),
        shape=shape,
        dtype=draw(st.sampled_from(list(UNIT))),
        act=draw(st.sampled_from(list(BOUNDS))),
        training=training,
        momentum=draw(st.sampled_from([0.1, 1.0])),
        middle=draw(st.sampled_from([0.0, 0.0, 10.0, -3.0])),
        spread=draw(st.sampled_from([1.0, 0.2, 30.0])),
        residual=residual,
        affine=affine,
        wants=wants,
        gradient=draw(st.sampled_from([*LAYOUTS, "one_number"])),
        offset=draw(st.integers(0, 17)),
    )


@dataclass
class Tensors:
    """What a norm is given, and the gradient that comes back."""

    x: Tensor
    weight: Tensor | None
    bias: Tensor | None
    residual: Tensor | None
    mean: Tensor
    variance: Tensor
    gradient: Tensor

    def leaves(self) -> list[Tensor | None]:
        return [self.x, self.weight, self.bias, self.residual]

    def wide(self) -> "Tensors":
        """All of them in float64, asking for the same gradients."""
        return Tensors(
            *(
                None if t is None else t.detach().double().contiguous().requires_grad_(t.requires_grad)
                for t in vars(self).values()
            )
        )

    def norm(self, call: Call) -> Tensor:
        """By the operation under test."""
        how = {"training": call.training, "momentum": call.momentum, "eps": EPS, "act": call.act}
        return batch_norm(self.x, self.mean, self.variance, self.weight, self.bias, residual=self.residual, **how)

    def before_activation(self, call: Call) -> Tensor:
        """By torch, step by step."""
        how = (self.weight, self.bias, call.training, call.momentum, EPS)
        z = F.batch_norm(self.x, self.mean, self.variance, *how)
        return z if self.residual is None else z + self.residual


def drawn(call: Call) -> Tensors:
    """Tensors for a call. No gradient comes where rounding may decide on which side of a bound a number lies."""
    torch.manual_seed(call.seed)
    channels = call.shape[1]
    x = (call.middle + call.spread * torch.randn(call.shape)).to(call.dtype)
    parameters = [torch.randn(channels) * 2 if there else None for there in call.affine]
    residual = None if call.residual is None else placed(torch.randn(call.shape).to(call.dtype), call.residual, 1)
    gradient = torch.randn(call.shape).to(call.dtype)
    statistics = call.middle + torch.randn(channels), call.spread**2 * (torch.rand(channels) + 0.1)
    tensors = Tensors(placed(x, "channels_last", call.offset), *parameters, residual, *statistics, gradient)
    for tensor, wants in zip(tensors.leaves(), call.wants, strict=True):
        if tensor is not None:
            tensor.requires_grad_(wants)
    z = tensors.wide().before_activation(call).detach()
    near = sum((z - bound).abs() <= 1e-4 * (1 + z.abs().amax()) for bound in BOUNDS[call.act]) > 0
    if call.gradient == "one_number":  # what the backward of a sum sends
        tensors.gradient = torch.ones(()).to(call.dtype).expand(call.shape)
        if near.any():
            tensors.gradient = (~near).to(call.dtype)
    else:
        tensors.gradient = placed(gradient * ~near, call.gradient, call.offset)
    return tensors


def scales(wide: Tensors, call: Call) -> dict[str, Tensor]:
    """For each result the largest of the numbers added up for it, ``[C]``: what its rounding is relative to."""
    z = wide.before_activation(call).detach()
    floor, ceiling = BOUNDS[call.act]
    gated = wide.gradient * ((z > floor) & (z < ceiling))
    x, axes = wide.x.detach(), (0, 2, 3)
    mean, variance = (x.mean(axes), x.var(axes, correction=0)) if call.training else (wide.mean, wide.variance)
    inverse = (variance + EPS).rsqrt()
    hat = (x - mean[:, None, None]) * inverse[:, None, None]
    steep = inverse * (1 if wide.weight is None else wide.weight.detach().abs())
    blurred = 1 + mean.abs() * inverse  # a large mean costs bits of what is left without it
    sums = gated.abs().sum(axes), (gated * hat).abs().sum(axes)
    spread = x.abs().amax(axes) * inverse + 1
    slope = spread * sums[1] / hat[:, 0].numel() + sums[0] / hat[:, 0].numel()
    return {
        "y": z.abs().amax(axes) + blurred * steep / inverse,
        "x": steep * (gated.abs().amax(axes) + (slope if call.training else 0)) * blurred,
        "weight": (sums[1] + sums[0]) * blurred,
        "bias": sums[0],
        "residual": gated.abs().amax(axes),
    }


def assert_close(
    name: str, ours: Tensor, exact: Tensor, scale: Tensor, dtype: torch.dtype, roundings: float = 1.01
) -> None:
    assert ours.shape == exact.shape
    scale = scale[:, None, None] if ours.dim() == 4 else scale
    allowed = roundings * UNIT[dtype] * exact.abs() + ARITHMETIC * scale + 1e-30
    worst = ((ours.double() - exact).abs() / allowed).max()
    assert worst <= 1, f"{name} is {worst:.3g} times as far from torch's as rounding explains"


def check(call: Call) -> None:
    tensors = drawn(call)
    wide, before = tensors.wide(), tensors.x.detach().clone()
    size = scales(tensors.wide(), call)
    found, z = tensors.norm(call), wide.before_activation(call)
    wanted = z.clamp(*BOUNDS[call.act])
    assert found.grad_fn.name() == "_NormBackward"
    assert torch.equal(tensors.x.detach(), before)
    assert found.dtype == call.dtype
    assert_close("y", found.detach(), wanted.detach(), size["y"], call.dtype)
    middle = 1 + (wide.mean.abs() + wide.variance.sqrt())
    assert ((tensors.mean - wide.mean).abs() <= ARITHMETIC * middle).all()
    assert ((tensors.variance - wide.variance).abs() <= ARITHMETIC * (wide.variance + 1e-30)).all()
    found.backward(tensors.gradient)
    wanted.backward(wide.gradient.reshape(wanted.shape))
    for name, ours, exact in zip(("x", "weight", "bias", "residual"), tensors.leaves(), wide.leaves(), strict=True):
        if ours is None or not ours.requires_grad:
            assert ours is None or ours.grad is None
            continue
        assert ours.grad.dtype == ours.dtype
        assert_close(name, ours.grad, exact.grad, size[name], ours.dtype)


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_outputs_statistics_and_gradients_equal_torchs_in_float64(level: str, examples: int) -> None:
    levels.holds_at(level, examples, calls(), check)


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_nothing_is_written_beside_the_results(level: str, examples: int) -> None:
    @given(calls(), st.integers(1, 5))
    @settings(max_examples=examples)
    def holds(call: Call, threads: int) -> None:
        channels, size = call.shape[1], torch.Size(call.shape).numel()
        extent = norm.Map(size // channels, channels, *BOUNDS[call.act])
        low = int(call.dtype == torch.bfloat16)
        x, gradient, residual = (torch.randn(size).to(call.dtype) for _ in range(3))
        tables = [torch.rand(channels) + 0.5 for _ in range(4)]
        maps = [Fenced.of(size, call.dtype, call.offset) for _ in range(3)]
        vectors = [Fenced.of(channels, torch.float32, call.offset) for _ in range(4)]
        y, gated, result = (fenced.inside for fenced in maps)
        mean, variance, for_weight, for_bias = (fenced.inside for fenced in vectors)
        if call.residual is None:
            residual = gated = None
        how = (ctypes.byref(extent), low, threads)
        assert library.norm_statistics(*addresses(x, mean, variance), *how) == 0
        assert library.norm_apply(*addresses(x, residual, y, *tables[2:]), *how) == 0
        sources = addresses(gradient, x, residual, gated, result, *tables, for_weight, for_bias)
        assert library.norm_backward(*sources, ctypes.c_double(0.1), *how) == 0
        assert all(fenced.whole for fenced in (*maps, *vectors))

    with levels.computing_with(level) as library:
        holds()


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_any_number_of_threads_gives_the_same(level: str, examples: int) -> None:
    """Maps to the last bit; sums to their rounding, for they are added up in another order."""

    @given(calls(), st.integers(2, 7))
    @settings(max_examples=examples)
    def holds(call: Call, threads: int) -> None:
        found = []
        for count in (1, threads):
            torch.set_num_threads(count)
            tensors = drawn(call)
            y = tensors.norm(call)
            y.backward(tensors.gradient)
            found.append((y.detach(), [None if t is None else t.grad for t in tensors.leaves()]))
        size = scales(tensors.wide(), call)
        for name, one, several in zip(("x", "weight", "bias", "residual"), *(grads for _, grads in found), strict=True):
            if one is not None:
                assert_close(name, several, one.double(), size[name], one.dtype, 2.02)
        assert_close("y", found[1][0], found[0][0].double(), size["y"], call.dtype, 2.02)

    before = torch.get_num_threads()
    try:
        with levels.computing_with(level):
            holds()
    finally:
        torch.set_num_threads(before)


# What is no number, and what is none too large


@st.composite
def broken_calls(draw) -> tuple[Call, list[tuple[str, int, float]]]:
    """A call, and what to put where: at which number of x, the residual or the gradient an infinity or none stands."""
    call = draw(calls())
    call = dataclasses.replace(call, wants=(True,) * 4, dtype=torch.float32, gradient="channels_last")
    targets = st.sampled_from(["x", "gradient"] + ["residual"] * (call.residual is not None))
    values = st.sampled_from([math.nan, math.inf, -math.inf])
    places = st.integers(0, torch.Size(call.shape).numel() - 1)
    return call, draw(st.lists(st.tuples(targets, places, values), min_size=1, max_size=4))


def same_kind(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    """Whether the same places hold no number, the same infinities, and all other numbers are close."""
    odd = ~theirs.isfinite()
    if not torch.equal(ours[odd].nan_to_num(7.0), theirs[odd].nan_to_num(7.0)):
        return False
    scale = theirs[~odd].abs().amax() if (~odd).any() else 0.0
    return bool(((ours[~odd] - theirs[~odd]).abs() <= tolerance * (1 + scale)).all())


def break_and_check(call: Call, faults: list[tuple[str, int, float]]) -> None:
    tensors = drawn(call)  # before the faults, so that gradients are zero near the bounds of what stays finite
    for name, place, value in faults:
        target = getattr(tensors, name).detach()
        target[torch.unravel_index(torch.tensor(place), target.shape)] = value
    if call.act == "relu6":  # there torch's vectors stop the gradient of what is no number, its single numbers do not
        none = tensors.wide().before_activation(call).isnan()
        tensors.gradient.masked_fill_(none, 0.0)
    results = []
    for level in ("auto", "off"):
        copies = Tensors(*(None if t is None else t.detach().clone() for t in vars(tensors).values()))
        for tensor in copies.leaves():
            if tensor is not None:
                tensor.requires_grad_()
        with levels.computing_with(level):
            y = copies.norm(call)
            y.backward(copies.gradient)
        results.append([y.detach(), copies.mean, copies.variance] + [t.grad for t in copies.leaves() if t is not None])
    names = ["y", "running mean", "running variance", "x"]
    names += [name for name in ("weight", "bias", "residual") if getattr(tensors, name) is not None]
    for name, ours, theirs in zip(names, *results, strict=True):
        if call.training:  # sums with infinities in them: whether they are infinite or none is the order's doing
            ours, theirs = (torch.where(tensor.isfinite(), tensor, torch.nan) for tensor in (ours, theirs))
        assert same_kind(ours, theirs, 1e-3), f"{name} differs from torch's"


@pytest.mark.parametrize("examples", [pytest.param(20), pytest.param(250, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "training",
    [True, False],
)
def test_what_is_no_number_and_infinities_go_the_ways_they_go_in_torch(training: bool, examples: int) -> None:
    @given(broken_calls())
    @settings(max_examples=examples)
    def holds(case) -> None:
        call, faults = case
        if training and torch.Size(call.shape).numel() == call.shape[1]:
            return  # one value a channel
        break_and_check(dataclasses.replace(call, training=training), faults)

    levels.built("auto")
    holds()


# Backward more than once, and for some alone


def small(call: Call) -> Call:
    """The same with few numbers, in float32: sums over sums of gradients lose more.

    It has a weight: without one, torch 2.13 cannot differentiate the gradients of its own norm.
    """
    count, channels, height, width = call.shape
    shape = (count, (channels - 1) % 5 + 1, (height - 1) % 4 + 1, (width - 1) % 4 + 2)
    affine = (True, call.affine[1])
    return dataclasses.replace(call, shape=shape, affine=affine, dtype=torch.float32, middle=0.0, spread=1.0)


def gradients_of_gradients(call: Call, tensors: Tensors) -> list[Tensor]:
    """What two rounds of backward leave, for a loss that is curved in y and in the incoming gradient."""
    incoming = tensors.gradient.detach().clone().requires_grad_()
    leaves = [t for t in tensors.leaves() if t is not None and t.requires_grad]
    y = tensors.norm(call) if tensors.x.dtype != torch.float64 else tensors.before_activation(call)
    y = y if tensors.x.dtype != torch.float64 else y.clamp(*BOUNDS[call.act])
    inner = torch.autograd.grad((y * incoming).square().sum(), leaves, create_graph=True)
    outer = torch.autograd.grad(sum(g.square().sum() for g in inner), [*leaves, incoming], allow_unused=True)
    return [
        *inner,
        *(torch.zeros_like(leaf) if g is None else g for g, leaf in zip(outer, [*leaves, incoming], strict=True)),
    ]


@pytest.mark.parametrize("examples", [pytest.param(20), pytest.param(250, marks=pytest.mark.slow)])
def test_gradients_of_gradients(examples: int) -> None:
    @given(calls().map(small))
    @settings(max_examples=examples)
    def holds(call: Call) -> None:
        tensors = drawn(call)
        ours, theirs = gradients_of_gradients(call, tensors), gradients_of_gradients(call, tensors.wide())
        largest = max(g.abs().amax() for g in theirs)
        for mine, exact in zip(ours, theirs, strict=True):
            assert (mine.double() - exact).abs().amax() <= 1e-3 * (exact.abs().amax() + 1e-3 * largest) + 1e-6

    with levels.computing_with("auto"):
        holds()


@given(calls().map(small))
@settings(max_examples=25)
def test_a_graph_that_is_kept_gives_the_same_gradients_again(call: Call) -> None:
    with levels.computing_with("auto"):
        tensors = drawn(call)
        y = tensors.norm(call)
        leaves = [t for t in tensors.leaves() if t is not None and t.requires_grad]
        first = torch.autograd.grad(y, leaves, tensors.gradient, retain_graph=True)
        again = torch.autograd.grad(y, leaves, tensors.gradient)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@given(calls().map(small))
@settings(max_examples=25)
def test_whoever_asks_alone_gets_what_all_get(call: Call) -> None:
    with levels.computing_with("auto"):
        tensors = drawn(call)
        y = tensors.norm(call)
        leaves = [t for t in tensors.leaves() if t is not None and t.requires_grad]
        together = torch.autograd.grad(y, leaves, tensors.gradient, retain_graph=True)
        for leaf, wanted in zip(leaves, together, strict=True):
            (alone,) = torch.autograd.grad(y, leaf, tensors.gradient, retain_graph=True)
            assert torch.equal(alone, wanted)
