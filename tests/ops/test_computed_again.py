"""What backward computes again: the same gradients, draws and statistics, and hardly anything kept."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

from striate.benchmarking.allocations import allocated
from striate.layers import BatchNormAct2d, Conv2d, StochasticDepth
from striate.ops.checkpointing import checkpointed
from tests.ops.native.levels import computing_with, needs_kernels
from tests.ops.storages import born_in, faked
from tests.ops.test_checkpointing import CHANNELS, DTYPES, Unit, layers, picture

BY = [pytest.param("auto", marks=needs_kernels), "off"]
Way = Callable[[nn.Module, Tensor], Tensor]


def again(module: nn.Module, x: Tensor) -> Tensor:
    return checkpointed(module, x, [module])


def as_written(module: nn.Module, x: Tensor) -> Tensor:
    return module(x)


WAYS: tuple[Way, ...] = (as_written, again)


class Drawing(nn.Module):
    """What draws in training, beside a norm of torch's own, which knows nothing of second passes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.mix, self.drop, self.depth = Conv2d(CHANNELS, CHANNELS, 1), nn.Dropout(0.4), StochasticDepth(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.depth(self.drop(self.norm(self.mix(x))))


def step(way: Way, module: nn.Module, x: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Gradients of input and parameters, summed over two batches, then buffers, and what is drawn afterwards."""
    module.train().zero_grad()
    x = x.detach().requires_grad_()
    torch.manual_seed(1)
    for scale in (1.0, 2.0):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = way(module, x * scale)
        torch.rand(3)
        y.float().square().sum().backward()
    found = [x.grad, *(parameter.grad for parameter in module.parameters())]
    assert all(each is not None for each in found)
    return [*(each.clone() for each in found if each is not None), *module.buffers(), torch.rand(3)]


@pytest.fixture(params=BY)
def by(request: pytest.FixtureRequest) -> Iterator[str]:
    with computing_with(request.param):
        yield request.param


@DTYPES
@pytest.mark.parametrize("make", [lambda: layers()[:2], Drawing], ids=["windows", "draws"])
def test_gradients_statistics_and_later_draws_are_the_same_to_the_bit(
    by: str, make: Callable[[], nn.Module], dtype: torch.dtype
) -> None:
    found = []
    for way in WAYS:
        torch.manual_seed(0)
        found.append(step(way, make().to(memory_format=torch.channels_last), picture(), dtype))
    for ours, wanted in zip(*found, strict=True):
        assert torch.equal(ours, wanted) and ours.stride() == wanted.stride() and ours.dtype == wanted.dtype


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("norm", [nn.BatchNorm2d, BatchNormAct2d])
def test_statistics_move_once_a_step(by: str, norm: type[nn.BatchNorm2d], momentum: float | None) -> None:
    layer = norm(CHANNELS)
    layer.momentum = momentum
    for times in (1, 2):
        again(layer, picture().requires_grad_()).sum().backward()
        assert layer.num_batches_tracked == times
    mean = picture().mean((0, 2, 3))
    part = 1.0 if momentum is None else 1 - 0.9**2
    torch.testing.assert_close(layer.running_mean, part * mean)


def test_of_a_part_its_input_is_kept_alone(by: str) -> None:
    part, x = layers()[:2], picture()
    kept = []
    for way in WAYS:
        births, y = born_in(part, x, lambda way=way: way(part, x))
        kept.append(births.alive - y.untyped_storage().nbytes())
    assert kept[1] == 0 < kept[0]


@needs_kernels
def test_the_peak_is_below_that_of_torchs_own_checkpointing() -> None:
    """Whose second pass keeps norms and activations, which ours promises."""
    first, second = layers()[:2]
    x = torch.randn(4, CHANNELS, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    ways: tuple[Way, ...] = (again, lambda module, x: checkpoint(module, x, use_reentrant=False), as_written)
    with computing_with("auto"):
        ours, torchs, whole = [
            allocated(lambda way=way: way(second, way(first, x)).sum().backward(), list).peak for way in ways
        ]
    assert ours < 0.9 * torchs and ours < whole


def test_a_trace_takes_what_a_step_takes(by: str) -> None:
    part, images = layers(), picture()
    mode = FakeTensorMode()
    fake, fake_images = faked(mode, part), mode.from_tensor(images)

    def training(part: nn.Sequential, images: Tensor) -> Callable[[], None]:
        return lambda: part[2:](again(part[1], again(part[0], images))).sum().backward()

    sizes = born_in(part, images, training(part, images))[0].sizes
    with mode:
        assert born_in(fake, fake_images, training(fake, fake_images))[0].sizes == sizes


def test_maps_that_are_handed_on_stay_the_same_tensors() -> None:
    """And those that nobody reads, or that cannot learn, do no harm."""
    unit = Unit()
    size, first = torch.zeros(2, 0, 8, 8), picture().requires_grad_()

    def part(x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        size, *kept, last = x
        return size, *kept, last, unit(last), last.detach().argmax(1), unit.mix(last)

    found = []
    for run in (part, lambda x: checkpointed(part, x, [unit])):
        out = run((size, first, first * 2))
        assert out[0] is size and out[1] is first and not out[4].requires_grad
        (out[1].sum() + out[2].sum() + out[3].square().sum()).backward()
        found.append([first.grad, *(each.grad for each in unit.parameters() if each.grad is not None)])
        first.grad = None
        unit.zero_grad()
    assert len(found[0]) == len(found[1])
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted)  # what several readers ask of a map is summed in another order


def test_a_part_that_changes_its_input_is_refused() -> None:
    layer = nn.Sequential(nn.ReLU(inplace=True), Conv2d(CHANNELS, 4, 1))
    with pytest.raises(RuntimeError, match=r"must not change in place|in-place operation"):
        again(layer, picture())
    with pytest.raises(RuntimeError, match="in-place operation"):
        again(layer, picture().requires_grad_())


def test_an_input_that_was_changed_since_is_refused() -> None:
    x = picture().requires_grad_() * 1
    y = again(Conv2d(CHANNELS, 4, 1), x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_within_a_callers_autocast_no_weights_of_before_are_computed_with() -> None:
    layer, x = nn.Linear(4, 4, bias=False), torch.ones(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        y = again(layer, x)
        torch.clear_autocast_cache()  # as the loop does behind its forward pass
        y.sum().backward()
        with torch.no_grad():
            layer.weight.fill_(1.0)
        assert torch.equal(layer(x), torch.full((2, 4), 4.0, dtype=torch.bfloat16))
