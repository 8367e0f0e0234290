"""The modules: torch's names and numbers where it has the same layer, and what the others promise."""

import math

import pytest
import torch
from torch import nn

from striate.base.errors import ModelError
from striate.layers import Conv2d, GlobalAveragePool, StochasticDepth, he_fan_out_


@pytest.mark.parametrize("bias", [True, False])
def test_state_dicts_are_interchangeable_with_torch(bias: bool) -> None:
    theirs = nn.Conv2d(4, 8, (3, 5), stride=(2, 1), padding=(1, 2), groups=2, bias=bias)
    ours = Conv2d(4, 8, (3, 5), stride=(2, 1), groups=2, padding="symmetric", bias=bias)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, 9, 11)
    assert torch.equal(ours(x), theirs(x))
    theirs.load_state_dict(ours.state_dict())


def test_fresh_weights_are_distributed_as_in_torch() -> None:
    ours, theirs = Conv2d(32, 64, 3), nn.Conv2d(32, 64, 3)
    bound = 1 / math.sqrt(32 * 9)
    for layer in (ours, theirs):
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert layer.bias.abs().max().item() <= bound


def test_same_with_a_stride() -> None:
    assert Conv2d(3, 5, 3, stride=2, padding="same")(torch.zeros(1, 3, 28, 28)).shape == (1, 5, 14, 14)


def test_groups_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ModelError, match="largest number of groups that does is 4"):
        Conv2d(12, 8, 3, groups=3)


def test_what_is_printed_says_what_is_not_default() -> None:
    shown = str(Conv2d(3, 6, 5, stride=2, padding="same", bias=False))
    assert shown == "Conv2d(3, 6, window=(5, 5), stride=2, padding='same', bias=False)"


@pytest.mark.parametrize(("shape", "groups"), [((64, 32, 3, 3), 1), ((128, 1, 5, 5), 128), ((128, 32, 3, 3), 4)])
def test_he_keeps_the_size_of_gradients(shape: tuple[int, ...], groups: int) -> None:
    conv = Conv2d(shape[1] * groups, shape[0], shape[2], groups=groups, padding="same", bias=False)
    he_fan_out_(conv.weight, groups)
    x = torch.randn(4, shape[1] * groups, 24, 24, requires_grad=True)
    conv(x).backward(gradient := torch.randn(4, shape[0], 24, 24))
    inner = x.grad[:, :, 3:-3, 3:-3]
    # He's weights are for layers behind ReLU, which lets half of the gradient through: hence the factor of two.
    assert (inner.var() / gradient.var()).item() == pytest.approx(2.0, rel=0.1)


def test_global_average_pool() -> None:
    x = torch.arange(24.0).reshape(1, 2, 2, 6).permute(0, 3, 1, 2) + 1  # the textbook's 1..24 as 1x2x2x6
    assert GlobalAveragePool()(x).tolist() == [[10, 11, 12, 13, 14, 15]]


def test_stochastic_depth_drops_whole_pictures_and_keeps_the_mean() -> None:
    drop = StochasticDepth(0.25)
    y = drop(torch.ones(20_000, 2, 1, 1))
    kept = y[:, 0, 0, 0] != 0
    assert torch.equal(y[:, 0], y[:, 1])  # a picture is there or not, in all its maps
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.015)
    assert torch.allclose(y[kept], torch.tensor(1 / 0.75))
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)


def test_stochastic_depth_does_nothing_in_evaluation_or_at_rate_zero() -> None:
    x = torch.randn(4, 3, 2, 2)
    assert StochasticDepth(0.5).eval()(x) is x
    assert StochasticDepth(0.0)(x) is x


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_rates_are_probabilities(rate: float) -> None:
    with pytest.raises(ModelError, match="rate is"):
        StochasticDepth(rate)
