"""Batch norm, residual addition and activation by our own kernels: one pass forward after the statistics, two back.

Of a convolution's output x, its normalised form and its activation y only x is kept: y is promised
(`striate.ops.recomputation`). The reference is torch's batch norm, addition and clamp in float32.
"""

import ctypes
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops.native.library import kernels_for
from striate.ops.native.tensors import (
    address,
    channels_last,
    done,
    floats,
    is_channels_last,
    is_low,
    is_there,
    will_be_differentiated,
)
from striate.ops.recomputation import Promise, foreign_hooks, keeping_promises, promised, promises

Bounds = tuple[float, float]
OPEN: Bounds = (-math.inf, math.inf)
_SUMS = "the sums of a batch norm"


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a norm does to each channel: ``x * scale + shift``, and whether the batch's own figures are in it.

    All are float32 ``[C]``; ``inverse`` is one over the square root of the variance and ``eps``.
    """

    mean: Tensor
    inverse: Tensor
    scale: Tensor
    shift: Tensor
    eps: float
    own: bool

    @classmethod
    def of(
        cls, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, *, own: bool
    ) -> "Statistics":
        """From the mean and the variance, and the norm's parameters."""
        inverse = torch.rsqrt(variance.float() + eps)
        scale = inverse if weight is None else inverse * weight
        shift = -mean * scale if bias is None else torch.addcmul(bias, mean, scale, value=-1)
        return cls(mean.float(), inverse, scale.float(), shift.float(), eps, own)


class Output(Promise):
    """A norm's output, computed of its input ``x`` and a residual or None."""

    __slots__ = ("bounds", "how")

    def __init__(self, x: Tensor, residual: Tensor | None, how: Statistics, bounds: Bounds) -> None:
        added = () if residual is None else (promised(residual) or residual,)
        super().__init__(lambda x, residual=None: apply(kernels_for(x), x, residual, how, bounds), x, *added)
        self.how, self.bounds = how, bounds


Normalised = tuple[Statistics, Bounds]
"""What a norm did to its input: for who does it himself, on the way."""


class Map(ctypes.Structure):
    """``Map`` of norm.c."""

    _fields_ = [
        ("rows", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("floor", ctypes.c_float),
        ("ceiling", ctypes.c_float),
    ]


def suits(x: Tensor, residual: Tensor | None, tables: Sequence[Tensor | None]) -> bool:
    """Whether there is a kernel for these: float32 or bfloat16, alike, channels-last on a CPU.

    ``tables`` are all tensors ``[C]``; where one has another size, torch says what is wrong.
    """
    return (
        x.dtype in (torch.float32, torch.bfloat16)
        and is_channels_last(x)
        and (residual is None or (residual.shape == x.shape and residual.dtype == x.dtype and is_there(residual)))
        and all(table is None or (table.shape == x.shape[1:2] and is_there(table)) for table in tables)
    )


def normalise(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, residual: Tensor | None, how: Statistics, bounds: Bounds
) -> Tensor:
    """``x`` ``[N, C, H, W]`` scaled and shifted, plus ``residual``, within the activation's ``bounds``."""
    residual = None if residual is None else channels_last(residual)
    if not will_be_differentiated(x, weight, bias, residual):
        return apply(kernels_for(x), x, residual, how, bounds)
    if foreign_hooks():
        return _Norm.apply(x, weight, bias, residual, how, bounds, True)
    promise = Output(x, residual, how, bounds)
    with nullcontext() if residual is None else keeping_promises(residual):
        return promises(_Norm.apply(x, weight, bias, residual, how, bounds, False), promise)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        residual: Tensor | None,
        how: Statistics,
        bounds: Bounds,
        hooked: bool,
    ) -> Tensor:
        # Others' hooks get all that is kept. A promise has the tables anyway, and saving tensors costs time.
        tables = (how.mean, how.inverse, how.scale, how.shift) if hooked else ()
        ctx.how = (how.eps, how.own) if hooked else how
        # Without an activation nobody asks on which side of it the sum is.
        ctx.save_for_backward(x, weight, bias, None if bounds == OPEN else residual, *tables)
        ctx.bounds = bounds
        return apply(kernels_for(x), x, residual, how, bounds)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, residual, *tables = ctx.saved_tensors
        how = Statistics(*tables, *ctx.how) if tables else ctx.how
        wants_x, wants_weight, wants_bias, wants_residual = ctx.needs_input_grad[:4]
        if torch.is_grad_enabled():  # somebody wants gradients of these gradients: torch knows how
            return (*_by_torch(ctx, how, gradient, x, weight, bias, residual), None, None, None)
        x, residual = channels_last(x), None if residual is None else channels_last(residual)
        gradient = channels_last(gradient.to(x.dtype))
        gated = torch.empty_like(x) if residual is not None and wants_residual else None
        result = torch.empty_like(x) if wants_x else None
        for_weight, for_bias = backward(kernels_for(x), gradient, x, residual, gated, result, how, ctx.bounds)
        return (
            result,
            for_weight.to(weight.dtype) if wants_weight else None,
            for_bias.to(bias.dtype) if wants_bias else None,
            (gradient if gated is None else gated) if wants_residual else None,
            None,
            None,
            None,
        )


def _by_torch(
    ctx: Any,
    how: Statistics,
    gradient: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """The same gradients through operations that can be differentiated again, in float32."""
    floor, ceiling = ctx.bounds
    mean, variance = (None, None) if how.own else (how.mean, how.inverse**-2 - how.eps)
    scale, shift = (None if parameter is None else parameter.float() for parameter in (weight, bias))
    normalised = F.batch_norm(x.float(), mean, variance, scale, shift, how.own, 0.0, how.eps)
    behind = normalised.detach() if residual is None else normalised.detach() + residual.float()
    gated = gradient.float() * ((behind > floor) & (behind < ceiling))
    given = zip((x, weight, bias), ctx.needs_input_grad, strict=False)
    wanted = [tensor for tensor, wants in given if wants and tensor is not None]
    found = iter(torch.autograd.grad(normalised, wanted, gated, create_graph=True) if wanted else ())
    gradients = [next(found) if wants else None for wants in ctx.needs_input_grad[:3]]
    return (*gradients, gated.to(x.dtype) if ctx.needs_input_grad[3] else None)


# The kernels, on tensors


def statistics(library: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (of all, not of a sample) of each channel of ``[N, C, H, W]``, float32 ``[C]``."""
    mean, variance = floats(x, x.shape[1]), floats(x, x.shape[1])
    tables = address(mean), address(variance)
    done(library.norm_statistics(address(x), *tables, ctypes.byref(_map(x)), *_how(x)), _SUMS)
    return mean, variance


def channel_sums(library: Any, x: Tensor) -> Tensor:
    """The sum of each channel of ``[N, C, H, W]``, float32 ``[C]``, for which torch takes ten times as long."""
    return statistics(library, x)[0] * (x.numel() // x.shape[1])


def apply(library: Any, x: Tensor, residual: Tensor | None, how: Statistics, bounds: Bounds) -> Tensor:
    """The output, in the type of ``x``."""
    y = torch.empty_like(x)
    tables = address(how.scale), address(how.shift)
    maps = address(x), address(residual), address(y)
    done(library.norm_apply(*maps, *tables, ctypes.byref(_map(x, bounds)), *_how(x)), _SUMS)
    return y


def backward(
    library: Any,
    gradient: Tensor,
    x: Tensor,
    residual: Tensor | None,
    gated: Tensor | None,
    result: Tensor | None,
    how: Statistics,
    bounds: Bounds,
) -> tuple[Tensor, Tensor]:
    """Write the gradient of ``x`` into ``result`` and of the residual into ``gated``; give weight's and bias's.

    ``residual`` is what was added before an activation, otherwise None.
    """
    for_weight, for_bias = torch.empty_like(how.mean), torch.empty_like(how.mean)
    maps = [address(tensor) for tensor in (gradient, x, residual, gated, result)]
    tables = [address(table) for table in (how.mean, how.inverse, how.scale, how.shift, for_weight, for_bias)]
    rate = ctypes.c_double(x.shape[1] / x.numel() if how.own else 0.0)
    done(library.norm_backward(*maps, *tables, rate, ctypes.byref(_map(x, bounds)), *_how(x)), _SUMS)
    return for_weight, for_bias


def _map(x: Tensor, bounds: Bounds = OPEN) -> Map:
    # No comparison with what is no number is true, so that not even an infinity reaches a bound that is not there.
    return Map(x.numel() // x.shape[1], x.shape[1], *(math.nan if math.isinf(bound) else bound for bound in bounds))


def _how(x: Tensor) -> tuple[int, int]:
    return is_low(x), torch.get_num_threads()
