"""What the C functions are told of tensors: where they lie, in which type, and how many blocks their channels fill."""

import ctypes

import torch
from torch import Tensor

BLOCK = 16
"""Weights and sums are filled up to whole blocks of so many channels, whatever vectors the processor has."""


def lies_as_wanted(tensor: Tensor) -> bool:
    """Whether a map ``[N, C, H, W]`` is there for a kernel: at an address on the CPU, channels-last, not empty.

    Tensors of traces and of transforms have no address.
    """
    return tensor.dim() == 4 and _there(tensor, torch.channels_last)


def lies_in_rows(tensor: Tensor) -> bool:
    """The same of a matrix, row after row without gaps."""
    return tensor.dim() == 2 and _there(tensor, torch.contiguous_format)


def _there(tensor: Tensor, memory_format: torch.memory_format) -> bool:
    if tensor.device.type != "cpu" or tensor.numel() == 0:
        return False
    try:
        return tensor.data_ptr() != 0 and tensor.is_contiguous(memory_format=memory_format)
    except RuntimeError:
        return False


def address(tensor: Tensor | None) -> ctypes.c_void_p:
    """The address of its first number; NULL for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def is_low(tensor: Tensor) -> int:
    """1 for bfloat16, 0 for float32: ``low`` of the C functions."""
    return int(tensor.dtype == torch.bfloat16)


def padded(channels: int) -> int:
    """The channels of whole blocks that hold so many."""
    return -(-channels // BLOCK) * BLOCK


def done(status: int, what: str) -> None:
    """See that a C function had the memory it asked for.

    Raises:
        MemoryError: it had not.
    """
    if status:
        raise MemoryError(f"there is no memory for {what}")
