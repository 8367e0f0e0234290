"""How like an enlarged picture is to the one it was made from: PSNR and SSIM, as the papers measure."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from striate.ops.convolution import conv2d
from striate.pictures.channels import to_channels

_WINDOW, _SIGMA = 11, 1.5
_STABLE = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)


def measured(pixels: NDArray[np.uint8], border: int) -> NDArray[np.uint8]:
    """What is compared of a picture uint8 ``[H, W, C]``: its luma but for ``border`` pixels all around, ``[1, h, w]``.

    Luma is ITU-R BT.601's in studio range, 16 to 235, rounded to bytes; grey pictures have it, too. Of bands that are
    no colours all are compared as they are, ``[C, h, w]``.
    """
    seen = to_channels(pixels, "luma") if pixels.shape[2] in (1, 3) else pixels
    height, width = seen.shape[:2]
    return np.ascontiguousarray(seen[border : height - border, border : width - border].transpose(2, 0, 1))


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of bytes of one shape; NaN of none.

    Without any error it would be infinite; then it is that of a single byte that is off by one, which no picture that
    has an error can exceed.

    Example:
        >>> round(psnr(np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 5, np.uint8)), 2)
        34.15
    """
    if not one.size:
        return math.nan
    squared = np.square(one.astype(np.int64) - other).sum()
    return 10 * math.log10(255**2 * one.size / max(int(squared), 1))


def ssim(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean structural similarity of bytes ``[C, h, w]``; NaN where they are smaller than its window of 11 pixels.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, section III: a
    Gaussian window of deviation 1.5, K1 0.01, K2 0.03, where the window lies inside.
    """
    if min(one.shape[1:]) < _WINDOW:
        return math.nan
    places = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    line = torch.exp(-places.square() / (2 * _SIGMA**2))
    line /= line.sum()
    x, y = (torch.from_numpy(each).double() for each in (one, other))
    moments = torch.stack([x, y, x * x, y * y, x * y], 1).flatten(0, 1)[:, None]  # maps alone, the window is one
    for window in (line[None, None, :, None], line[None, None, None, :]):
        moments = conv2d(moments, window)
    mean_x, mean_y, xx, yy, xy = moments.unflatten(0, (-1, 5)).unbind(1)
    spread_x, spread_y, both = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    light, structure = _STABLE
    likeness = (2 * mean_x * mean_y + light) * (2 * both + structure)
    return float((likeness / ((mean_x**2 + mean_y**2 + light) * (spread_x + spread_y + structure))).mean())
