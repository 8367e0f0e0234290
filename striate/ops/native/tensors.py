"""What the C functions are told of tensors: where they lie, in which type, and how many blocks their channels fill.

A trace on fake tensors (`torch._subclasses.FakeTensor`: a shape, a type, no numbers) runs all of our Python and none of
our C: it sees the very memory that a real step takes.
"""

import ctypes
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

BLOCK = 16
"""Weights and sums are filled up to whole blocks of so many channels, whatever vectors the processor has."""


def is_channels_last(tensor: Tensor) -> bool:
    """Whether a map ``[N, C, H, W]`` is there for a kernel: channels-last, and `is_there`."""
    return tensor.dim() == 4 and is_there(tensor) and tensor.is_contiguous(memory_format=torch.channels_last)


def lies_in_rows(tensor: Tensor) -> bool:
    """The same of a matrix, row after row without gaps."""
    return tensor.dim() == 2 and is_there(tensor) and tensor.is_contiguous()


# How many modes see each operation; where another torch has no such function, they are not asked after.
_modes = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 0)
_NOWHERE = object()  # which ctypes gives to no function


def is_fake(tensor: Tensor | None) -> bool:
    """Whether a trace made this tensor, which has a shape and a type and no numbers."""
    return isinstance(tensor, FakeTensor)


def is_there(tensor: Tensor) -> bool:
    """Whether a tensor is at an address on the CPU, and not empty; or fake, and stands for one that is.

    What a transform (`torch.func`) has wrapped has no address. Of a graph that is being recorded kernels would be
    missing.
    """
    if tensor.device.type != "cpu" or (_modes() and _is_recorded(tensor)):
        return False
    if is_fake(tensor):  # whose sizes may be symbols
        return all(type(size) is int and size > 0 for size in tensor.shape)
    try:
        return tensor.numel() > 0 and tensor.data_ptr() != 0
    except RuntimeError:
        return False


def _is_recorded(tensor: Tensor) -> bool:
    """Whether operations go into a graph, or would make fake tensors of this real one."""
    kinds, active = torch._C._TorchDispatchModeKey, torch._C._get_dispatch_mode
    return active(kinds.PROXY) is not None or (active(kinds.FAKE) is not None and not is_fake(tensor))


def will_be_differentiated(*tensors: Tensor | None) -> bool:
    """Whether autograd watches a call with these."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def floats(like: Tensor, *shape: int) -> Tensor:
    """Room for what kernels write, whatever the defaults of the process are: float32, where ``like`` is."""
    return like.new_empty(shape, dtype=torch.float32)


_makes_scratch: ContextVar[bool] = ContextVar("makes_scratch", default=False)


def scratch(like: Tensor, *shape: int) -> Tensor:
    """`floats` that a kernel needs while it runs, and nobody afterwards: a trace counts them by themselves."""
    if not is_fake(like):
        return floats(like, *shape)
    token = _makes_scratch.set(True)
    try:
        return floats(like, *shape)
    finally:
        _makes_scratch.reset(token)


def makes_scratch() -> bool:
    """Whether what is being made is declared to be `scratch`: for who watches a trace."""
    return _makes_scratch.get()


def map_like(like: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Room for a map ``[N, C, H, W]``, channels-last, where ``like`` is."""
    _, channels, height, width = shape
    return like.new_empty_strided(shape, (height * width * channels, 1, width * channels, channels), dtype=dtype)


def channels_last(tensor: Tensor) -> Tensor:
    """The same map as kernels want it: gradients lie as they come, and so does what others' hooks had in keeping."""
    return tensor.contiguous(memory_format=torch.channels_last)


def address(tensor: Tensor | None) -> Any:
    """The address of its first number; NULL for None. Of a fake tensor something that only a silent library takes."""
    return _NOWHERE if is_fake(tensor) else ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


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
