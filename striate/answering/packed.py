"""Convolutions for evaluation: norm, residual and activation in the same call, weights as the processor wants them.

Two things cost time when a network only answers. Norms and activations read and write the maps again, though with its
running statistics a norm is a factor and a bias that the convolution before it can have. And torch brings the weights
of a convolution into the order of its library, oneDNN, in every call, which for one picture costs as much as the
convolution itself. torch has an operation that does neither; its own compiler emits it.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from striate.layers.convolution import Conv2d
from striate.layers.normalization import BatchNormAct2d
from striate.ops.axes import each_axis, each_padding, padded, sides
from striate.ops.batch_normalization import BOUNDS, Activation
from striate.ops.convolution import conv2d

# What the library calls our activations, the numbers it wants for them, and whether it has them behind an addition.
_NAMES: dict[Activation, tuple[str, list[float], bool]] = {
    "none": ("none", [], True),
    "relu": ("relu", [], True),
    "relu6": ("hardtanh", list(BOUNDS["relu6"]), False),
}


class _Packed(NamedTuple):
    """The operation's arguments, in its order; the padding is that of both sides."""

    weight: Tensor
    bias: Tensor | None
    padding: list[int]
    stride: list[int]
    dilation: list[int]
    groups: int


@torch.no_grad()
def folded_weights(conv: Conv2d, norm: BatchNormAct2d | None) -> tuple[Tensor, Tensor | None]:
    """The weight ``[out, in / groups, h, w]`` and the bias ``[out]`` of a convolution with the norm behind it in them.

    The norm is taken as it evaluates, by its running statistics; computed in float64, given in float32.

    Example:
        >>> conv, norm = Conv2d(1, 1, 1, bias=False), BatchNormAct2d(1, eps=0.0)
        >>> _ = norm.running_mean.fill_(2.0), norm.running_var.fill_(4.0), conv.weight.data.fill_(6.0)
        >>> [tensor.item() for tensor in folded_weights(conv, norm)]
        [3.0, -1.0]
    """
    if norm is None:
        return conv.weight.detach(), None if conv.bias is None else conv.bias.detach()
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.double() - norm.running_mean.double() * factor
    if conv.bias is not None:
        bias += conv.bias.double() * factor
    return (conv.weight.double() * factor[:, None, None, None]).float(), bias.float()


def packed_conv2d(
    conv: Conv2d,
    norm: BatchNormAct2d | None = None,
    *,
    act: Activation = "none",
    residual: bool = False,
    shape: Sequence[int],
) -> Callable[..., Tensor]:
    """A function that computes ``act(norm(conv(x)))``, or of two tensors ``act(norm(conv(x)) + residual)``.

    It is for ``x`` of ``shape``, but of any number of pictures: float32 on a CPU, which nobody differentiates; and it
    has the numbers that the modules have now. It equals the modules one by one, with the norm in evaluation mode, up to
    the rounding of float32.

    Args:
        conv: the convolution, of float32.
        norm: the norm behind it, or None. Its own activation is not taken, ``act`` is.
        act: the activation behind all else.
        residual: whether a second tensor is added.
        shape: of the maps ``[N, in, H, W]``.

    Raises:
        ModelError: the window does not fit the maps.

    Example:
        >>> conv, norm = Conv2d(3, 8, 3, stride=2, padding="same", bias=False), BatchNormAct2d(8).eval()
        >>> x = torch.ones(1, 3, 8, 8)
        >>> torch.allclose(packed_conv2d(conv, norm, act="relu", shape=x.shape)(x), norm(conv(x)).relu(), atol=1e-5)
        True
    """
    weight, bias = folded_weights(conv, norm)
    if not fused_convolution_works():
        return _by_public_operations(conv, weight, bias, act)
    stride, dilation = each_axis("conv2d", "stride", conv.stride, 2), each_axis("conv2d", "dilation", conv.dilation, 2)
    paddings = each_padding("conv2d", conv.padding, 2)
    axes = list(zip(shape[2:], weight.shape[2:], stride, dilation, paddings, strict=True))
    amounts = sides("conv2d", torch.empty(tuple(shape), device="meta"), axes)
    window = (list(stride), list(dilation), conv.groups)
    most = [max(pair) for pair in amounts]
    if all(before == after for before, after in amounts):
        return _fused(_pack(weight, bias, most, window, shape), act, residual)
    if conv.groups > 1 and weight.shape[1] == 1 and dilation == (1, 1):
        # The operation pads both sides alike; where that is too much the window gets zeros. Depthwise windows take the
        # time in which the maps are read, so that this costs less than a copy of the maps.
        zeros = [(side - before, side - after) for side, (before, after) in zip(most, amounts, strict=True)]
        return _fused(_pack(padded(weight, axes, zeros), bias, most, window, shape), act, residual)
    larger = [side + before + after for side, (before, after) in zip(shape[2:], amounts, strict=True)]
    run = _fused(_pack(weight, bias, [0, 0], window, (*shape[:2], *larger)), act, residual)
    return lambda x, *added: run(padded(x, axes, amounts), *added)


@cache
def fused_convolution_works() -> bool:
    """Whether this torch has the operation, and it computes what it should: its name is none of torch's public ones."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias, added = (
        torch.randn(shape, generator=generator) for shape in ((2, 8, 5, 4), (16, 4, 3, 3), (16,), (2, 16, 5, 4))
    )
    y = conv2d(x, weight, bias, groups=2, padding=1)
    try:
        packed = _pack(weight, bias, [1, 1], ([1, 1], [1, 1], 2), x.shape)
        return all(
            torch.allclose(_fused(packed, act, residual=False)(x), y.clamp(*BOUNDS[act]), atol=1e-4)
            and torch.allclose(_fused(packed, act, residual=True)(x, added), (y + added).clamp(*BOUNDS[act]), atol=1e-4)
            for act in BOUNDS
        )
    except (AttributeError, RuntimeError, TypeError):
        return False


def _pack(
    weight: Tensor,
    bias: Tensor | None,
    padding: list[int],
    window: tuple[list[int], list[int], int],
    shape: Sequence[int],
) -> _Packed:
    """The arguments, with the weight in the order that the library wants for maps of this shape."""
    packed = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg] # torch's stub forgets the shape
        weight.to_mkldnn(), padding, *window, list(shape)
    )
    return _Packed(packed, bias, padding, *window)


def _fused(packed: _Packed, act: Activation, residual: bool) -> Callable[..., Tensor]:
    # Called for every layer: of one small picture the time that Python takes is seen. So nothing is decided in there.
    name, numbers, behind_addition = _NAMES[act]
    if not residual:
        one, rest = torch.ops.mkldnn._convolution_pointwise.default, (*packed, name, numbers, "")
        return lambda x: one(x, *rest)
    fused = None if act == "none" or not behind_addition else name
    two, none = torch.ops.mkldnn._convolution_pointwise.binary, list[float]()
    ends = (*packed, "add", 1.0, fused, none, None)
    if behind_addition:
        return lambda x, added: two(x, added, *ends)
    return lambda x, added: two(x, added, *ends).clamp_(*BOUNDS[act])


def _by_public_operations(conv: Conv2d, weight: Tensor, bias: Tensor | None, act: Activation) -> Callable[..., Tensor]:
    weight = weight.contiguous(memory_format=torch.channels_last)

    def run(x: Tensor, added: Tensor | None = None) -> Tensor:
        y = conv2d(
            x, weight, bias, stride=conv.stride, dilation=conv.dilation, groups=conv.groups, padding=conv.padding
        )
        if added is not None:
            y = y.add_(added)
        return y if act == "none" else y.clamp_(*BOUNDS[act])

    return run
