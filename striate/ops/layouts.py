"""TensorFlow's layouts into ours and back.

The letters are TensorFlow's: N pictures, C channels, D H W places; of weights, I channels in, O out, M multiplier.
"""

from typing import Literal

from torch import Tensor

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean

Layout = Literal["NWC", "NHWC", "NDHWC", "WIO", "HWIO", "DHWIO", "WOI", "HWOI", "DHWOI", "HWCM"]

# Theirs: ours. Transposed convolutions have HWOI there and [in, out, h, w] here: in each, the gradient's order.
LAYOUTS: dict[str, str] = {
    "NWC": "NCW",
    "NHWC": "NCHW",
    "NDHWC": "NCDHW",
    "WIO": "OIW",
    "HWIO": "OIHW",
    "DHWIO": "OIDHW",
    "WOI": "IOW",
    "HWOI": "IOHW",
    "DHWOI": "IODHW",
    "HWCM": "CMHW",
}


def from_tensorflow(tensor: Tensor, layout: Layout) -> Tensor:
    """A tensor in TensorFlow's ``layout`` as a view in ours.

    Pictures ``NHWC`` become ``[N, C, H, W]`` (which torch then calls channels-last: nothing is copied), weights
    ``HWIO`` become ``[out, in, h, w]``, transposed ones ``HWOI`` ``[in, out, h, w]``, and depthwise ``HWCM``
    ``[C * M, 1, h, w]``.

    Raises:
        ModelError: the layout is unknown, or the tensor has other dimensions.

    Example:
        >>> import torch
        >>> from_tensorflow(torch.zeros(3, 3, 8, 2), "HWCM").shape
        torch.Size([16, 1, 3, 3])
    """
    ours = _ours(layout)
    _check(tensor, layout, layout)
    tensor = tensor.permute([layout.index(letter) for letter in ours])
    return tensor.flatten(0, 1).unsqueeze(1) if layout == "HWCM" else tensor


def to_tensorflow(tensor: Tensor, layout: Layout, *, channels: int | None = None) -> Tensor:
    """The inverse of `from_tensorflow`; ``"HWCM"`` must be told how many ``channels`` the window reads.

    Raises:
        ModelError: the layout is unknown, the tensor has other dimensions, or ``channels`` is missing, does not
            divide the first dimension or is given for another layout.

    Example:
        >>> import torch
        >>> to_tensorflow(torch.zeros(16, 1, 3, 3), "HWCM", channels=8).shape
        torch.Size([3, 3, 8, 2])
    """
    ours = _ours(layout)
    if (layout == "HWCM") != (channels is not None):
        raise ModelError(f"to_tensorflow: channels is {channels} for {layout}; HWCM needs it, the others have none")
    if channels is not None:
        if tensor.dim() != 4 or tensor.shape[1] != 1 or channels < 1 or tensor.shape[0] % channels:
            raise ModelError(
                f"to_tensorflow: HWCM is made of [{channels} * multiplier, 1, h, w]; got {list(tensor.shape)}"
            )
        tensor = tensor.squeeze(1).unflatten(0, (channels, -1))
    _check(tensor, layout, ours)
    return tensor.permute([ours.index(letter) for letter in layout])


def _ours(layout: str) -> str:
    if layout not in LAYOUTS:
        raise ModelError(f"layout is {layout!r}.{did_you_mean(layout, LAYOUTS)} Known are {', '.join(LAYOUTS)}")
    return LAYOUTS[layout]


def _check(tensor: Tensor, layout: str, letters: str) -> None:
    if tensor.dim() != len(letters):
        raise ModelError(
            f"layout {layout} has {len(letters)} dimensions, {', '.join(letters)}; got {list(tensor.shape)}"
        )
