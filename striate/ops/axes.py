"""What convolutions and pools of any dimension share: arguments axis by axis, and sizes that are not known yet."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.ops.shapes import Padding, output_size, padding_amounts, reach

Size = int | tuple[int, ...]
"""One number for all axes, or one for each."""

Paddings = str | int | tuple[tuple[int, int], ...]
"""A padding by name or an integer, for all sides; or a pair (before, after) for each axis."""

Axis = tuple[int, int, int, int, Padding]
"""Size, window, stride, dilation and padding of one axis, as `striate.ops.shapes` takes them."""


def each_axis(op: str, name: str, value: Size, axes: int) -> tuple[int, ...]:
    """``value`` as one integer for each axis.

    Raises:
        ModelError: it has another number of integers.
    """
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        raise ModelError(f"{op}: {name} is {value!r}; it is one integer, or {axes} of them, one for each axis")
    return tuple(value)


def each_padding(op: str, padding: Paddings, axes: int, *, pools: bool = False) -> tuple[Padding, ...]:
    """``padding`` as one padding for each axis.

    Raises:
        ModelError: it is not made of one pair for each axis, or is Caffe's ``"ceil"`` outside of a pool.
    """
    if padding == "ceil" and not pools:
        raise ModelError(f"{op}: padding 'ceil' is for pools; take 'same', 'valid', 'symmetric' or amounts")
    if not isinstance(padding, tuple):
        return (padding,) * axes  # type: ignore[return-value] # a name is checked where its amounts are computed
    if len(padding) != axes or not all(isinstance(pair, tuple) for pair in padding):
        # (1, 1) would be read in two ways, so it is not read at all.
        pairs = ", ".join(["(before, after)"] * axes)
        raise ModelError(
            f"{op}: padding is {padding!r}; amounts are one integer for all sides, "
            f"or the pairs ({pairs}{',' * (axes == 1)})"
        )
    return padding


def sides(op: str, x: Tensor, axes: Sequence[Axis]) -> list[tuple[int, int]]:
    """How many places to add before and after each axis of ``x`` ``[N, C, ...]``.

    Raises:
        ModelError: a window does not fit; the text names the operation, the shape, the rule and the nearest legal size.
    """
    amounts = []
    for place, axis in enumerate(axes, start=2):
        try:
            if axis[-1] != "same":  # which always fits
                output_size(*axis)
            amounts.append(padding_amounts(*axis))
        except ModelError as error:
            raise ModelError(f"{op} on x {list(x.shape)}, axis {place}: {error}") from None
    return amounts


def padded(x: Tensor, axes: Sequence[Axis], amounts: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """A copy of ``x`` with ``value`` before and after it.

    Where sizes are symbols, ``"same"`` pads more after than is needed, ``stride - 1`` at most, which no window reaches:
    the padded size is then a size and a constant, and a tracer can prove what it must know of it.
    """
    both = []
    for (_, window, _, dilation, padding), (before, after) in zip(axes, amounts, strict=True):
        open_ended = padding == "same" and not known(x)
        both.append((before, reach(window, dilation) - 1 - before if open_ended else after))
    if known(x) and x.requires_grad and torch.is_grad_enabled():
        y: Tensor = _Padded.apply(x, both, value)
        return y
    return _pad(x, both, value)


def _pad(x: Tensor, both: Sequence[tuple[int, int]], value: float) -> Tensor:
    return F.pad(x, [amount for pair in reversed(both) for amount in pair], value=value)  # torch: the last axis first


class _Padded(torch.autograd.Function):
    """Padding whose gradient is a piece of what comes back; torch's own copies that piece."""

    @staticmethod
    def forward(x: Tensor, both: Sequence[tuple[int, int]], value: float) -> Tensor:
        return _pad(x, both, value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Sequence[tuple[int, int]], float], output: Tensor) -> None:
        x, ctx.both, _ = inputs
        ctx.sizes = x.shape[2:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        for place, ((before, _), size) in enumerate(zip(ctx.both, ctx.sizes, strict=True), start=2):
            gradient = gradient.narrow(place, before, size)
        return gradient, None, None


def surely(condition: bool) -> bool:
    """Whether ``condition`` on sizes holds for all sizes that may come.

    While a network is exported or compiled, sizes can be symbols (`torch.SymInt`). A plain ``if`` would fix them to
    those of the example, so they are only asked for what is certain.
    """
    if torch.compiler.is_compiling() or not isinstance(condition, bool):
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        return statically_known_true(condition)
    return condition


def known(x: Tensor) -> bool:
    """Whether the sizes of ``x`` are plain integers: it is really computed, or its trace holds for these sizes only."""
    return not torch.compiler.is_compiling() and all(type(size) is int for size in x.shape)


def cut(y: Tensor, skips: Sequence[int], outputs: Sequence[int]) -> Tensor:
    """``outputs`` places of each axis of ``y`` ``[N, C, ...]`` from ``skips`` on, in the same memory format."""
    order = memory_format(y)
    for place, (skip, count) in enumerate(zip(skips, outputs, strict=True), start=2):
        y = y.narrow(place, skip, count)
    return y.contiguous(memory_format=order)


def memory_format(x: Tensor) -> torch.memory_format:
    """Channels-last if ``x``, or what it is a piece of, is stored so, else torch's own order."""
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim())
    if last is None or x.is_contiguous() or not (x.is_contiguous(memory_format=last) or x.stride(1) < x.stride(-1)):
        return torch.contiguous_format
    return last


def kept(y: Tensor, like: Tensor) -> Tensor:
    """``y`` channels-last if ``like`` is; only where torch has no kernel for that is it a copy."""
    order = memory_format(like) if known(like) else torch.contiguous_format
    # Of anything else torch decides by itself, by the weight's order for instance.
    return y if order == torch.contiguous_format else y.contiguous(memory_format=order)


def dimensions(op: str, x: Tensor, axes: int) -> None:
    """Refuse what is not ``[N, C, ...]`` with ``axes`` axes.

    Raises:
        ModelError: ``x`` has other dimensions.
    """
    if x.dim() != axes + 2:
        names = ", ".join(["N", "C", *("D", "H", "W")[3 - axes :]])
        raise ModelError(f"{op}: takes x [{names}], {axes + 2} dimensions; got {list(x.shape)}")
