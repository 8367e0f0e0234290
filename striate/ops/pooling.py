"""Pools whose padding means what `striate.ops.shapes` says.

The padding is never seen: it cannot be the largest, and means are taken over the real pixels alone, whatever the
padding is called. One implementation serves 1, 2 and 3 dimensions and the channels; ``max_pool2d`` documents the
arguments of all. Windows step by their own size and take no padding unless told.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import ModelError
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
    memory_format,
    padded,
    sides,
    surely,
)
from striate.ops.native import kernels
from striate.ops.native import pooling as native
from striate.ops.native.tensors import will_be_differentiated
from striate.ops.recomputation import keeping_promises
from striate.ops.shapes import output_size, reach

Kind = Literal["max", "average"]

_MAX = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
_AVERAGE = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
_CONVOLUTION = (F.conv1d, F.conv2d, F.conv3d)


def max_pool1d(
    x: Tensor, window: Size, *, stride: Size | None = None, dilation: Size = 1, padding: Paddings = "valid"
) -> Tensor:
    """The largest of each window of ``[N, C, W]``; see `max_pool2d`."""
    return _pool("max_pool1d", 1, "max", x, window, stride, dilation, padding)


def max_pool2d(
    x: Tensor, window: Size, *, stride: Size | None = None, dilation: Size = 1, padding: Paddings = "valid"
) -> Tensor:
    """The largest of each window of ``[N, C, H, W]``.

    ``stride`` is the window's size if None. ``padding`` is ``"same"`` (TensorFlow's), ``"valid"``, ``"symmetric"``,
    ``"ceil"`` (Caffe's: pixels left over at the end get a window of their own), an integer for all four sides, or the
    pairs ``((top, bottom), (left, right))``; it must be less than the window spans, so that each window sees a pixel.

    Raises:
        ModelError: the shape, the padding or the window do not fit each other.

    Example:
        >>> import torch
        >>> max_pool2d(torch.tensor([[[[-4.0, -3], [-2, -1]]]]), 2, stride=1, padding="same")[0, 0].tolist()
        [[-1.0, -1.0], [-1.0, -1.0]]
    """
    return _pool("max_pool2d", 2, "max", x, window, stride, dilation, padding)


def max_pool3d(
    x: Tensor, window: Size, *, stride: Size | None = None, dilation: Size = 1, padding: Paddings = "valid"
) -> Tensor:
    """The largest of each window of ``[N, C, D, H, W]``; see `max_pool2d`."""
    return _pool("max_pool3d", 3, "max", x, window, stride, dilation, padding)


def average_pool1d(
    x: Tensor, window: Size, *, stride: Size | None = None, dilation: Size = 1, padding: Paddings = "valid"
) -> Tensor:
    """The mean of the real pixels in each window of ``[N, C, W]``; see `max_pool2d` for the arguments."""
    return _pool("average_pool1d", 1, "average", x, window, stride, dilation, padding)


def average_pool2d(
    x: Tensor, window: Size, *, stride: Size | None = None, dilation: Size = 1, padding: Paddings = "valid"
) -> Tensor:
    """The mean of the real pixels in each window of ``[N, C, H, W]``; see `max_pool2d` for the arguments.

    Example:
        >>> import torch
        >>> average_pool2d(torch.tensor([[[[4.0, 3], [2, 1]]]]), 2, stride=1, padding="same")[0, 0].tolist()
        [[2.5, 2.0], [1.5, 1.0]]
    """
    return _pool("average_pool2d", 2, "average", x, window, stride, dilation, padding)


def average_pool3d(
    x: Tensor, window: Size, *, stride: Size | None = None, dilation: Size = 1, padding: Paddings = "valid"
) -> Tensor:
    """The mean of the real pixels in each window of ``[N, C, D, H, W]``; see `max_pool2d` for the arguments."""
    return _pool("average_pool3d", 3, "average", x, window, stride, dilation, padding)


def depth_max_pool(x: Tensor, window: int, *, stride: int | None = None, padding: Paddings = "valid") -> Tensor:
    """The largest of each window of channels, at every place: ``[N, C, ...]`` to ``[N, C', ...]``.

    A network learns by it to be invariant to whatever its neighbouring filters differ in.

    Raises:
        ModelError: as `max_pool2d`.

    Example:
        >>> import torch
        >>> x = torch.tensor([3.0, 1, 2, 0, -1, -5, 7, 7, 8]).reshape(1, 9, 1, 1)
        >>> depth_max_pool(x, 3).flatten().tolist()
        [3.0, 0.0, 8.0]
    """
    return _depth_pool("depth_max_pool", "max", x, window, stride, padding)


def depth_average_pool(x: Tensor, window: int, *, stride: int | None = None, padding: Paddings = "valid") -> Tensor:
    """The mean of each window of channels, at every place; see `depth_max_pool`."""
    return _depth_pool("depth_average_pool", "average", x, window, stride, padding)


def global_average_pool(x: Tensor, *, keep: bool = False) -> Tensor:
    """The mean of each map, ``[N, C, ...]`` to ``[N, C]``; ``keep`` leaves its axes there, of size 1.

    Lin and others, "Network in network", 2014, section 3.2.
    """
    return x.mean(tuple(range(2, x.dim())), keepdim=keep)


def global_max_pool(x: Tensor, *, keep: bool = False) -> Tensor:
    """The largest of each map, ``[N, C, ...]`` to ``[N, C]``; ``keep`` leaves its axes there, of size 1."""
    return x.amax(tuple(range(2, x.dim())), keepdim=keep)


def _depth_pool(op: str, kind: Kind, x: Tensor, window: int, stride: int | None, padding: Paddings) -> Tensor:
    if x.dim() < 3:
        raise ModelError(f"{op}: takes x [N, C, ...], at least 3 dimensions; got {list(x.shape)}")
    last = x.movedim(1, -1)  # for channels-last pictures a view in memory's order
    y = _pool(op, 1, kind, last.flatten(1, -2), window, stride, 1, padding)
    return y.unflatten(1, last.shape[1:-1]).movedim(-1, 1).contiguous(memory_format=memory_format(x))


def _pool(
    op: str,
    axes: int,
    kind: Kind,
    x: Tensor,
    window: Size,
    stride: Size | None,
    dilation: Size,
    padding: Paddings,
) -> Tensor:
    dimensions(op, x, axes)
    windows, dilations = each_axis(op, "window", window, axes), each_axis(op, "dilation", dilation, axes)
    strides = windows if stride is None else each_axis(op, "stride", stride, axes)
    paddings = each_padding(op, padding, axes, pools=True)
    every = list(zip(x.shape[2:], windows, strides, dilations, paddings, strict=True))
    amounts = sides(op, x, every)
    _check_each_sees(op, x, every, amounts)
    if kind == "max" and _by_kernels(x, windows):
        return native.largest(x, _walk(every, amounts))
    if kind == "max" or _torch_has_a_mean(x, windows, dilations):
        if padding == "ceil" and known(x):
            return _torch_pool(kind, x, windows, strides, (0,) * axes, dilations, ceil=True)
        fits = [low <= window // 2 for (low, _), window in zip(amounts, windows, strict=True)]
        if all(surely(low == high) for low, high in amounts) and all(surely(fit) for fit in fits):
            leads = tuple(low for low, _ in amounts)
            return _torch_pool(kind, x, windows, strides, leads, dilations, ceil=False)
        if known(x) and (found := _without_copy(every, amounts)) is not None:
            ceil, leads, skips, outputs = found
            y = _torch_pool(kind, x, windows, strides, leads, dilations, ceil=ceil)
            return y if list(y.shape[2:]) == outputs else cut(y, skips, outputs)
    if kind == "max":
        x = padded(x, every, amounts, value=-math.inf)
        return _torch_pool(kind, x, windows, strides, (0,) * axes, dilations, ceil=False)
    real = x.new_ones((1, 1, *x.shape[2:]))  # of which the mean is the share of each window that is not padding
    means = [_mean(padded(part, every, amounts), windows, strides, dilations) for part in (x, real)]
    return means[0] / means[1]


def _by_kernels(x: Tensor, windows: tuple[int, ...]) -> bool:
    """Whether our kernels should compute this very call: they are for what will be differentiated."""
    return will_be_differentiated(x) and known(x) and native.suits(x, windows) and kernels() is not None


def _walk(every: Sequence[Axis], amounts: Sequence[tuple[int, int]]) -> native.Walk:
    (_, high, down, tall, _), (_, wide, across, broad, _) = every
    (top, _), (left, _) = amounts
    outputs = (output_size(*every[0]), output_size(*every[1]))
    return native.Walk((high, wide), (down, across), (tall, broad), (top, left), outputs)


def _torch_has_a_mean(x: Tensor, windows: tuple[int, ...], dilations: tuple[int, ...]) -> bool:
    """The means of torch know no dilation, and in 3 dimensions no window larger than its input, padded or not."""
    fits = len(windows) < 3 or all(surely(n >= window) for n, window in zip(x.shape[2:], windows, strict=True))
    return max(dilations) == 1 and fits


def _without_copy(
    every: Sequence[Axis], amounts: Sequence[tuple[int, int]]
) -> tuple[bool, tuple[int, ...], list[int], list[int]] | None:
    """Unequal padding as torch can do it without a padded copy, or None.

    torch pads both sides alike, by up to half of the window, and with its ceil mode one more window at the
    end of all axes. Whole strides more before shift every window by whole outputs, which are thrown away.

    Returns:
        The ceil mode, torch's padding, and of each axis the outputs to skip and the outputs to keep.
    """
    outputs = [output_size(*axis) for axis in every]
    for ceil in (True, False):
        leads: list[int] = []
        for (size, window, stride, dilation, _), (before, _), count in zip(every, amounts, outputs, strict=True):
            for lead in range(before, window // 2 + 1, stride):
                last = (size + 2 * lead - reach(window, dilation) + (stride - 1) * ceil) // stride
                last -= ceil and last * stride >= size + lead  # torch: a window starts on a real place
                if last + 1 >= (lead - before) // stride + count:
                    leads.append(lead)
                    break
        if len(leads) == len(every):
            skips = [(lead - before) // axis[2] for lead, (before, _), axis in zip(leads, amounts, every, strict=True)]
            return ceil, tuple(leads), skips, outputs
    return None


def _torch_pool(
    kind: Kind,
    x: Tensor,
    windows: tuple[int, ...],
    strides: tuple[int, ...],
    padding: tuple[int, ...],
    dilations: tuple[int, ...],
    *,
    ceil: bool,
) -> Tensor:
    y: Tensor
    if kind == "max" and len(windows) == 1 and not known(x):  # torch's own fixes the size of a trace
        deep = _MAX[1](x.unsqueeze(2), (1, *windows), (1, *strides), (0, *padding), (1, *dilations), ceil)
        y = deep.squeeze(2)
    elif kind == "max":
        with keeping_promises(x):
            y = _MAX[len(windows) - 1](x, windows, strides, padding, dilations, ceil)
    elif len(windows) == 3 and x.dtype in (
        torch.bfloat16,
        torch.float16,
    ):  # for which torch has no mean in 3 dimensions
        return _torch_pool(kind, x.float(), windows, strides, padding, dilations, ceil=ceil).to(x.dtype)
    else:
        y = _AVERAGE[len(windows) - 1](x, windows, strides, padding, ceil, False)
    return kept(y, like=x)


def _mean(x: Tensor, windows: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]) -> Tensor:
    """The mean of windows without padding, dilated or not."""
    axes = len(windows)
    if max(dilations) == 1:
        return _torch_pool("average", x, windows, strides, (0,) * axes, dilations, ceil=False)
    weight = x.new_full((x.shape[1], 1, *windows), 1 / math.prod(windows))
    y: Tensor = _CONVOLUTION[axes - 1](x, weight, None, strides, 0, dilations, x.shape[1])
    return y


def _check_each_sees(op: str, x: Tensor, every: Sequence[Axis], amounts: Sequence[tuple[int, int]]) -> None:
    """Refuse windows that would see nothing but padding: they have no largest pixel and no mean."""
    for place, (axis, (before, after)) in enumerate(zip(every, amounts, strict=True), start=2):
        size, window, stride, dilation, padding = axis
        span = reach(window, dilation)
        if padding != "same" and (before >= span or after >= span):
            raise ModelError(
                f"{op} on x {list(x.shape)}, axis {place}: padding {padding!r} hides whole windows of {window} "
                f"(dilation {dilation}), which span {span}; the largest legal amount is {span - 1}"
            )
        if dilation > 1 and known(x) and size < dilation:
            for start in range(-before, output_size(*axis) * stride - before, stride):
                if not any(0 <= tap < size for tap in range(start, start + span, dilation)):
                    raise ModelError(
                        f"{op} on x {list(x.shape)}, axis {place}: a window of {window} with dilation {dilation} steps "
                        f"over all of {size} into the padding; the smallest size that it always sees is {dilation}"
                    )
