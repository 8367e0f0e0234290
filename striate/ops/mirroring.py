"""Pictures continued beyond their borders."""

import torch
from torch import Tensor

from striate.ops.axes import memory_format


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
