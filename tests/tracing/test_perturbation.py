"""Fields of random graphs against what happens: outside of it nothing moves, and its two ends move something."""

from collections.abc import Callable
from fractions import Fraction

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.tracing import AxisField, trace

CHANNELS = 2
SIDE = 160
MARGIN = 40
"""Rows that crops may take from a map before something pads it: of what is padded nothing is seen."""


class Graph(nn.Module):
    """Operations one after the other on ``[1, 2, H, 4]``; each knows what it does with generic weights and with such
    that everything seen counts: weights above 0, and means instead of maxima."""

    def __init__(self, steps: list[Callable[["Graph", Tensor], Tensor]]) -> None:
        super().__init__()
        self.steps = steps
        self.counts = False
        self.weights = nn.ParameterList()
        self.next = 0

    def forward(self, x: Tensor) -> Tensor:
        self.next = 0
        for step in self.steps:
            x = step(self, x)
        return x

    def weight(self, *shape: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.next)
        self.next += 1
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        return drawn.abs() + 0.1 if self.counts else drawn


def convolution(draw: st.DrawFn) -> Callable[[Graph, Tensor], Tensor]:
    taps, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))

    def step(graph: Graph, x: Tensor) -> Tensor:
        weight = graph.weight(CHANNELS, CHANNELS, taps, 1)
        return F.conv2d(F.pad(x, (0, 0, before, after)), weight, stride=(stride, 1), dilation=(dilation, 1))

    return step


def transposed(draw: st.DrawFn) -> Callable[[Graph, Tensor], Tensor]:
    taps, stride, lead = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 1))

    def step(graph: Graph, x: Tensor) -> Tensor:
        weight = graph.weight(CHANNELS, CHANNELS, taps, 1)
        return F.conv_transpose2d(x, weight, stride=(stride, 1), padding=(lead, 0))

    return step


def pool(draw: st.DrawFn) -> Callable[[Graph, Tensor], Tensor]:
    taps, stride, largest, ceil = (
        draw(st.integers(2, 4)),
        draw(st.integers(1, 3)),
        draw(st.booleans()),
        draw(st.booleans()),
    )

    def step(graph: Graph, x: Tensor) -> Tensor:
        function = F.max_pool2d if largest and not graph.counts else F.avg_pool2d
        return function(x, (taps, 1), (stride, 1), (taps // 2, 0), ceil_mode=ceil)

    return step


def interpolated(draw: st.DrawFn) -> Callable[[Graph, Tensor], Tensor]:
    mode = draw(st.sampled_from(["nearest", "nearest-exact", "bilinear"]))
    times = draw(st.sampled_from([0.5, 1.5, 2.0, 3.0]))
    return lambda _, x: F.interpolate(x, scale_factor=(times, 1.0), mode=mode)


def cropped(draw: st.DrawFn) -> Callable[[Graph, Tensor], Tensor]:
    start, step = draw(st.integers(0, 3)), draw(st.integers(1, 2))
    return lambda _, x: x[:, :, start::step]


def branching(draw: st.DrawFn) -> Callable[[Graph, Tensor], Tensor]:
    """A window that keeps the size, beside or on top of what went in; the places of both are the same."""
    taps, dilation = draw(st.sampled_from([1, 3, 5])), draw(st.integers(1, 2))
    beside, gate = draw(st.booleans()), draw(st.booleans())

    def step(graph: Graph, x: Tensor) -> Tensor:
        weight = graph.weight(CHANNELS, CHANNELS, taps, 1)
        reach = taps // 2 * dilation
        y = F.conv2d(x, weight, padding=(reach, 0), dilation=(dilation, 1))
        if beside:
            return torch.einsum("nchw,oc->nohw", torch.cat([x, y], 1), graph.weight(CHANNELS, 2 * CHANNELS))
        if gate:  # which must be neither full nor shut where everything is to count
            return (1 + x) * y if graph.counts else x * y.sigmoid()
        return x + y

    return step


def shuffled(draw: st.DrawFn) -> Callable[[Graph, Tensor], Tensor]:
    def step(graph: Graph, x: Tensor) -> Tensor:
        x = F.conv2d(x, graph.weight(4 * CHANNELS, CHANNELS, 1, 1))
        return F.avg_pool2d(F.pixel_shuffle(x, 2), (1, 2))

    return step


KINDS = (convolution, convolution, transposed, pool, interpolated, cropped, branching, branching, shuffled)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    return Graph([draw(st.sampled_from(KINDS))(draw) for _ in range(draw(st.integers(1, 5)))])


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_outside_of_a_field_nothing_moves_and_its_ends_move_something(graph: Graph, random) -> None:
    """Fields are those of maps without ends, so their ends are looked for in the middle of a picture."""
    x = torch.randn(1, CHANNELS, SIDE, 4, dtype=torch.float64)
    try:
        field, _ = trace(graph, x).whole.field or ()
    except ModelError:  # nothing is left of the picture
        assume(False)
    if field.unknown:  # maps that do not meet place by place
        assert "strides" in field.unknown or "repeat" in field.unknown
        return
    y = graph(x)
    place = random.randrange(y.shape[2])
    assert field.spans is not None
    seen = field.spans.at(place)
    inside = range(*((max(seen[0], 0), min(seen[1] + 1, SIDE)) if seen else (0, 0)))
    moved = x + 100 * torch.randn_like(x)
    moved[:, :, inside] = x[:, :, inside]
    torch.testing.assert_close(graph(moved)[:, :, place], y[:, :, place], rtol=1e-9, atol=1e-9)
    place = y.shape[2] // 2
    seen, margin = field.spans.at(place), (field.size or 0) + MARGIN
    if seen is None or seen[0] < margin or seen[1] >= SIDE - margin:
        return
    graph.counts = True
    picture = (torch.rand_like(x) + 1).requires_grad_()
    graph(picture)[:, :, place].sum().backward()
    assert picture.grad is not None
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    assert (rows[0], rows[-1]) == seen
    assert field.size is not None and field.size >= rows[-1] - rows[0] + 1


# What each operation does to a field, one by one


def field(function: Callable[[Tensor], Tensor], side: int = 12) -> AxisField:
    """Along the first axis, of a function of ``[1, 4, side, side]``."""

    class Module(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    return (trace(Module(), torch.empty(1, 4, side, side)).whole.field or ())[0]


MOVES = [
    (lambda x: x.permute(0, 2, 3, 1).relu().permute(0, 3, 1, 2), (1, 1, 0)),
    (lambda x: F.pad(x, (0, 0, 3, 0)), (1, 1, 3)),
    (lambda x: F.pad(x, (0, 0, -3, -2)), (1, 1, -3)),
    (lambda x: F.pixel_unshuffle(x, 3), (3, 3, 0)),
    (lambda x: F.pixel_shuffle(x, 2), (1, Fraction(1, 2), 0)),
    (lambda x: x.view(1, 2, 2, 12, 12).transpose(1, 2).reshape(1, 4, 12, 12), (1, 1, 0)),
    (lambda x: x.view(1, 4, 3, 4, 12).permute(0, 1, 3, 2, 4).reshape(1, 16, 3, 12), (4, 4, 0)),
    (lambda x: x.flatten(2).transpose(1, 2).matmul(torch.ones(4, 7)).transpose(1, 2).unflatten(2, (12, 12)), (1, 1, 0)),
    (lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (4,)), (1, 1, 0)),
    (lambda x: F.adaptive_avg_pool2d(x, 4), (3, 3, 0)),
    (lambda x: F.adaptive_avg_pool2d(x, 5), (4, Fraction(12, 5), 0)),
    (lambda x: F.interpolate(x, (6, 6), mode="bilinear", antialias=True), (4, 2, 1)),
    (lambda x: F.unfold(x, 3, padding=1).unflatten(2, (12, 12)), (3, 1, 1)),
    (lambda x: x.unfold(2, 3, 2), (3, 2, 0)),
    (lambda x: x.index_select(2, torch.arange(3, 9)), (1, 1, -3)),
    (lambda x: x[:, :, torch.arange(0, 12, 3)], (1, 3, 0)),
    (lambda x: x.repeat_interleave(2, 2), (1, Fraction(1, 2), 0)),
    (lambda x: x.index_select(2, (torch.arange(16) - 2).abs().clamp(max=11)), (1, 1, 2)),
    (lambda x: torch.stack([x, F.max_pool2d(x, 3, 1, 1)]).amax(0), (3, 1, 1)),
    (lambda x: torch.cat([x[:, :2], F.avg_pool2d(x, 3, 1, 1)[:, 2:]], 1), (3, 1, 1)),
    (lambda x: torch.zeros_like(x).index_fill(1, torch.tensor([0]), 1.0) * x, (1, 1, 0)),
]
WHOLE = [
    (lambda x: x.mean((2, 3)), "mean", 12),
    (lambda x: x * F.adaptive_avg_pool2d(x, 1).sigmoid(), "mean", 12),
    (lambda x: F.linear(x.flatten(1), torch.ones(3, 4 * 144)), "mm", 12),
    (lambda x: F.conv2d(x, torch.ones(1, 4, 3, 3)).amax((2, 3), keepdim=True) + x, "amax", 12),
    (lambda x: (x.flatten(2).transpose(1, 2) @ x.flatten(2)).softmax(-1) @ x.flatten(2).transpose(1, 2), "bmm", 12),
    (lambda x: F.group_norm(x, 2), "native_group_norm", 12),
    (F.instance_norm, "native_batch_norm", 12),
    (lambda x: x.softmax(2), "_softmax", 12),
]
UNKNOWN = [
    (lambda x: x.flip(2), "flip"),
    (lambda x: torch.roll(x, 3, 2), "roll"),
    (lambda x: torch.fft.fft(x, dim=2).real, "_fft_r2c"),
    (lambda x: F.grid_sample(x, torch.zeros(1, 12, 12, 2), align_corners=False), "grid_sampler_2d"),
    (lambda x: x[:, :, torch.tensor([3, 1, 2])], "index"),
    (lambda x: x.index_select(2, torch.randint(12, (5,))), "index_select"),
    (lambda x: torch.cat([x, x], 2), "cat"),
    (lambda x: x + x.transpose(2, 3), "add"),
    (lambda x: x + F.interpolate(x[:, :, ::2], (12, 12))[:, :, :12].roll(1, 2), "roll"),
]


def windows(x: Tensor) -> Tensor:
    """``[1, 4, 12, 12]`` to squares of 4x4 as sequences, ``[9, 16, 4]``."""
    return x.view(1, 4, 3, 4, 3, 4).permute(0, 2, 4, 3, 5, 1).reshape(9, 16, 4)


def put_together(x: Tensor) -> Tensor:
    return x.reshape(1, 3, 3, 4, 4, 4).permute(0, 5, 1, 3, 2, 4).reshape(1, 4, 12, 12)


def test_pieces_that_are_put_together_see_all_of_a_piece_only_if_it_was_mixed() -> None:
    def attended(x: Tensor) -> Tensor:
        pieces = windows(x)
        return put_together((pieces @ pieces.transpose(1, 2)).softmax(-1) @ pieces)

    mixed = field(attended)
    assert (mixed.size, mixed.stride) == (4, 1)
    assert mixed.spans is not None and mixed.spans.at(5) == (4, 7)
    assert "view" in (field(lambda x: put_together(windows(x).relu())).unknown or "")


def test_what_moves_places() -> None:
    for function, wanted in MOVES:
        found = field(function)
        assert (found.size, found.stride, found.padding) == wanted, (wanted, found)


def test_what_takes_the_whole_picture() -> None:
    for function, name, size in WHOLE:
        found = field(function)
        assert found.whole and found.whole.startswith(name), (name, found)
        assert found.size is None or found.size >= size


def test_what_nobody_knows_is_no_number() -> None:
    for function, name in UNKNOWN:
        found = field(function)
        assert found.unknown and found.unknown.startswith(name), (name, found)
        assert found.size is None and found.stride is None


def test_the_names_of_modules_are_said() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Sequential(nn.AdaptiveAvgPool2d(1)))
    found = trace(module, torch.empty(1, 4, 8, 8)).whole.field or ()
    assert [str(each) for each in found] == ["whole image (mean in 1.0)"] * 2


def test_a_part_that_is_written_to_is_seen_by_the_whole() -> None:
    def halves(x: Tensor) -> Tensor:
        made = torch.zeros_like(x)
        made[:, :2] = F.max_pool2d(x, 3, 1, 1)[:, :2]
        made[:, 2:] = x[:, 2:]
        return made

    def rows(x: Tensor) -> Tensor:
        made = torch.zeros_like(x)
        made[:, :, ::2] = x[:, :, ::2]
        return made

    assert field(halves).size == 3
    assert (field(rows).unknown or "").startswith("copy")
