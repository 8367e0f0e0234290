"""Maps made larger, to meet finer ones or to be as large as the pictures; pictures made larger and smaller."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from striate.base.errors import DataError
from striate.ops.axes import memory_format
from striate.ops.native.tensors import will_be_differentiated

NO_CHANNELS = (slice(None), slice(0))
"""What of a map ``[N, C, H, W]`` tells its size and holds no numbers."""


def add_enlarged(fine: Tensor, coarse: Tensor) -> Tensor:
    """A fine map ``[N, C, H, W]`` plus a coarse one ``[N, C, h, w]``, of which each place gets its nearest.

    The top-down path of Lin et al., "Feature pyramid networks for object detection", CVPR 2017, section 3.

    Example:
        >>> import torch
        >>> add_enlarged(torch.zeros(1, 1, 2, 4), torch.tensor([[[[1.0, 2.0]]]])).tolist()
        [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """
    return fine + F.interpolate(coarse, size=fine.shape[2:], mode="nearest")


def size_of(images: Tensor) -> Tensor:
    """The size of images ``[N, C, H, W]`` as a map without channels, ``[N, 0, H, W]``, which no sum or copy costs."""
    return images[NO_CHANNELS]


def enlarge_bilinear(coarse: Tensor, size: Tensor, stride: int) -> Tensor:
    """Maps ``[N, C, h, w]`` of so many pixels a place to the size ``[N, 0, H, W]`` of pictures, bilinearly.

    Each place stands for the middle of ``stride`` pixels, whether or not they all lie in the picture: of an odd side,
    SAME windows make one place more than fit. Beyond the outermost middles the border goes on; pictures may be larger
    than all places together, since VALID windows lose some.

    Example:
        >>> import torch
        >>> enlarge_bilinear(torch.tensor([[[[0.0, 4.0]]]]), torch.zeros(1, 0, 1, 3), 2).tolist()
        [[[[0.0, 1.0, 3.0]]]]
    """
    height, width = size.shape[2:]
    rows, columns = (-(-side // stride) for side in (height, width))
    lost = max(0, rows - coarse.shape[2]), max(0, columns - coarse.shape[3])
    whole = F.pad(coarse, (0, lost[1], 0, lost[0]), mode="replicate") if any(lost) else coarse
    if _gathers(coarse):
        large = _Enlarged.apply(whole.float().contiguous(), stride)
    else:
        large = F.interpolate(whole, scale_factor=float(stride), mode="bilinear", align_corners=False)
    return large[:, :, :height, :width].contiguous(memory_format=memory_format(large))


def _gathers(coarse: Tensor) -> bool:
    """Whether the gradient of enlarging is gathered by ours, which is written for processors."""
    ours = coarse.device.type == "cpu" and coarse.dtype in (torch.float32, torch.bfloat16)
    return ours and will_be_differentiated(coarse) and not torch.compiler.is_compiling()


class _Enlarged(torch.autograd.Function):
    """Bilinear enlargement by a whole number, in float32 and plane by plane, as losses read it.

    Its gradient gathers what each place has given, one phase of the enlarged rows or columns after the other; torch
    scatters it pixel by pixel and takes three times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int) -> Tensor:
        ctx.stride = stride
        return F.interpolate(x, scale_factor=float(stride), mode="bilinear", align_corners=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _gathered(_gathered(gradient, ctx.stride, 2), ctx.stride, 3), None


def _gathered(gradient: Tensor, stride: int, axis: int) -> Tensor:
    """The gradient of places along one axis, of which each was enlarged to ``stride``."""
    count = gradient.shape[axis] // stride
    places = gradient.unflatten(axis, (count, stride))
    result = gradient.new_zeros(places.select(axis + 1, 0).shape)
    for phase in range(stride):
        given, away = places.select(axis + 1, phase), (phase + 0.5) / stride - 0.5  # from the middle of its own place
        result.add_(given, alpha=1 - abs(away))
        outermost, others = (0, slice(1, None)) if away < 0 else (count - 1, slice(None, -1))
        neighbours = slice(None, -1) if away < 0 else slice(1, None)
        _along(result, axis, neighbours).add_(_along(given, axis, others), alpha=abs(away))
        result.select(axis, outermost).add_(given.select(axis, outermost), alpha=abs(away))
    return result


def _along(x: Tensor, axis: int, part: slice) -> Tensor:
    return x[(slice(None),) * axis + (part,)]


def bicubic(x: Tensor, factor: int) -> Tensor:
    """Pictures ``[N, C, H, W]`` to ``[N, C, factor * H, factor * W]``, by Keys' cubic of a = -0.5 as Pillow's.

    At borders weights are those of the pixels that there are. Pillow rounds and clips to bytes between columns and
    rows, which this does not: where edges overshoot it may differ by a few bytes.

    Example:
        >>> import torch
        >>> bicubic(torch.tensor([[[[0.0, 1.0, 1.0]]]]), 2).mul(128).round().int()[0, 0, 0].tolist()
        [-11, 24, 100, 137, 131, 128]
    """
    return F.interpolate(x, scale_factor=float(factor), mode="bicubic", antialias=True)


def fitting(images: Tensor, factor: int) -> Tensor:
    """Pictures ``[N, C, H, W]`` without the last rows and columns that ``factor`` does not divide; a view."""
    height, width = (side - side % factor for side in images.shape[2:])
    return images[:, :, :height, :width]


def shrunk(images: Tensor, factor: int) -> Tensor:
    """Bytes ``[N, C, H, W]`` to ``[N, C, H // factor, W // factor]``, as Pillow's bicubic filter does, to rounding.

    What ``factor`` does not divide is cut off first.

    Raises:
        DataError: nothing would be left.
    """
    images = fitting(images, factor)
    height, width = (side // factor for side in images.shape[2:])
    if not height or not width:
        raise DataError(f"a picture of less than {factor} x {factor} pixels cannot be shrunk by {factor}")
    if images.device.type == "cpu":  # in integers
        return F.interpolate(images, (height, width), mode="bicubic", antialias=True)
    small = F.interpolate(images.float(), (height, width), mode="bicubic", antialias=True)
    return small.round_().clamp_(0, 255).to(images.dtype)
