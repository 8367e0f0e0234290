"""The modules: torch's names and numbers where it has the same layer, and what the others promise."""

import math

import pytest
import torch
from torch import nn

from striate import layers, ops
from striate.base.errors import ModelError
from striate.layers import Conv2d, GlobalAveragePool, StochasticDepth, bilinear_weights, he_fan_out_


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
    assert shown == "Conv2d(3, 6, kernel_size=(5, 5), stride=2, padding='same', bias=False)"


def test_a_window_is_called_as_in_torch_so_that_other_tools_read_it():
    ours, theirs = layers.Conv2d(3, 6, kernel_size=5), nn.Conv2d(3, 6, kernel_size=5)
    assert ours.kernel_size == theirs.kernel_size == (5, 5)
    assert layers.MaxPool2d(kernel_size=2).kernel_size == nn.MaxPool2d(kernel_size=2).kernel_size == 2
    with pytest.raises(ModelError, match="kernel_size"):
        layers.Conv2d(3, 6, kernel_size=(5, 5, 5))


@pytest.mark.parametrize(
    "name", ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]
)
def test_stride_and_padding_stand_where_torch_has_them(name: str) -> None:
    ours, theirs = getattr(layers, name)(3, 6, 3, 2, 1), getattr(nn, name)(3, 6, 3, 2, 1)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, *[7] * int(name[-2]))
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_pools_take_stride_and_padding_where_torch_has_them(axes: int) -> None:
    x = torch.randn(2, 3, *[7] * axes)
    assert torch.equal(getattr(layers, f"MaxPool{axes}d")(3, 2, 1)(x), getattr(nn, f"MaxPool{axes}d")(3, 2, 1)(x))
    theirs = getattr(nn, f"AvgPool{axes}d")(3, 2)(x)
    torch.testing.assert_close(getattr(layers, f"AveragePool{axes}d")(3, 2)(x), theirs)


WINDOWS = {
    **{f"Conv{axes}d": (3, 6, 3) for axes in (1, 2, 3)},
    **{f"ConvTranspose{axes}d": (3, 6, 3) for axes in (1, 2, 3)},
    **{f"{kind}Pool{axes}d": (3,) for axes in (1, 2, 3) for kind in ("Max", "Average")},
    "DepthwiseConv2d": (3, 3),
    "SeparableConv2d": (3, 6, 3),
    "DepthPool": (3,),
    "ConvNormAct": (3, 6, 3),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_what_is_no_window_is_refused_when_it_is_built(name: str) -> None:
    build, given = getattr(layers, name), WINDOWS[name]
    with pytest.raises(ModelError, match=r"\w: padding is 'samee'. Did you mean 'same'\? It can be 'same', 'valid'"):
        build(*given, padding="samee")
    for padding in (-1, 1.5, None, (1, 1), ((1, -1),) * 3):
        with pytest.raises(ModelError, match=r"\w: padding is "):
            build(*given, padding=padding)
    for stride in (0, -1, 1.5, "2"):
        with pytest.raises(ModelError, match=f"stride is {stride!r}; it is an integer from 1"):
            build(*given, stride=stride, padding="same")
    with pytest.raises(ModelError, match="kernel_size is 0; it is an integer from 1"):
        build(*given[:-1], 0, padding="same")
    if "Pool" in name:
        assert build(*given, padding="ceil").padding == "ceil"
    else:
        with pytest.raises(ModelError, match="padding 'ceil' is for pools"):
            build(*given, padding="ceil")


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


@pytest.mark.parametrize("name", ["Conv1d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"])
def test_every_convolution_starts_and_loads_as_torchs(name: str) -> None:
    torch.manual_seed(5)
    theirs = getattr(nn, name)(4, 8, 3, stride=2, groups=2)
    torch.manual_seed(5)
    ours = getattr(layers, name)(4, 8, 3, stride=2, groups=2)
    for (key, a), (other, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert key == other
        torch.testing.assert_close(a, b)  # the same draws: the same bounds
    x = torch.randn(2, 4, *[7] * int(name[-2]))
    assert torch.equal(ours(x), theirs(x.clone())) or torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_depthwise_and_separable_are_their_operations() -> None:
    x = torch.randn(2, 3, 9, 8)
    alone = layers.DepthwiseConv2d(3, 3, multiplier=2, stride=2, padding="same")
    assert alone.weight.shape == (6, 1, 3, 3)
    assert torch.equal(alone(x), ops.depthwise_conv2d(x, alone.weight, alone.bias, stride=2, padding="same"))
    both = layers.SeparableConv2d(3, 5, 3, multiplier=2, stride=2, padding="same")
    assert list(both.state_dict()) == ["depthwise.weight", "pointwise.weight", "pointwise.bias"]
    weights = both.depthwise.weight, both.pointwise.weight, both.pointwise.bias
    assert torch.equal(both(x), ops.separable_conv2d(x, *weights, stride=2, padding="same"))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("layer", "kind"), [("MaxPool", "max"), ("AveragePool", "average")])
def test_pools_pass_everything_on(layer: str, kind: str, axes: int) -> None:
    x = torch.randn(2, 3, *(7, 8, 9)[:axes])
    pool = getattr(layers, f"{layer}{axes}d")(3, stride=2, padding="same")
    assert torch.equal(pool(x), getattr(ops, f"{kind}_pool{axes}d")(x, 3, stride=2, padding="same"))
    dilated = getattr(layers, f"{layer}{axes}d")(2, stride=1, dilation=2)
    assert torch.equal(dilated(x), getattr(ops, f"{kind}_pool{axes}d")(x, 2, stride=1, dilation=2))


def test_what_pools_print() -> None:
    assert str(layers.MaxPool2d(2)) == "MaxPool2d(kernel_size=2, padding='valid')"
    shown = str(layers.AveragePool1d(3, stride=2, dilation=2, padding="same"))
    assert shown == "AveragePool1d(kernel_size=3, stride=2, dilation=2, padding='same')"
    assert str(layers.DepthPool(3, kind="average")) == "DepthPool(kernel_size=3, kind='average', padding='valid')"


def test_pool_over_depth() -> None:
    x = torch.randn(2, 6, 3, 3)
    assert torch.equal(layers.DepthPool(2)(x), x.unflatten(1, (3, 2)).amax(2))
    torch.testing.assert_close(layers.DepthPool(2, kind="average")(x), x.unflatten(1, (3, 2)).mean(2))
    with pytest.raises(ModelError, match="'max' or 'average'"):
        layers.DepthPool(2, kind="mean")


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("groups", [3, 1])
def test_bilinear_weights_interpolate(factor: int, groups: int) -> None:
    window = 2 * factor - factor % 2
    layer = layers.ConvTranspose2d(3, 3, window, stride=factor, groups=groups, padding="same", bias=False)
    layer.weight.data = bilinear_weights(3, factor, groups=groups)
    x = torch.randn(2, 3, 6, 7)
    y = layer(x)
    wanted = nn.functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    assert y.shape == wanted.shape
    inner = (..., slice(factor, -factor), slice(factor, -factor))  # at the border it fades into the padding
    torch.testing.assert_close(y[inner], wanted[inner])


@pytest.mark.parametrize(("channels", "factor", "groups"), [(3, 0, None), (3, 2, 2), (3, 2, 0)])
def test_bilinear_weights_that_cannot_be(channels: int, factor: int, groups: int | None) -> None:
    with pytest.raises(ModelError, match="bilinear_weights"):
        bilinear_weights(channels, factor, groups=groups)


def test_conv_norm_act_is_its_three_parts() -> None:
    block = layers.ConvNormAct(3, 8, 3, stride=2, padding="same", act=nn.SiLU).eval()
    assert [name for name in block.state_dict() if "running" not in name and "num" not in name] == [
        "conv.weight",
        "bn.weight",
        "bn.bias",
    ]
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(block(x), nn.functional.silu(block.bn(block.conv(x))))
    linear = layers.ConvNormAct(3, 8, 1, padding="valid", norm=lambda channels: nn.GroupNorm(2, channels), act=None)
    assert (linear(x) < 0).any()
    with pytest.raises(TypeError, match="padding"):
        layers.ConvNormAct(3, 8, 3)  # it must be said


def test_squeeze_excite_is_the_papers_gate() -> None:
    block = layers.SqueezeExcite(16, 4)
    x = torch.randn(2, 16, 5, 7)
    dense = [(fc.weight.flatten(1), fc.bias) for fc in (block.fc1, block.fc2)]
    hidden = nn.functional.linear(x.mean((2, 3)), *dense[0]).relu()
    gate = nn.functional.linear(hidden, *dense[1]).sigmoid()
    torch.testing.assert_close(block(x), x * gate[:, :, None, None])
    assert sum(p.numel() for p in block.parameters()) == 16 * 4 + 4 + 4 * 16 + 16
    assert block(x.contiguous(memory_format=torch.channels_last)).is_contiguous(memory_format=torch.channels_last)
