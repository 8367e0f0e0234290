"""Chains of layers by our kernels against torch's operations in float64, whatever is computed together."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from striate.ops.native import chain
from striate.ops.native.chain import Chain, Layer
from tests.ops.native import levels
from tests.ops.native.placing import placed

ARITHMETIC = 2e-6  # what a layer's sums in float32 may lose of the sum of what is added up
OPEN = (-math.inf, math.inf)
RUNS = levels.runs(60)


@dataclass(frozen=True)
class Call:
    seed: int
    pictures: int
    layers: tuple[Layer, ...]
    answers: tuple[int, ...]
    offset: int
    cached: int  # above which maps are computed picture by picture


@st.composite
def walks(draw, reads: int, inputs: chain.Map) -> Layer:
    """A layer of any kind without numbers; its window fits at least once."""
    kind = draw(st.sampled_from(chain.KINDS))
    if kind == "mean":
        return Layer(kind, reads, inputs, (inputs[0], 1, 1))
    if kind == "nearest":
        size = draw(st.one_of(st.just(inputs[1:]), st.tuples(st.integers(1, 40), st.integers(1, 40))))
        return Layer(kind, reads, inputs, (inputs[0], *size))
    if kind == "depthwise":
        window, stride = (draw(st.sampled_from([3, 5, 7])),) * 2, draw(st.integers(1, 2))
    else:
        window, stride = draw(st.tuples(st.integers(1, 5), st.integers(1, 5))), draw(st.integers(1, 3))
    before, outputs = [], []
    for size, side in zip(inputs[1:], window, strict=True):
        lead, behind = draw(st.integers(0, side - 1)), draw(st.integers(0, side - 1))
        if lead + size + behind < side:
            lead = behind = side - 1
        before.append(lead)
        outputs.append((lead + size + behind - side) // stride + 1)
    channels = draw(st.integers(1, 70)) if kind == "window" else inputs[0]
    walk = {"window": window, "stride": stride, "before": tuple(before)}
    return Layer(kind, reads, inputs, (channels, *outputs), **walk)


@st.composite
def calls(draw) -> Call:
    size = draw(st.tuples(st.integers(1, 70), st.integers(1, 20), st.integers(1, 20)))
    layers, maps = [], [size]
    for _ in range(draw(st.integers(1, 5))):
        reads = draw(st.sampled_from([len(maps) - 1, len(maps) - 1, draw(st.integers(0, len(maps) - 1))]))
        layer = draw(walks(reads, maps[reads]))
        if layer.kind in ("window", "nearest"):
            alike = [place for place, other in enumerate(maps) if other == layer.outputs]
            layer = replace(layer, adds=draw(st.sampled_from([None, *alike])))
        if layer.kind in ("window", "depthwise", "nearest"):
            layer = replace(layer, bounds=draw(st.sampled_from([OPEN, (0.0, math.inf), (0.0, 6.0)])))
        layers.append(layer)
        maps.append(layer.outputs)
    return Call(
        seed=draw(st.integers(0, 2**16)),
        pictures=draw(st.integers(1, 4)),
        layers=tuple(layers),
        answers=tuple(draw(st.sets(st.integers(1, len(layers)), min_size=1))),
        offset=draw(st.integers(0, 17)),
        cached=draw(st.sampled_from([0, 1000, chain.CACHED])),
    )


def with_numbers(call: Call) -> tuple[Tensor, list[Layer]]:
    """The pictures, and the layers with weights and biases that leave maps of about the size that they find."""
    torch.manual_seed(call.seed)
    images = torch.randn(call.pictures, *call.layers[0].inputs)
    layers = []
    for layer in call.layers:
        if layer.kind in ("window", "depthwise"):
            inputs = layer.inputs[0] if layer.kind == "window" else 1
            weight = torch.randn(layer.outputs[0], inputs, *layer.window) / math.sqrt(inputs * math.prod(layer.window))
            layer = replace(layer, weight=weight, bias=torch.randn(layer.outputs[0]) if call.seed % 2 else None)
        layers.append(layer)
    return placed(images, "channels_last", call.offset), layers


def by_torch(layer: Layer, x: Tensor, added: Tensor | None, *, sizes: bool = False) -> Tensor:
    """The layer in float64; with ``sizes``, the sum of the sizes of all that it adds up."""
    sides = zip(x.shape[2:], layer.window, layer.outputs[1:], layer.before, strict=True)
    after = [(count - 1) * layer.stride + side - lead - size for size, side, count, lead in sides]
    pads = (layer.before[1], after[1], layer.before[0], after[0])
    if layer.kind == "mean":
        return x.mean((2, 3), keepdim=True)
    if layer.kind == "maximum":
        return F.max_pool2d(F.pad(x, pads, value=-math.inf), layer.window, layer.stride)
    if layer.kind == "nearest":
        y = F.interpolate(x.float() if sizes else x, size=layer.outputs[1:], mode="nearest").double()
        y = y if added is None else y + added
        return y if sizes else y.clamp(*layer.bounds)
    weight, bias = layer.weight.double(), None if layer.bias is None else layer.bias.double()
    if sizes:
        weight, bias = weight.abs(), None if bias is None else bias.abs()
    y = F.conv2d(F.pad(x, pads), weight, bias, layer.stride, groups=x.shape[1] if layer.kind == "depthwise" else 1)
    y = y if added is None else y + added
    return y if sizes else y.clamp(*layer.bounds)


def exactly(images: Tensor, layers: list[Layer]) -> tuple[list[Tensor], list[Tensor]]:
    """All maps, and how far from them sums in float32 may be."""
    maps, lost = [images.double()], [torch.zeros_like(images, dtype=torch.float64)]
    for layer in layers:
        maps.append(by_torch(layer, maps[layer.reads], None if layer.adds is None else maps[layer.adds]))
        if layer.kind == "maximum":
            lost.append(lost[layer.reads].amax().expand_as(maps[-1]))
            continue
        added, of_added = (None, None) if layer.adds is None else (maps[layer.adds].abs(), lost[layer.adds])
        own = by_torch(layer, maps[layer.reads].abs(), added, sizes=True)
        before = by_torch(replace(layer, bias=None), lost[layer.reads], of_added, sizes=True)
        lost.append(before + ARITHMETIC * own)
    return maps, lost


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_equals_torchs_operations_in_float64(level: str, examples: int) -> None:
    def check(call: Call) -> None:
        images, layers = with_numbers(call)
        exact, lost = exactly(images, layers)
        with patch.object(chain, "CACHED", call.cached):
            found = Chain(levels.library.kernels(), layers, call.answers)(images)
        for place, ours in zip(call.answers, found, strict=True):
            assert ours.shape == (call.pictures, *layers[place - 1].outputs)
            assert ours.is_contiguous(memory_format=torch.channels_last)
            assert ((ours.double() - exact[place]).abs() <= lost[place] + 1e-30).all()

    levels.holds_at(level, examples, calls(), check)


@pytest.mark.parametrize(("level", "examples"), RUNS)
def test_a_picture_is_answered_alike_whatever_is_computed_with_it(level: str, examples: int) -> None:
    def check(call: Call) -> None:
        images, layers = with_numbers(call)
        before, found = torch.get_num_threads(), []
        try:
            for threads, cached in ((1, chain.CACHED), (2, call.cached), (5, 0)):
                torch.set_num_threads(threads)
                with patch.object(chain, "CACHED", cached):
                    run = Chain(levels.library.kernels(), layers, call.answers)
                found += [run(images), [torch.cat(maps) for maps in zip(*[run(x[None]) for x in images], strict=True)]]
        finally:
            torch.set_num_threads(before)
        assert all(torch.equal(*pair) for other in found[1:] for pair in zip(found[0], other, strict=True))

    levels.holds_at(level, examples, calls(), check)


@pytest.fixture
def pooled() -> list[Layer]:
    """A window, a largest of its maps and their mean."""
    window = Layer("window", 0, (3, 9, 9), (20, 9, 9), (3, 3), 1, (1, 1), torch.randn(20, 3, 3, 3), None)
    largest = Layer("maximum", 1, (20, 9, 9), (20, 4, 4), (3, 3), 2)
    return [window, largest, Layer("mean", 2, (20, 4, 4), (20, 1, 1))]


def chain_of(layers: list[Layer]) -> Chain:
    library = levels.library.kernels()
    if library is None:
        pytest.skip("there are no kernels")
    return Chain(library, layers)


def test_a_picture_that_is_no_number_spoils_its_own_answer_alone(pooled):
    images = torch.randn(3, 3, 9, 9).contiguous(memory_format=torch.channels_last)
    images[1] = torch.nan
    (answers,) = chain_of(pooled)(images)
    assert answers[1].isnan().all()
    assert not answers[0].isnan().any()
    assert not answers[2].isnan().any()


def test_no_picture_no_answer_and_images_may_lie_in_any_order(pooled):
    run, images = chain_of(pooled), torch.randn(2, 3, 9, 9)
    assert run(images[:0])[0].shape == (0, 20, 1, 1)
    assert torch.equal(run(images)[0], run(images.contiguous(memory_format=torch.channels_last))[0])


def test_answers_are_the_callers(pooled):
    """What was answered stays when the same memory answers again, from other threads too."""
    run = chain_of(pooled)
    images = [torch.randn(2, 3, 9, 9) for _ in range(20)]
    first = [run(each) for each in images]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(run, images * 10))
    assert all(torch.equal(one, other) for (one,), (other,) in zip(first * 10, again, strict=True))


def test_weights_that_change_afterwards_change_nothing(pooled):
    run, images = chain_of(pooled), torch.randn(1, 3, 9, 9)
    (before,) = run(images)
    pooled[0].weight.zero_()
    assert torch.equal(run(images)[0], before)


@levels.needs_kernels
def test_the_mean_of_a_large_even_map_is_its_value() -> None:
    images = torch.full((1, 3, 400, 400), 0.1).contiguous(memory_format=torch.channels_last)
    (found,) = Chain(levels.library.kernels(), [Layer("mean", 0, (3, 400, 400), (3, 1, 1))])(images)
    assert torch.allclose(found, torch.full((1, 3, 1, 1), 0.1), rtol=1e-6, atol=0)
