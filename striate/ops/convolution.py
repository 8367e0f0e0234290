"""Convolutions whose padding means what `striate.ops.shapes` says, for any stride, dilation and dimension.

One implementation serves 1, 2 and 3 dimensions; ``conv2d`` documents the arguments of all.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.ops import depthwise
from striate.ops.axes import (
    Axis,
    Paddings,
    Size,
    cut,
    dimensions,
    each_axis,
    each_padding,
    kept,
    known,
    padded,
    sides,
    surely,
)
from striate.ops.native import depthwise as native
from striate.ops.native import products
from striate.ops.native.tensors import will_be_differentiated
from striate.ops.recomputation import keeping_promises
from striate.ops.shapes import output_size

# How many times the outputs may be computed for throwing some away, where a convolution costs more than a copy.
# In inference this is worth a quarter of EfficientNet-Lite0's time in bfloat16; in training padding is the faster,
# because the gradient of a crop is a copy, too.
_EXTRA_OUTPUTS = 1.10

_TORCH = (F.conv1d, F.conv2d, F.conv3d)


def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    groups: int = 1,
    padding: Paddings = "valid",
) -> Tensor:
    """Convolve ``x`` ``[N, C, W]`` with ``weight`` ``[out, C / groups, w]``; see `conv2d`."""
    return _convolution("conv1d", 1, x, weight, bias, stride, dilation, groups, padding)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    groups: int = 1,
    padding: Paddings = "valid",
) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[out, C / groups, h, w]`` and add ``bias`` ``[out]``.

    ``padding`` is ``"same"`` (TensorFlow's, with any stride and dilation), ``"valid"``, ``"symmetric"``, an integer
    for all four sides, or the pairs ``((top, bottom), (left, right))``. ``stride`` and ``dilation`` are for both axes
    or ``(vertical, horizontal)``. Equal amounts on both sides are one call of torch's own; unequal ones copy as little
    as possible. Under bfloat16 on a CPU, see `striate.ops.depthwise`.

    Raises:
        ModelError: the shapes, the groups, the padding or the window do not fit each other.

    Example:
        >>> import torch
        >>> x = torch.arange(1.0, 14).reshape(1, 1, 1, 13)
        >>> window = torch.tensor([2.0, 3, 5, 7, 11, 13]).reshape(1, 1, 1, 6)
        >>> conv2d(x, window, stride=(1, 5), padding="same").flatten().tolist()
        [143.0, 348.0, 204.0]
    """
    return _convolution("conv2d", 2, x, weight, bias, stride, dilation, groups, padding)


def conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    groups: int = 1,
    padding: Paddings = "valid",
) -> Tensor:
    """Convolve ``x`` ``[N, C, D, H, W]`` with ``weight`` ``[out, C / groups, d, h, w]``; see `conv2d`."""
    return _convolution("conv3d", 3, x, weight, bias, stride, dilation, groups, padding)


def depthwise_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Paddings = "valid",
) -> Tensor:
    """Convolve each map of ``x`` ``[N, C, H, W]`` alone, with ``weight`` ``[C * multiplier, 1, h, w]``.

    Map ``c`` gives the ``multiplier`` outputs from ``c * multiplier`` on, as in TensorFlow. The other arguments are
    those of `conv2d`.

    Raises:
        ModelError: as `conv2d`.

    Example:
        >>> import torch
        >>> depthwise_conv2d(torch.ones(1, 2, 3, 3), torch.ones(4, 1, 3, 3), padding="same").shape
        torch.Size([1, 4, 3, 3])
    """
    dimensions("depthwise_conv2d", x, 2)
    return _convolution("depthwise_conv2d", 2, x, weight, bias, stride, dilation, x.shape[1], padding)


def separable_conv2d(
    x: Tensor,
    depthwise_weight: Tensor,
    pointwise_weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Paddings = "valid",
) -> Tensor:
    """A depthwise window, ``[C * multiplier, 1, h, w]``, then a mixing of its maps, ``[out, C * multiplier, 1, 1]``.

    Stride, dilation and padding are the window's; ``bias`` ``[out]`` comes last. Nothing stands between the two, as in
    TensorFlow's and Keras' layer (Chollet, "Xception", 2017, section 2, without the non-linearity).

    Raises:
        ModelError: as `conv2d`.
    """
    y = depthwise_conv2d(x, depthwise_weight, stride=stride, dilation=dilation, padding=padding)
    if pointwise_weight.shape[2:] != (1, 1):
        raise ModelError(
            f"separable_conv2d: pointwise_weight is [out, {y.shape[1]}, 1, 1]; got {list(pointwise_weight.shape)}"
        )
    return _convolution("separable_conv2d", 2, y, pointwise_weight, bias, 1, 1, 1, "valid")


def _convolution(
    op: str,
    axes: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    dilation: Size,
    groups: int,
    padding: Paddings,
) -> Tensor:
    _check(op, axes, x, weight, groups)
    strides, dilations = each_axis(op, "stride", stride, axes), each_axis(op, "dilation", dilation, axes)
    paddings = each_padding(op, padding, axes)
    every = list(zip(x.shape[2:], weight.shape[2:], strides, dilations, paddings, strict=True))
    amounts = sides(op, x, every)
    if axes == 2 and (dtype := depthwise.kernel_type(x, weight, strides, dilations, groups)):
        before = (amounts[0][0], amounts[1][0])
        walk = native.Walk(strides[0], dilations[0], before, (output_size(*every[0]), output_size(*every[1])))
        return native.convolve(x, weight, bias, walk, dtype)
    if all(surely(before == after) for before, after in amounts) and not _misread(x, weight, strides, amounts):
        leads = tuple(before for before, _ in amounts)
        if axes == 2 and _multiplied_by_kernels(x, weight, strides, leads, dilations, groups):
            return products.convolve(x, weight, bias, strides[0], (leads[0], leads[1]))
        return _convolve(x, weight, bias, strides, leads, dilations, groups)
    if known(x) and not will_be_differentiated(x, weight):
        # Whole strides more of padding before shift every window by whole outputs: torch can then pad both sides
        # alike, and the first outputs are thrown away. That copies the output, never the (larger) input.
        skips = [max(0, -((before - after) // step)) for (before, after), step in zip(amounts, strides, strict=True)]
        leads = tuple(low + skip * step for (low, _), skip, step in zip(amounts, skips, strides, strict=True))
        outputs = [output_size(*axis) for axis in every]
        if _cheap(every, leads, outputs, alone=weight.shape[1] == 1 and groups > 1):
            return cut(_convolve(x, weight, bias, strides, leads, dilations, groups), skips, outputs)
    return _convolve(padded(x, every, amounts), weight, bias, strides, (0,) * axes, dilations, groups)


def _multiplied_by_kernels(
    x: Tensor,
    weight: Tensor,
    strides: tuple[int, ...],
    padding: tuple[int, ...],
    dilations: tuple[int, ...],
    groups: int,
) -> bool:
    """Whether our kernels should compute this convolution or its weight's gradient: in bfloat16, frozen or not."""
    return (
        not torch.compiler.is_compiling()
        and known(x)
        and depthwise.computed_in_bfloat16(x, weight)
        and products.suits(x, weight, strides, padding, dilations, groups)
    )


def _misread(x: Tensor, weight: Tensor, strides: tuple[int, ...], amounts: Sequence[tuple[int, int]]) -> bool:
    """Whether torch must not pad: its bfloat16 gradient of the weight reads memory that nobody wrote.

    torch 2.13 on a CPU (AVX512-BF16) does so wherever the last axis is shorter than its stride and padded; the loss
    then becomes infinite once in a while. A copy with the padding in it is right, and such pictures are small.
    """
    return (
        known(x)
        and x.shape[-1] < strides[-1]
        and any(before + after for before, after in amounts)
        and will_be_differentiated(x, weight)
    )


def _cheap(every: Sequence[Axis], leads: Sequence[int], outputs: Sequence[int], *, alone: bool) -> bool:
    """Whether computing some outputs in vain costs less than copying the input; ``alone``: every map by itself."""
    computed = wanted = 1
    for (size, window, stride, dilation, _), lead, count in zip(every, leads, outputs, strict=True):
        computed *= output_size(size, window, stride, dilation, lead)
        wanted *= count
    return alone or computed <= _EXTRA_OUTPUTS * wanted


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    if depthwise.wants_float32_backward(x, weight, stride=stride, dilation=dilation, groups=groups):
        with keeping_promises(x):
            return depthwise.conv2d_float32_backward(
                x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
            )
    with keeping_promises(x):
        y: Tensor = _TORCH[len(stride) - 1](x, weight, bias, stride, padding, dilation, groups)
    return kept(y, like=x)


def _check(op: str, axes: int, x: Tensor, weight: Tensor, groups: int) -> None:
    if x.dim() != axes + 2 or weight.dim() != axes + 2:
        names = ("D", "H", "W")[3 - axes :]
        raise ModelError(
            f"{op}: takes x [N, C, {', '.join(names)}] and weight [out, C / groups, {', '.join(names).lower()}]; "
            f"got {list(x.shape)} and {list(weight.shape)}"
        )
    wanted = weight.shape[1] * groups
    if groups < 1 or x.shape[1] != wanted or weight.shape[0] % groups:
        raise ModelError(
            f"{op}: weight {list(weight.shape)} in {groups} group(s) takes {wanted} channels and gives outputs in "
            f"multiples of {groups}; x has {x.shape[1]} channels ({list(x.shape)})"
        )
