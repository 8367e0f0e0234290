"""What cannot be traced says what and where, and nothing of a module is touched, whatever happens."""

import copy

import pytest
import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.models import build
from striate.tracing import made, trace


class Asks(nn.Module):
    def __init__(self, ask) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.ask = ask

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        self.ask(y)
        return y


@pytest.mark.parametrize(
    "ask",
    [lambda y: y.mean().item(), lambda y: y if y.sum() > 0 else -y, lambda y: y[y > 0], lambda y: y.tolist()],
    ids=["item", "if", "mask", "tolist"],
)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_code_that_asks_for_numbers_is_named(ask, mode) -> None:
    module = nn.Sequential(nn.ReLU(), nn.Sequential(Asks(ask)))
    with pytest.raises(ModelError, match=r"^1\.0 \(Asks\) in Sequential: its code asks for numbers in a tensor"):
        trace(module, torch.empty(2, 3), mode=mode)


def test_a_wrong_size_names_the_part_that_refuses_it() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(10, 2))
    with pytest.raises(ModelError, match=r"^2 \(Linear\) in Sequential: running it raised RuntimeError: "):
        trace(module, torch.empty(2, 3, 8, 8))
    with pytest.raises(ModelError, match=r"^LeNet5: LeNet5 takes images of 32x32"):
        trace(build("lenet5", classes=2), torch.empty(1, 1, 8, 8))


def test_what_a_part_raises_is_said() -> None:
    def broken(_: Tensor) -> None:
        raise KeyError("left")

    with pytest.raises(ModelError, match=r"Asks: running it raised KeyError: 'left'"):
        trace(Asks(broken), torch.empty(2, 3))


def test_factories() -> None:
    def wants_numbers() -> nn.Module:
        return nn.Linear(3, int(torch.linspace(0, 4, 2)[1].item()))

    def raises() -> nn.Module:
        raise OSError("no such weights")

    assert made(lambda: nn.Linear(3, 3)).weight.is_meta
    assert made(wants_numbers).out_features == 4
    with pytest.raises(ModelError, match=r"raises\(\) raised OSError: no such weights"):
        made(raises)
    with pytest.raises(ModelError, match=r"gives int, and not a module"):
        made(lambda: 3)
    called: list[int] = []
    with pytest.raises(ModelError, match=r"gives NoneType"):
        made(lambda: called.append(1))
    assert called == [1]  # it may be a program, whose work nobody wants twice


def test_other_refusals() -> None:
    with pytest.raises(ModelError, match=r"mode is 'train'\. Did you mean 'training'"):
        trace(nn.Linear(3, 3), torch.empty(2, 3), mode="train")
    with pytest.raises(ModelError, match="a lazy module has no shapes"):
        trace(nn.LazyLinear(3), torch.empty(2, 3))
    with pytest.raises(ModelError, match=r"optimizer is 'adam'\. Did you mean 'adamw'"):
        trace(nn.Linear(3, 3), torch.empty(2, 3), mode="training", optimizer="adam")
    with pytest.raises(ModelError, match=r"nothing .* learns"):
        trace(nn.Linear(3, 3).requires_grad_(False), torch.empty(2, 3), mode="training")


class Remembers(nn.Module):
    """Does all that leaves traces on a module."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.seen: list[Tensor] = []
        self.last: Tensor | None = None
        self.tied = nn.Linear(3, 3)
        self.other = nn.Linear(3, 3)
        self.other.weight = self.tied.weight

    def forward(self, x: Tensor) -> Tensor:
        self.last = x
        self.seen.append(x)
        return self.other(self.tied(self.norm(x).mean((2, 3))))


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_the_module_is_touched(mode, fails: bool) -> None:
    module = Remembers().eval()
    module.tied.train()
    heard = []
    module.tied.register_forward_hook(lambda *_: heard.append("hook"))
    before = copy.deepcopy(module.state_dict())
    with torch.no_grad():
        if fails:
            with pytest.raises(ModelError):
                trace(module, torch.empty(2, 4, 5, 5), mode=mode)
        else:
            found = trace(module, torch.empty(2, 3, 5, 5), mode=mode, optimizer="sgd")
            assert found.whole.trainable == 9 + 3 + 3 + 6  # the tied weight once
            assert heard
        assert not torch.is_grad_enabled()
    assert module.last is None and module.seen == []
    assert not module.training and module.tied.training
    assert all(type(each) is nn.Parameter and each.grad is None for each in module.parameters())
    assert all(torch.equal(each, before[name]) for name, each in module.state_dict().items())
    assert all("forward" not in part.__dict__ for part in module.modules())
    assert module(torch.ones(1, 3, 2, 2)).shape == (1, 3)


def test_callers_modes_do_not_reach_in() -> None:
    module, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), torch.empty(1, 3, 8, 8)
    plain = trace(module, x, mode="training")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = trace(module, x, mode="training")
    assert found.storages == plain.storages
