"""Where numbers lie: the same values in the ways of lying in memory that torch knows, and results between fences."""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from striate.ops.native.tensors import address

LAYOUTS = ("channels_last", "channels_first", "every_other", "transposed", "wide_rows")
FENCE = 64


def placed(values: Tensor, layout: str, offset: int = 0) -> Tensor:
    """``values`` ``[N, C, H, W]`` laid out anew, beginning ``offset`` numbers behind where memory was given."""
    count, channels, height, width = values.shape
    match layout:
        case "channels_last":
            place = _memory(values, (count, height, width, channels), offset).permute(0, 3, 1, 2)
        case "channels_first":
            place = _memory(values, (count, channels, height, width), offset)
        case "every_other":  # no two numbers are neighbours
            place = _memory(values, (count, height + 1, 2 * width, 2 * channels), offset).permute(0, 3, 1, 2)
            place = place[:, ::2, 1:, ::2]
        case "transposed":
            place = _memory(values, (count, width, height, channels), offset).permute(0, 3, 2, 1)
        case "wide_rows":  # channels-last, but the rows of a larger picture
            place = _memory(values, (count, height, width + 3, channels), offset).permute(0, 3, 1, 2)[..., 1:-2]
    return place.copy_(values)


def addresses(*tensors: Tensor | None) -> list[ctypes.c_void_p]:
    """What a C function is given for them."""
    return [address(tensor) for tensor in tensors]


def _memory(values: Tensor, shape: tuple[int, ...], offset: int) -> Tensor:
    """Fresh memory full of what is no number, so that whoever reads beside the values is found out."""
    size = torch.Size(shape).numel()
    return torch.full((size + offset,), torch.nan, dtype=values.dtype)[offset:].view(shape)


@dataclass(frozen=True)
class Fenced:
    """Memory for a result, with numbers around it that must stay what they are."""

    memory: Tensor
    ahead: int
    behind: int

    @classmethod
    def of(cls, size: int, dtype: torch.dtype, offset: int) -> "Fenced":
        """Space for ``size`` zeros, ``offset`` numbers away from where memory is aligned."""
        memory = torch.full((size + 2 * FENCE + offset,), 7.0, dtype=dtype)
        memory[FENCE + offset : FENCE + offset + size] = 0
        return cls(memory, FENCE + offset, FENCE)

    @property
    def inside(self) -> Tensor:
        return self.memory[self.ahead : -self.behind]

    @property
    def whole(self) -> bool:
        """Whether nobody has written on either side."""
        return bool((self.memory[: self.ahead] == 7).all()) and bool((self.memory[-self.behind :] == 7).all())
