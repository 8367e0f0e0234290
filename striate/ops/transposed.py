"""Transposed convolutions: the inverse of a window, with the same paddings."""

from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.ops.axes import Paddings, Size, cut, each_axis, each_padding, kept
from striate.ops.shapes import Padding, padding_amounts, reach, same_padding, transposed_size, transposed_sizes

_TORCH = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def conv_transpose1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    groups: int = 1,
    padding: Paddings = "valid",
    output_size: Size | None = None,
) -> Tensor:
    """Spread ``x`` ``[N, C, W]`` by ``weight`` ``[C, out / groups, w]``; see `conv_transpose2d`."""
    return _transposed(1, x, weight, bias, stride, dilation, groups, padding, output_size)


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    groups: int = 1,
    padding: Paddings = "valid",
    output_size: Size | None = None,
) -> Tensor:
    """Spread each place of ``x`` ``[N, C, H, W]`` by ``weight`` ``[C, out / groups, h, w]``, ``stride`` apart.

    It is the gradient of `conv2d` with the same arguments, so the output is a size from which that convolution would
    make ``x``: ``size * stride`` for ``"same"`` as in TensorFlow, the smallest one else as in PyTorch, or the legal
    one that ``output_size`` asks for.

    Raises:
        ModelError: the shapes, the groups or the padding do not fit, or ``output_size`` is not a legal one.

    Example:
        >>> import torch
        >>> x, window = torch.tensor([[[[1.0, 2], [3, 4]]]]), torch.arange(1.0, 10).reshape(1, 1, 3, 3)
        >>> conv_transpose2d(x, window, stride=2, padding="same")[0, 0].tolist()
        [[1.0, 2.0, 5.0, 4.0], [4.0, 5.0, 14.0, 10.0], [10.0, 14.0, 36.0, 24.0], [12.0, 15.0, 34.0, 20.0]]
    """
    return _transposed(2, x, weight, bias, stride, dilation, groups, padding, output_size)


def conv_transpose3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    groups: int = 1,
    padding: Paddings = "valid",
    output_size: Size | None = None,
) -> Tensor:
    """Spread ``x`` ``[N, C, D, H, W]`` by ``weight`` ``[C, out / groups, d, h, w]``; see `conv_transpose2d`."""
    return _transposed(3, x, weight, bias, stride, dilation, groups, padding, output_size)


def _transposed(
    axes: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    dilation: Size,
    groups: int,
    padding: Paddings,
    output_size: Size | None,
) -> Tensor:
    op = f"conv_transpose{axes}d"
    _check(op, axes, x, weight, groups)
    strides, dilations = each_axis(op, "stride", stride, axes), each_axis(op, "dilation", dilation, axes)
    paddings = each_padding(op, padding, axes)
    asked = (None,) * axes if output_size is None else each_axis(op, "output_size", output_size, axes)
    leads, extras, skips, crops = [], [], [], []
    for place, axis in enumerate(zip(x.shape[2:], weight.shape[2:], strides, dilations, paddings, strict=True)):
        try:
            before, after = _amounts(*axis, asked[place])
        except ModelError as error:
            raise ModelError(f"{op} on x {list(x.shape)}, axis {place + 2}: {error}") from None
        # torch takes the same amount from both sides and can give some back at the end, fewer than the wider step.
        leads.append(min(before, after + max(strides[place], dilations[place]) - 1))
        extras.append(max(leads[-1] - after, 0))
        skips.append(before - leads[-1])
        crops.append(max(after - leads[-1], 0))
    y = kept(_TORCH[axes - 1](x, weight, bias, strides, leads, extras, groups, dilations), like=x)
    if not any(skips) and not any(crops):
        return y
    sizes = [size - skip - crop for size, skip, crop in zip(y.shape[2:], skips, crops, strict=True)]
    return cut(y, skips, sizes)


def _amounts(
    size: int, window: int, stride: int, dilation: int, padding: Padding, asked: int | None
) -> tuple[int, int]:
    """How much the output lacks, before and after, of everything that the window touches; negative: it has more."""
    if asked is None:
        transposed_size(size, window, stride, dilation, padding)  # raises when nothing would be left
        if padding == "same":  # size * stride, which SAME pads as it pads one stride
            before, _ = same_padding(stride, window, stride, dilation)
            return before, reach(window, dilation) - stride - before
        return padding_amounts(size, window, stride, dilation, padding)
    legal = transposed_sizes(size, window, stride, dilation, padding)
    if asked not in legal:
        nearest = "none is legal" if not legal else f"the nearest legal size is {min(max(asked, legal[0]), legal[-1])}"
        raise ModelError(
            f"output_size {asked} is asked, but a window of {window} (stride {stride}, dilation {dilation}, padding "
            f"{padding!r}) makes {size} only of {legal[0] if legal else 0} to {legal[-1] if legal else 0}; {nearest}"
        )
    before, _ = padding_amounts(asked, window, stride, dilation, padding)
    return before, (size - 1) * stride + reach(window, dilation) - before - asked


def _check(op: str, axes: int, x: Tensor, weight: Tensor, groups: int) -> None:
    if x.dim() != axes + 2 or weight.dim() != axes + 2:
        names = ("D", "H", "W")[3 - axes :]
        raise ModelError(
            f"{op}: takes x [N, C, {', '.join(names)}] and weight [C, out / groups, {', '.join(names).lower()}]; "
            f"got {list(x.shape)} and {list(weight.shape)}"
        )
    if groups < 1 or weight.shape[0] % groups or x.shape[1] != weight.shape[0]:
        raise ModelError(
            f"{op}: weight {list(weight.shape)} takes {weight.shape[0]} channels, which {groups} group(s) must divide; "
            f"x has {x.shape[1]} channels ({list(x.shape)})"
        )
