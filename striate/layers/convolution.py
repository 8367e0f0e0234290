"""Convolution as a module: torch's parameter names, striate's paddings."""

import math

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.ops.convolution import Padding2d, conv2d


class Conv2d(nn.Module):
    """`striate.ops.conv2d` with its own weight ``[out, in / groups, h, w]`` and bias ``[out]``.

    ``padding="same"`` works with any stride and is TensorFlow's. Parameters are named and, until a network says
    otherwise, initialised like those of `torch.nn.Conv2d`, so state dicts are interchangeable.

    Raises:
        ModelError: the channels do not divide into ``groups``.

    Example:
        >>> Conv2d(3, 32, 3, stride=2, padding="same")(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 32, 112, 112])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        padding: Padding2d = "valid",
        bias: bool = True,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ModelError(
                f"Conv2d: {in_channels} channels in and {out_channels} out do not divide into {groups} groups; "
                f"the largest number of groups that does is {math.gcd(in_channels, out_channels)}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.window = (window, window) if isinstance(window, int) else window
        self.stride, self.dilation, self.groups, self.padding = stride, dilation, groups, padding
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.window))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw as `torch.nn.Conv2d` does: uniform within ``1 / sqrt(fan_in)``."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in, H, W]`` to ``[N, out, H', W']``."""
        return conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
            padding=self.padding,
        )

    def extra_repr(self) -> str:
        """What the printed module says in its brackets: everything that is not the default."""
        said = [f"{self.in_channels}, {self.out_channels}, window={self.window}"]
        numbers = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups}
        said += [f"{name}={value}" for name, value in numbers.items() if value != 1]
        said += [f"padding={self.padding!r}"] + ([] if self.bias is not None else ["bias=False"])
        return ", ".join(said)
