"""Where autograd adds up the gradients of a tensor that several operations read: in memory of its own, or in place.

Its engine adds in place where nobody else holds the sum so far (torch's ``input_buffer.cpp``), but never while somebody
watches operations. Who watches memory therefore has to do what it would do otherwise: a gradient for each branch that
joins another one is else counted too much. How many references "nobody else" is, is found out on two numbers.
"""

import sys
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._prims_common import is_non_overlapping_and_dense_or_false
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes

from striate.ops.native.tensors import is_fake
from striate.tracing.calls import Mode

_ADD = torch.ops.aten.add.Tensor
_ENGINE = "_engine_run_backward"  # the function of torch.autograd that calls the engine, and nothing but it

Counts = tuple[int, int]


def adds_up(function: Any, args: tuple[Any, ...], depth: int) -> bool:
    """Whether autograd's engine adds two gradients; it is ``depth`` frames above who asks, and no node is between."""
    return (
        function is _ADD
        and not torch.is_grad_enabled()
        and len(args) == 2
        and all(isinstance(each, Tensor) for each in args)
        and sys._getframe(depth + 1).f_code.co_name == _ENGINE
    )


def in_place(total: Tensor, more: Tensor) -> bool:
    """Whether the engine would write the sum of these to the first."""
    alike = total.shape == more.shape and total.dtype == more.dtype
    return alike and is_non_overlapping_and_dense_or_false(total) and _counts(total) == _alone(is_fake(total))


def _counts(tensor: Tensor) -> Counts:
    """Who holds a tensor, and who its memory."""
    held: Any = tensor
    return held._use_count(), torch._C._storage_Use_Count(tensor.untyped_storage()._cdata)


class _Listening(Mode):
    """Writes down the references to a sum that nobody else holds."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counts | None = None

    def runs(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See an operation."""
        if adds_up(function, args, 2):
            self.counts = _counts(args[0])
        return function(*args, **kwargs)


@cache
def _alone(fake: bool) -> Counts | None:
    """The references to a tensor, fake or real, that nobody but the engine holds; None if it cannot be said."""
    listening = _Listening()
    with _disable_current_modes(), torch.enable_grad(), FakeTensorMode() if fake else nullcontext(), listening:
        x = torch.zeros(2, requires_grad=True)
        between = x.mul(2)
        (between.sin().sum() + between.cos().sum()).backward()
    return listening.counts


def prepare() -> None:
    """Find out what will be asked for, while nobody watches and no gradients are computed."""
    for fake in (False, True):
        _alone(fake)
