"""Each operation where it is not simply computed: exported with sizes left open, compiled, on meta and fake tensors, in
other types, in channels-last; and that even paddings are the very calls a bare torch user makes.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim, export
from torch.utils._python_dispatch import TorchDispatchMode

from striate import layers, ops
from striate.base.errors import ModelError

SIZES = {1: (13,), 2: (12, 9), 3: (6, 7, 8)}


@dataclass(frozen=True)
class Case:
    """An operation ``run(x, weights)``, the weights it takes and the axes of its input ``[N, 4, ...]``."""

    name: str
    axes: int
    run: Callable[[torch.Tensor, list[torch.Tensor]], torch.Tensor]
    weights: tuple[tuple[int, ...], ...] = ()

    def x(self, count: int = 2, sizes: tuple[int, ...] = ()) -> torch.Tensor:
        return torch.randn(count, 4, *(sizes or SIZES[self.axes]))

    def tensors(self) -> list[torch.Tensor]:
        return [torch.randn(shape) / 3 for shape in self.weights]


def windowed() -> list[Case]:
    cases = []
    for axes, (padding, stride) in itertools.product(
        (1, 2, 3), (("same", 2), ("same", 1), ("valid", 2), ("symmetric", 2))
    ):
        options = {"padding": padding, "stride": stride}
        for name in ("conv", "conv_transpose"):
            operation = getattr(ops, f"{name}{axes}d")
            cases.append(
                Case(
                    f"{name}{axes}d-{padding}-{stride}",
                    axes,
                    lambda x, w, run=operation, options=options: run(x, *w, **options),
                    ((4, 4, *[3] * axes), (4,)),
                )
            )
        for kind in ("max", "average"):
            operation = getattr(ops, f"{kind}_pool{axes}d")
            run = lambda x, w, run=operation, options=options: run(x, 3, **options)  # noqa: E731 - a row of a table
            cases.append(Case(f"{kind}_pool{axes}d-{padding}-{stride}", axes, run))
    return cases


NORM = ops.ResponseNorm.paper()
CASES = [
    *windowed(),
    Case("depthwise", 2, lambda x, w: ops.depthwise_conv2d(x, *w, stride=2, padding="same"), ((8, 1, 3, 3), (8,))),
    Case(
        "separable",
        2,
        lambda x, w: ops.separable_conv2d(x, *w, stride=2, padding="same"),
        ((8, 1, 3, 3), (5, 8, 1, 1), (5,)),
    ),
    Case("atrous", 2, lambda x, w: ops.conv2d(x, *w, dilation=2, stride=2, padding="same"), ((4, 4, 3, 3), (4,))),
    Case("wide-stride", 2, lambda x, w: ops.conv2d(x, *w, stride=3, padding="same"), ((4, 4, 2, 2), (4,))),
    Case("max_pool2d-ceil", 2, lambda x, w: ops.max_pool2d(x, 3, stride=2, padding="ceil")),
    Case("average_pool2d-ceil", 2, lambda x, w: ops.average_pool2d(x, 3, stride=2, padding="ceil")),
    Case("average_pool2d-atrous", 2, lambda x, w: ops.average_pool2d(x, 3, stride=1, dilation=2, padding="same")),
    Case("depth_max_pool", 2, lambda x, w: ops.depth_max_pool(x, 2, padding="same")),
    Case("depth_average_pool", 2, lambda x, w: ops.depth_average_pool(x, 3, stride=2, padding="same")),
    Case("global_average_pool", 2, lambda x, w: ops.global_average_pool(x)),
    Case("global_max_pool", 2, lambda x, w: ops.global_max_pool(x, keep=True)),
    Case("lrn", 2, lambda x, w: ops.local_response_normalization(x, NORM)),
]
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
# One of each kind of code here; all of them in `make test-all`.
SOME = {"conv2d-same-2", "max_pool2d-same-2", "average_pool2d-same-2", "conv_transpose2d-same-2", "lrn", "wide-stride"}
SAMPLED = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case.name in SOME else [pytest.mark.slow], id=case.name) for case in CASES],
)


class Run(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        self.weights = nn.ParameterList(case.tensors())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.case.run(x, list(self.weights))


@SAMPLED
@pytest.mark.parametrize("strict", [False, True])
def test_exports_with_batch_and_sizes_left_open(case: Case, strict: bool) -> None:
    module = Run(case).eval()
    names = ("d", "h", "w")[3 - case.axes :]
    # torch itself asks that no output has a size of 1: hence at least 5 here, for windows of 3 at stride 2.
    open_sizes = {0: Dim("n"), **{place: Dim(name, min=5) for place, name in enumerate(names, start=2)}}
    program = export(module, (case.x(),), dynamic_shapes=({**open_sizes},), strict=strict)
    for count, sizes in itertools.product((1, 3), ((10, 11, 12), (11, 12, 9), (7, 8, 7))):
        x = case.x(count, sizes[: case.axes])
        torch.testing.assert_close(program.module()(x), module(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_window_refuses_only_what_it_does_not_fit_into(strict: bool) -> None:
    case = Case("valid", 2, lambda x, w: ops.conv2d(x, *w), ((4, 4, 5, 5), (4,)))
    module = Run(case).eval()
    program = export(module, (case.x(),), dynamic_shapes=({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO},), strict=strict)
    for sizes in ((6, 6), (7, 30)):
        x = case.x(3, sizes)
        torch.testing.assert_close(program.module()(x), module(x), rtol=1e-5, atol=1e-5)
    with pytest.raises(AssertionError, match=r"size\(\)\[2\] >= 5"):
        program.module()(case.x(2, (4, 9)))
    with pytest.raises(Exception, match="smallest size that fits is 5"):  # strict tracing wraps our error
        export(module, (case.x(2, (4, 9)),), dynamic_shapes=({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO},), strict=strict)


@SAMPLED
def test_compiles_in_one_graph_without_asking_for_parities(case: Case) -> None:
    torch._dynamo.reset()
    module = Run(case)
    traces = []

    def backend(graph, inputs):
        traces.append(graph)
        return graph

    compiled = torch.compile(module, backend=backend, fullgraph=True, dynamic=True)
    for sizes in ((10, 11, 12), (11, 12, 9), (8, 9, 8)):
        x = case.x(2, sizes[: case.axes])
        torch.testing.assert_close(compiled(x), module(x), rtol=1e-5, atol=1e-5)
    assert len(traces) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's compiler uses what torch deprecates
def test_compiles_to_machine_code_with_gradients() -> None:
    torch._dynamo.reset()
    module = nn.Sequential(
        layers.Conv2d(4, 6, 3, stride=2, padding="same"),
        layers.LocalResponseNorm(NORM),
        layers.MaxPool2d(3, stride=2, padding="same"),
        layers.ConvTranspose2d(6, 4, 4, stride=2, padding="same"),
        layers.AveragePool2d(3, stride=2, padding="same"),
    )
    compiled = torch.compile(module)
    for sizes in ((20, 21), (21, 22)):
        x = torch.randn(2, 4, *sizes, requires_grad=True)
        results = []
        for run in (module, compiled):
            y = run(x)
            results.append((y.detach(), *torch.autograd.grad(y.square().sum(), x)))
        torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-4)


@EVERY
def test_meta_and_fake_tensors_have_the_true_shape(case: Case) -> None:
    x, weights = case.x(), case.tensors()
    y = case.run(x, weights)
    on_meta = case.run(x.to("meta"), [w.to("meta") for w in weights])
    assert on_meta.device.type == "meta" and on_meta.shape == y.shape
    with FakeTensorMode() as mode:
        fake = case.run(mode.from_tensor(x), [mode.from_tensor(w) for w in weights])
    assert fake.shape == y.shape and fake.dtype == y.dtype


@EVERY
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types(case: Case, dtype: torch.dtype) -> None:
    x, weights = case.x().to(dtype), [w.to(dtype) for w in case.tensors()]
    y = case.run(x, weights)
    assert y.dtype == dtype
    exact = case.run(x.double(), [w.double() for w in weights])
    tolerance = 0.03 if dtype == torch.bfloat16 else 1e-12
    torch.testing.assert_close(y.double(), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", [case for case in CASES if case.axes > 1], ids=lambda case: case.name)
@pytest.mark.parametrize("piece", [False, True])
@pytest.mark.parametrize("watched", [False, True])
def test_channels_last_in_and_out(case: Case, watched: bool, piece: bool) -> None:
    last = torch.channels_last if case.axes == 2 else torch.channels_last_3d
    x = case.x()
    x_last = x.contiguous(memory_format=last)
    if piece:
        x, x_last = x[:, :, :-1], x_last[:, :, :-1]
    weights = [w.requires_grad_(watched) for w in case.tensors()]
    y = case.run(x_last.requires_grad_(watched), weights)
    torch.testing.assert_close(y, case.run(x, weights), rtol=1e-4, atol=1e-5)
    assert y.dim() < 4 or y.is_contiguous(memory_format=last)
    assert case.run(x.contiguous(), weights).is_contiguous()


class Calls(TorchDispatchMode):
    """Writes down every operator with the shapes it got."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, list]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        shown = [tuple(a.shape) if isinstance(a, torch.Tensor) else a for a in args]
        self.made.append((str(function), shown))
        return function(*args, **(kwargs or {}))


def calls(function: Callable[[], object]) -> list[tuple[str, list]]:
    with Calls() as mode:
        function()
    return mode.made


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(
    ("ours", "theirs", "axes"),
    [
        (layers.Conv1d(4, 6, 3, stride=2, padding="symmetric"), nn.Conv1d(4, 6, 3, 2, 1), 1),
        (layers.Conv2d(4, 6, 3, stride=2, padding="symmetric"), nn.Conv2d(4, 6, 3, 2, 1), 2),
        (layers.Conv2d(4, 6, 3, padding="same", bias=False), nn.Conv2d(4, 6, 3, 1, 1, bias=False), 2),
        (layers.Conv3d(4, 6, 3, stride=2, padding=1, groups=2), nn.Conv3d(4, 6, 3, 2, 1, groups=2), 3),
        (layers.DepthwiseConv2d(4, 5, padding="symmetric"), nn.Conv2d(4, 4, 5, 1, 2, groups=4), 2),
        (layers.ConvTranspose2d(4, 6, 4, stride=2, padding="same"), nn.ConvTranspose2d(4, 6, 4, 2, 1), 2),
        (layers.ConvTranspose1d(4, 6, 3, stride=2), nn.ConvTranspose1d(4, 6, 3, 2), 1),
        (layers.ConvTranspose3d(4, 6, 3, padding="symmetric"), nn.ConvTranspose3d(4, 6, 3, 1, 1), 3),
        (layers.MaxPool1d(2), nn.MaxPool1d(2), 1),
        (layers.MaxPool2d(3, stride=2, padding="symmetric"), nn.MaxPool2d(3, 2, 1), 2),
        (layers.MaxPool2d(3, stride=2, padding="ceil"), nn.MaxPool2d(3, 2, ceil_mode=True), 2),
        (layers.MaxPool3d(3, stride=2, padding="symmetric"), nn.MaxPool3d(3, 2, 1), 3),
        (layers.AveragePool1d(3, padding=1), nn.AvgPool1d(3, 3, 1, count_include_pad=False), 1),
        (layers.AveragePool2d(2), nn.AvgPool2d(2, count_include_pad=False), 2),
        (layers.AveragePool3d(3, stride=1, padding="same"), nn.AvgPool3d(3, 1, 1, count_include_pad=False), 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_even_paddings_are_the_calls_of_the_bare_layer(ours, theirs, axes: int, watched: bool) -> None:
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, *[9] * axes, requires_grad=watched)
    with torch.set_grad_enabled(watched):
        assert calls(lambda: ours(x)) == calls(lambda: theirs(x))
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("padding", ["same", "ceil"])
@pytest.mark.parametrize(("window", "stride"), [(2, 1), (2, 2), (3, 2), (5, 3), (4, 1)])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_uneven_pools_never_copy_their_input(kind: str, window: int, stride: int, padding: str) -> None:
    pool = getattr(ops, f"{kind}_pool2d")
    made = calls(lambda: pool(torch.randn(2, 4, 16, 15), window, stride=stride, padding=padding))
    assert not any("constant_pad_nd" in name for name, _ in made)


def test_the_reason_is_given_under_a_trace_as_well() -> None:
    with FakeTensorMode(), pytest.raises(ModelError, match=r"conv2d on x \[1, 3, 2, 9\], axis 2: .* fits is 3,"):
        ops.conv2d(torch.zeros(1, 3, 2, 9), torch.zeros(4, 3, 3, 3))
