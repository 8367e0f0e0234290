"""Convolutions whose padding means what `striate.ops.shapes` says, for any stride and dilation."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.ops.depthwise import depthwise_conv2d, wants_float32_backward, will_be_differentiated
from striate.ops.shapes import Padding, output_size, padding_amounts

Padding2d = Literal["same", "valid", "symmetric"] | int | tuple[tuple[int, int], tuple[int, int]]

# How many times the outputs may be computed for throwing some away, where a convolution costs more than a copy.
# In inference this is worth a quarter of EfficientNet-Lite0's time in bfloat16; in training padding is the faster,
# because the gradient of a crop is a copy, too.
_EXTRA_OUTPUTS = 1.10


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    padding: Padding2d = "valid",
) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[out, C / groups, h, w]`` and add ``bias`` ``[out]``.

    ``padding`` is ``"same"`` (TensorFlow's, with any stride), ``"valid"``, ``"symmetric"``, an integer for all four
    sides, or the pairs ``((top, bottom), (left, right))``. ``stride`` and ``dilation`` are for both axes or
    ``(vertical, horizontal)``. Equal amounts on both sides are one call of torch's own; unequal ones copy as little
    as possible. Under bfloat16 on a CPU, see `striate.ops.depthwise`.

    Raises:
        ModelError: the shapes, the groups, the padding or the window do not fit each other.

    Example:
        >>> x = torch.arange(1.0, 14).reshape(1, 1, 1, 13)
        >>> window = torch.tensor([2.0, 3, 5, 7, 11, 13]).reshape(1, 1, 1, 6)
        >>> conv2d(x, window, stride=(1, 5), padding="same").flatten().tolist()
        [143.0, 348.0, 204.0]
    """
    _check(x, weight, groups)
    strides, dilations = _pair(stride), _pair(dilation)
    paddings = _paddings(padding)
    sizes, windows = x.shape[2:], weight.shape[2:]
    axes = tuple(zip(sizes, windows, strides, dilations, paddings, strict=True))
    outputs = [output_size(*axis) for axis in axes]  # raises when the window does not fit
    sides = [padding_amounts(*axis) for axis in axes]
    (top, bottom), (left, right) = sides
    if top == bottom and left == right:
        return _convolve(x, weight, bias, strides, (top, left), dilations, groups)
    # Whole strides more of padding before shift every window by whole outputs: torch can then pad both sides alike,
    # and the first outputs are thrown away. That copies the output, never the (larger) input.
    skips = [max(0, -((before - after) // step)) for (before, after), step in zip(sides, strides, strict=True)]
    amounts = (top + skips[0] * strides[0], left + skips[1] * strides[1])
    full = [output_size(*axis[:4], amount) for axis, amount in zip(axes, amounts, strict=True)]
    depthwise = weight.shape[1] == 1 and groups > 1
    cheap = depthwise or full[0] * full[1] <= _EXTRA_OUTPUTS * outputs[0] * outputs[1]
    if cheap and not will_be_differentiated(x, weight):
        return _crop(_convolve(x, weight, bias, strides, amounts, dilations, groups), skips, outputs)
    return _convolve(F.pad(x, (left, right, top, bottom)), weight, bias, strides, (0, 0), dilations, groups)


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    if wants_float32_backward(x, weight, stride=stride, dilation=dilation, groups=groups):
        return depthwise_conv2d(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


def _crop(y: Tensor, skips: list[int], outputs: list[int]) -> Tensor:
    channels_last = y.is_contiguous(memory_format=torch.channels_last)
    top, left = skips
    y = y[:, :, top : top + outputs[0], left : left + outputs[1]]
    return y.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _paddings(padding: Padding2d) -> tuple[Padding, Padding]:
    if not isinstance(padding, tuple):
        return padding, padding
    if [type(pair) for pair in padding] != [tuple, tuple]:  # (1, 1) would be read in two ways
        raise ModelError(
            f"conv2d: padding is {padding!r}; amounts are one integer for all four sides, "
            "or the pairs ((top, bottom), (left, right))"
        )
    return padding


def _check(x: Tensor, weight: Tensor, groups: int) -> None:
    if x.dim() != 4 or weight.dim() != 4:
        raise ModelError(
            f"conv2d: takes x [N, C, H, W] and weight [out, C / groups, h, w]; "
            f"got {list(x.shape)} and {list(weight.shape)}"
        )
    wanted = weight.shape[1] * groups
    if x.shape[1] != wanted or weight.shape[0] % groups:
        raise ModelError(
            f"conv2d: weight {list(weight.shape)} in {groups} group(s) takes {wanted} channels and gives outputs in "
            f"multiples of {groups}; x has {x.shape[1]} channels ({list(x.shape)})"
        )
