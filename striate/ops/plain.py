"""Torch's own modules for a window of ours: what a user of torch alone would write, for benchmarks to compare with.

No kernel of ours is in them. ``sides`` are the places added before and after each axis, as
`striate.ops.padding_amounts` gives them for a known size.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from striate.ops.depthwise import conv2d_float32_backward, slow_in_bfloat16
from striate.ops.normalization import ResponseNorm

Sides = Sequence[tuple[int, int]]
"""Places before and after, height first."""


def plain_convolution(
    weight: nn.Parameter,
    bias: nn.Parameter | None,
    *,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    sides: Sides,
    float32_depthwise: bool = False,
) -> nn.Module:
    """`torch.nn.Conv2d` with these parameters, behind a `torch.nn.ZeroPad2d` where the sides are not symmetric.

    Takes ``[N, in, H, W]`` to ``[N, out, H', W']``; ``weight`` is ``[out, in / groups, h, w]``. With
    ``float32_depthwise`` a depthwise window for which torch has no fast bfloat16 backward is computed in bfloat16 and
    its gradients in float32: what a knowing user can do by hand.
    """
    pad, padding = _split(sides)
    out_channels, in_channels, height, width = weight.shape
    convolution = nn.Conv2d(
        in_channels * groups,
        out_channels,
        (height, width),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
    )
    convolution.weight, convolution.bias = weight, bias
    window: nn.Module = convolution
    depthwise = groups > 1 == in_channels
    if float32_depthwise and depthwise and slow_in_bfloat16((height, width), stride, dilation):
        window = Float32Backward(convolution, padding)
    return window if pad is None else nn.Sequential(nn.ZeroPad2d(pad), window)


class Float32Backward(nn.Module):
    """A convolution in bfloat16 whose gradients are computed in float32."""

    def __init__(self, convolution: nn.Conv2d, padding: tuple[int, int]) -> None:
        super().__init__()
        self.convolution, self.padding = convolution, padding

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in, H, W]`` to ``[N, out, H', W']``."""
        given = self.convolution
        return conv2d_float32_backward(
            x,
            given.weight,
            given.bias,
            stride=given.stride,
            padding=self.padding,
            dilation=given.dilation,
            groups=given.groups,
        )


def plain_max_pool(
    window: tuple[int, int], *, stride: tuple[int, int], dilation: tuple[int, int], sides: Sides
) -> nn.Module:
    """`torch.nn.MaxPool2d`, behind a constant padding that no pixel is below where the sides are not symmetric."""
    pad, padding = _split(sides)
    pool = nn.MaxPool2d(window, stride=stride, padding=padding, dilation=dilation)
    return pool if pad is None else nn.Sequential(nn.ConstantPad2d(pad, float("-inf")), pool)


def plain_response_norm(norm: ResponseNorm) -> nn.Module:
    """`torch.nn.LocalResponseNorm`, whose alpha is divided by the number of channels in the window."""
    return nn.LocalResponseNorm(norm.size, alpha=norm.alpha_of_sum * norm.size, beta=norm.beta, k=norm.k)


def plain_global_average_pool() -> nn.Module:
    """``[N, C, H, W]`` to ``[N, C]``, as torchvision's networks end."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))


def _split(sides: Sides) -> tuple[tuple[int, int, int, int] | None, tuple[int, int]]:
    """Amounts for a padding module (left, right, top, bottom) or None, and what the window itself pads."""
    (top, bottom), (left, right) = sides
    if (top, left) == (bottom, right):
        return None, (top, left)
    return (left, right, top, bottom), (0, 0)
