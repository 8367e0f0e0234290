"""Saved-tensor hooks of others, `torch.utils.checkpoint`'s for one: they get all that is kept, and give it back."""

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from striate.benchmarking.networks import plain_torch
from striate.layers import BatchNormAct2d, Conv2d, DepthwiseConv2d, Linear, LocalResponseNorm, MaxPool2d
from striate.models import build
from striate.ops import ResponseNorm, recomputation
from striate.ops.recomputation import foreign_hooks, promised
from tests.ops.native.levels import computing_with, needs_kernels
from tests.ops.storages import born_in, kept

CHANNELS = 32
BY = [pytest.param("auto", marks=needs_kernels), "off"]
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


class Unit(nn.Module):
    """Of each window one, and norms with and without a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = Conv2d(CHANNELS, CHANNELS, 3, padding="same"), BatchNormAct2d(CHANNELS, act="relu6")
        self.depthwise, self.mix = DepthwiseConv2d(CHANNELS, 5, padding="same"), Conv2d(CHANNELS, CHANNELS, 1)
        self.last = BatchNormAct2d(CHANNELS, act="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.mix(self.depthwise(self.norm(self.first(x)))), residual=x)


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    ends = (LocalResponseNorm(ResponseNorm.paper()), MaxPool2d(2), nn.Flatten(), Linear(CHANNELS * 16, 2048))
    return nn.Sequential(Unit(), Unit(), *ends).to(memory_format=torch.channels_last)


def picture() -> Tensor:
    drawn = torch.randn(2, CHANNELS, 8, 8, generator=torch.Generator().manual_seed(1))
    return drawn.contiguous(memory_format=torch.channels_last)


def output(network: nn.Module, dtype: torch.dtype) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        return network(picture().to(dtype))


def gradients(network: nn.Module, y: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(y.float().square().sum(), list(network.parameters())))


class InNumpy(saved_tensors_hooks):
    """What is kept as arrays, which are no storages of torch; ``order`` as `numpy.copy` has it."""

    def __init__(self, order: Literal["K", "C"] = "K") -> None:
        super().__init__(
            lambda tensor: (tensor.detach().float().numpy().copy(order), tensor.dtype),
            lambda kept: torch.from_numpy(kept[0]).to(kept[1]),
        )


@pytest.fixture
def by_kernels() -> Iterator[None]:
    with computing_with("auto"):
        yield


@needs_kernels
@DTYPES
@pytest.mark.parametrize("order", ["K", "C"])
def test_hooks_get_all_that_is_kept_and_may_give_it_back_in_another_order(
    by_kernels: None, dtype: torch.dtype, order: Literal["K", "C"]
) -> None:
    network = layers()
    wanted = gradients(network, output(network, dtype))

    def forward() -> Tensor:
        with InNumpy(order):
            return output(network, dtype)

    births, y = born_in(network, picture(), forward)
    assert births.alive == y.untyped_storage().nbytes()
    largest = max(each.norm() for each in wanted)
    for ours, theirs in zip(gradients(network, y), wanted, strict=True):
        if order == "K":
            assert torch.equal(ours, theirs)
        else:  # torch's own windows compute otherwise
            assert (ours - theirs).norm() <= 1e-3 * theirs.norm() + 1e-5 * largest


@needs_kernels
@DTYPES
def test_checkpointed_gradients_are_the_same_to_the_bit(by_kernels: None, dtype: torch.dtype) -> None:
    network, found = layers(), []
    for through in (Unit.__call__, lambda unit, x: checkpoint(unit, x, use_reentrant=False)):
        x = picture().to(dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = network[2:](through(network[1], through(network[0], x)))
        network.zero_grad()
        y.float().square().sum().backward()
        found.append([x.grad, *(parameter.grad for parameter in network.parameters())])
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


@needs_kernels
@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2"])
def test_blocks_that_are_computed_again_keep_what_torch_alone_keeps(by_kernels: None, name: str) -> None:
    network = build(name, classes=10, seed=0).to(memory_format=torch.channels_last).train()
    images = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    plain = plain_torch(network, (64, 64))
    assert kept(network, images, by_blocks=True) <= 1.05 * kept(plain, images, by_blocks=True)


@needs_kernels
@DTYPES
def test_what_was_promised_before_hooks_came_is_given_to_them(by_kernels: None, dtype: torch.dtype) -> None:
    norm, reader, found = BatchNormAct2d(CHANNELS, act="relu"), Conv2d(CHANNELS, CHANNELS, 1), []
    for hooks in (None, InNumpy()):
        x = picture().to(dtype).requires_grad_()
        y = norm(x)
        assert promised(y) is not None
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            if hooks is None:
                z = reader(y)
            else:
                with hooks:
                    assert promised(y) is None
                    assert promised(norm(x)) is None
                    z = reader(y)
        assert promised(y) is not None
        found.append(torch.autograd.grad(z.float().square().sum(), [x, *reader.parameters()]))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


@needs_kernels
def test_a_promised_tensor_within_a_transform(by_kernels: None) -> None:
    """Where torch allows no hooks at all."""
    y, reader = BatchNormAct2d(CHANNELS, act="relu")(picture()), Conv2d(CHANNELS, 8, 3, padding="same")
    assert promised(y) is not None

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(reader, parameters, (y,)).square().sum()

    found = torch.func.grad(loss)({name: value.detach() for name, value in reader.named_parameters()})
    wanted = torch.autograd.grad(loss(dict(reader.named_parameters())), list(reader.parameters()))
    for ours, theirs in zip(found.values(), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("reentrant", [False, True])
def test_running_statistics_move_once_a_step(by: str, momentum: float | None, reentrant: bool) -> None:
    """Of torch's own norms they move twice."""
    found = []
    ways: tuple[Callable[..., Tensor], ...] = (
        lambda run, x: run(x),
        lambda run, x: checkpoint(run, x, use_reentrant=reentrant),
    )
    for through in ways:
        unit = layers()[0].train()
        unit.norm.momentum = unit.last.momentum = momentum
        with computing_with(by):
            for _ in range(2):
                through(unit, picture().requires_grad_()).sum().backward()
        found.append(dict(unit.named_buffers()))
    for name, once in found[0].items():
        torch.testing.assert_close(found[1][name], once, msg=name)
    assert found[1]["norm.num_batches_tracked"] == 2


def test_hooks_are_noticed_by_the_documented_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch has not the name that answers faster."""
    packed: list[Tensor] = []
    for times, innermost in enumerate((recomputation._innermost, None), start=1):
        monkeypatch.setattr(recomputation, "_innermost", innermost)
        assert not foreign_hooks()
        with saved_tensors_hooks(lambda tensor: packed.append(tensor) or tensor, lambda tensor: tensor):
            assert foreign_hooks()
            torch.ones(1, requires_grad=True).exp()
        assert len(packed) == times  # they are still heard
        assert not foreign_hooks()
        with torch.autograd.graph.save_on_cpu():  # and still allowed
            pass


def test_another_networks_step_within_a_backward_pass_moves_its_statistics() -> None:
    one, other = (BatchNormAct2d(4).train() for _ in range(2))
    x = torch.randn(2, 4, 3, 3, requires_grad=True)
    y = one(x)
    y.register_hook(lambda gradient: (other(x.detach()), None)[1])
    y.sum().backward()
    assert other.num_batches_tracked == 1 and other.running_mean.abs().sum() > 0
