"""Pictures continued beyond their borders."""

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops.axes import memory_format


def continued(x: Tensor, margin: int) -> Tensor:
    """Pictures ``[N, C, H, W]`` with ``margin`` pixels more on each side, which repeat those at the border.

    Zeros there would be black; who says the picture itself would draw a frame around it.
    """
    return F.pad(x, (margin,) * 4, mode="replicate")


def mirrored(x: Tensor, before: int, height: int, width: int) -> Tensor:
    """Maps ``[N, C, H, W]`` with ``before`` places above and on the left, to ``height`` and ``width`` in all.

    Places beyond a border are those as far inside, and again beyond the next one where a picture is too small; the
    border itself is not doubled.

    Example:
        >>> mirrored(torch.tensor([[[[1, 2, 3]]]]), 3, 4, 8)[0, 0, 0].tolist()
        [2, 3, 2, 1, 2, 3, 2, 1]
    """
    rows, columns = (
        _reflected(torch.arange(length, device=x.device) - before, side)
        for length, side in zip((height, width), x.shape[2:], strict=True)
    )
    return x.index_select(2, rows).index_select(3, columns).contiguous(memory_format=memory_format(x))


def _reflected(places: Tensor, side: int) -> Tensor:
    inside = places % max(1, 2 * (side - 1))
    return torch.minimum(inside, 2 * (side - 1) - inside)
