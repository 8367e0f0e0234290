"""What the C functions are told of tensors: where they lie, in which type, and how many blocks their channels fill."""

import ctypes

import torch
from torch import Tensor

BLOCK = 16
"""Weights and sums are filled up to whole blocks of so many channels, whatever vectors the processor has."""


def lies_as_wanted(tensor: Tensor) -> bool:
    """Whether a map ``[N, C, H, W]`` is there for a kernel: channels-last, and `is_there`."""
    return tensor.dim() == 4 and is_there(tensor) and tensor.is_contiguous(memory_format=torch.channels_last)


def lies_in_rows(tensor: Tensor) -> bool:
    """The same of a matrix, row after row without gaps."""
    return tensor.dim() == 2 and is_there(tensor) and tensor.is_contiguous()


def is_there(tensor: Tensor) -> bool:
    """Whether a tensor is at an address on the CPU, and not empty.

    What a transform (`torch.func`) or a trace has wrapped has no address.
    """
    if tensor.device.type != "cpu" or tensor.numel() == 0:
        return False
    try:
        return tensor.data_ptr() != 0
    except RuntimeError:
        return False


def will_be_differentiated(*tensors: Tensor | None) -> bool:
    """Whether autograd watches a call with these: kernels are for no others."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def floats(*shape: int) -> Tensor:
    """Room for what kernels write, whatever the defaults of the process are: float32 on the CPU."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


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
