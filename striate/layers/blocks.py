"""The small groups of layers that many papers share."""

from collections.abc import Callable

from torch import Tensor, nn

from striate.layers.convolution import Conv2d
from striate.ops.axes import Paddings, Size
from striate.ops.pooling import global_average_pool


class ConvNormAct(nn.Module):
    """A convolution without bias, a norm and an activation: ``conv``, ``bn`` and ``act``, as torchvision names them.

    ``norm`` is given the channels; ``act`` is made without arguments, or None for a linear end. The padding must be
    said: it is what papers and ports disagree on.

    Example:
        >>> import torch
        >>> ConvNormAct(3, 8, 3, stride=2, padding="same")(torch.zeros(2, 3, 9, 9)).shape
        torch.Size([2, 8, 5, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        *,
        padding: Paddings,
        stride: Size = 1,
        dilation: Size = 1,
        groups: int = 1,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
        act: Callable[[], nn.Module] | None = nn.ReLU,
    ) -> None:
        super().__init__()
        self.conv = Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            dilation=dilation,
            groups=groups,
            padding=padding,
            bias=False,
        )
        self.bn = norm(out_channels)
        self.act = nn.Identity() if act is None else act()

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in, H, W]`` to ``[N, out, H', W']``."""
        return self.act(self.bn(self.conv(x)))


class SqueezeExcite(nn.Module):
    """Each map times a gate in 0..1 that is computed from the means of all maps: ``fc1``, ``act``, ``fc2``, ``gate``.

    Hu, Shen and Sun, "Squeeze-and-excitation networks", 2018, section 3. ``reduced`` is how many channels stand
    between: the paper's ``channels // 16``.

    Example:
        >>> import torch
        >>> SqueezeExcite(64, 4)(torch.zeros(2, 64, 7, 7)).shape
        torch.Size([2, 64, 7, 7])
    """

    def __init__(
        self,
        channels: int,
        reduced: int,
        *,
        act: Callable[[], nn.Module] = nn.ReLU,
        gate: Callable[[], nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.fc1 = Conv2d(channels, reduced, 1)
        self.act = act()
        self.fc2 = Conv2d(reduced, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to the same shape."""
        return x * self.gate(self.fc2(self.act(self.fc1(global_average_pool(x, keep=True)))))
