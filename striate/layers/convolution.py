"""Convolutions as modules: torch's parameter names, striate's paddings."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.layers.windows import check_window
from striate.ops import convolution, transposed
from striate.ops.axes import Paddings, Size, each_axis


class _Windowed(nn.Module):
    """What all convolutions of this file have: a weight, perhaps a bias, and the window's arguments."""

    axes: ClassVar[int]
    transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Paddings = "valid",
        *,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_window(name, self.axes, kernel_size, stride, dilation, padding)
        if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
            raise ModelError(
                f"{name}: {in_channels} channels in and {out_channels} out do not divide into {groups} groups; "
                f"the largest number of groups that does is {math.gcd(in_channels, out_channels)}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = each_axis(name, "kernel_size", kernel_size, self.axes)
        self.stride, self.dilation, self.groups, self.padding = stride, dilation, groups, padding
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = nn.Parameter(torch.empty(first, second // groups, *self.kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw as torch's module does: uniform within ``1 / sqrt(weights of one of the first dimension)``."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """What the printed module says in its brackets: everything that is not the default."""
        said = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        numbers = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups}
        said += [f"{name}={value}" for name, value in numbers.items() if value != 1]
        said += [f"padding={self.padding!r}"] + ([] if self.bias is not None else ["bias=False"])
        return ", ".join(said)


class _Convolution(_Windowed):
    def forward(self, x: Tensor) -> Tensor:
        """``[N, in, ...]`` to ``[N, out, ...]``."""
        function = (convolution.conv1d, convolution.conv2d, convolution.conv3d)[self.axes - 1]
        return function(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
            padding=self.padding,
        )


class Conv1d(_Convolution):
    """`striate.ops.conv1d` with its own weight ``[out, in / groups, w]`` and bias ``[out]``; see `Conv2d`."""

    axes = 1


class Conv2d(_Convolution):
    """`striate.ops.conv2d` with its own weight ``[out, in / groups, h, w]`` and bias ``[out]``.

    ``padding="same"`` works with any stride and is TensorFlow's. Parameters are named and, until a network says
    otherwise, initialised like those of `torch.nn.Conv2d`, so state dicts are interchangeable.

    Raises:
        ModelError: the channels do not divide into ``groups``, a number is below 1, or there is no such padding.

    Example:
        >>> import torch
        >>> Conv2d(3, 32, 3, stride=2, padding="same")(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 32, 112, 112])
    """

    axes = 2


class Conv3d(_Convolution):
    """`striate.ops.conv3d` with its own weight ``[out, in / groups, d, h, w]`` and bias ``[out]``; see `Conv2d`."""

    axes = 3


class DepthwiseConv2d(Conv2d):
    """`striate.ops.depthwise_conv2d`: every map alone, with a weight ``[C * multiplier, 1, h, w]``.

    Example:
        >>> import torch
        >>> DepthwiseConv2d(8, 3, multiplier=2, stride=2, padding="same")(torch.zeros(1, 8, 9, 9)).shape
        torch.Size([1, 16, 5, 5])
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Size,
        *,
        multiplier: int = 1,
        stride: Size = 1,
        dilation: Size = 1,
        padding: Paddings = "valid",
        bias: bool = True,
    ) -> None:
        super().__init__(
            channels,
            channels * multiplier,
            kernel_size,
            stride=stride,
            dilation=dilation,
            groups=channels,
            padding=padding,
            bias=bias,
        )


class SeparableConv2d(nn.Module):
    """`striate.ops.separable_conv2d` as two modules: ``depthwise`` without bias, then ``pointwise``, 1x1.

    Their weights are ``[in * multiplier, 1, h, w]`` and ``[out, in * multiplier, 1, 1]``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        *,
        multiplier: int = 1,
        stride: Size = 1,
        dilation: Size = 1,
        padding: Paddings = "valid",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(
            in_channels,
            kernel_size,
            multiplier=multiplier,
            stride=stride,
            dilation=dilation,
            padding=padding,
            bias=False,
        )
        self.pointwise = Conv2d(in_channels * multiplier, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in, H, W]`` to ``[N, out, H', W']``."""
        return self.pointwise(self.depthwise(x))


class _Transposed(_Windowed):
    transposed = True

    def forward(self, x: Tensor, output_size: Size | None = None) -> Tensor:
        """``[N, in, ...]`` to ``[N, out, ...]``, of the legal ``output_size`` that is asked."""
        function = (transposed.conv_transpose1d, transposed.conv_transpose2d, transposed.conv_transpose3d)[
            self.axes - 1
        ]
        return function(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
            padding=self.padding,
            output_size=output_size,
        )


class ConvTranspose1d(_Transposed):
    """`striate.ops.conv_transpose1d` with its own weight ``[in, out / groups, w]``; see `ConvTranspose2d`."""

    axes = 1


class ConvTranspose2d(_Transposed):
    """`striate.ops.conv_transpose2d` with its own weight ``[in, out / groups, h, w]`` and bias ``[out]``.

    State dicts are interchangeable with `torch.nn.ConvTranspose2d`'s. `striate.layers.bilinear_weights` makes it start
    as interpolation.

    Example:
        >>> import torch
        >>> ConvTranspose2d(8, 4, 4, stride=2, padding="same")(torch.zeros(1, 8, 7, 7)).shape
        torch.Size([1, 4, 14, 14])
    """

    axes = 2


class ConvTranspose3d(_Transposed):
    """`striate.ops.conv_transpose3d` with its own weight ``[in, out / groups, d, h, w]``; see `ConvTranspose2d`."""

    axes = 3
