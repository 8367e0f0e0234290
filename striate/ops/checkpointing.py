"""Activation checkpointing: of a part of a network only what goes in is kept, and backward computes the rest again.

Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016, section 4. `torch.utils.checkpoint`
listens to what autograd would keep in the second pass, and so keeps all of it; here that pass is a step of its own
within backward, in which promises (`recomputation`) hold and kernels are called as ever.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import get_gradient_edge, saved_tensors_hooks

from striate.ops.own_state import Draws


def checkpointed(part: Callable[[Any], Any], x: Any, modules: Sequence[nn.Module]) -> Any:
    """``part(x)``, of which nothing is kept for backward but ``x``: there it is computed again.

    The second pass draws the random numbers of the first, computes under the same autocast, and moves no running
    statistics. Gradients are the same to the bit.

    Args:
        part: takes a tensor or a tuple of them, and gives one or the other; what it hands on unchanged is no new one.
        x: what it takes.
        modules: those whose parameters and buffers it uses.

    Raises:
        RuntimeError: the part changes ``x`` in place, or somebody has by the time of backward.

    Example:
        >>> layer = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
        >>> torch.autograd.grad(checkpointed(layer, torch.ones(1, 2), [layer]).sum(), layer[0].bias)[0].shape
        torch.Size([2])
    """
    given = x if isinstance(x, tuple) else (x,)
    learning = dict.fromkeys(each for module in modules for each in module.parameters() if each.requires_grad)
    call = _Call(part, isinstance(x, tuple), len(given), tuple(modules), tuple(learning), given[-1].device)
    made = iter(_Checkpoint.apply(call, *given, *learning))
    outputs = tuple(next(made) if handed is None else given[handed] for handed in call.handed_on)
    return outputs if call.gives_tuple else outputs[0]


@dataclass(slots=True)
class _Call:
    """One use of a part: what it takes, and what its second pass must know of the first.

    ``count`` is how many tensors it takes; ``handed_on`` says of each output which of these it is, None for a new one.
    """

    part: Callable[[Any], Any]
    takes_tuple: bool
    count: int
    modules: tuple[nn.Module, ...]
    learning: tuple[nn.Parameter, ...]
    device: torch.device
    draws: Draws = field(init=False)
    autocast: tuple[bool, torch.dtype, bool] = field(init=False)
    gives_tuple: bool = field(init=False)
    handed_on: list[int | None] = field(init=False)

    def first(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs that are new, by a pass that keeps nothing."""
        kind = self.device.type
        cached = torch.is_autocast_cache_enabled()
        self.autocast = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind), cached
        self.draws = Draws(self.device)
        with torch.enable_grad(), saved_tensors_hooks(lambda tensor: None, _refused):
            given = self._run(inputs)
        self.gives_tuple = isinstance(given, tuple)
        outputs = given if isinstance(given, tuple) else (given,)
        places = {id(each): place for place, each in enumerate(inputs)}
        self.handed_on = [places.get(id(each)) for each in outputs]
        return self._new(outputs)

    def second(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The same, by a pass that keeps what backward needs."""
        enabled, dtype, cached = self.autocast
        low = torch.autocast(self.device.type, dtype, enabled=enabled, cache_enabled=cached)
        with torch.enable_grad(), _buffers_as_they_are(self.modules), self.draws.again(), low:
            given = self._run(inputs)
        if enabled:
            torch.clear_autocast_cache()  # inside a caller's autocast it would keep these weights for the next step
        return self._new(given if isinstance(given, tuple) else (given,))

    def _run(self, inputs: Sequence[Tensor]) -> Any:
        return self.part(tuple(inputs) if self.takes_tuple else inputs[0])

    def _new(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        return [each for each, handed in zip(outputs, self.handed_on, strict=True) if handed is None]


class _Checkpoint(torch.autograd.Function):
    """By its name `recomputation.computed_again` knows the second pass."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = tensors[: call.count]
        before = [each._version for each in given]
        outputs = call.first([each.detach().requires_grad_(each.requires_grad) for each in given])
        if before != [each._version for each in given]:
            raise RuntimeError("what backward computes again must not change in place what it is given")
        ctx.call = call
        ctx.save_for_backward(*given)
        ctx.set_materialize_grads(False)
        ends = tuple(each.detach() for each in outputs)
        ctx.mark_non_differentiable(*[end for end, each in zip(ends, outputs, strict=True) if not each.requires_grad])
        return ends

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        call: _Call = ctx.call
        wants = ctx.needs_input_grad[1 : 1 + call.count]
        inputs = [each.detach().requires_grad_(want) for each, want in zip(ctx.saved_tensors, wants, strict=True)]
        # Of what comes out only its place in the graph is needed: its numbers need not live on.
        edges = [get_gradient_edge(each) if each.requires_grad else None for each in call.second(inputs)]
        ends = [(edge, by) for edge, by in zip(edges, gradients, strict=True) if edge is not None and by is not None]
        sources = [each for each in inputs if each.requires_grad]
        found = torch.autograd.grad(
            [edge for edge, _ in ends], [*sources, *call.learning], [by for _, by in ends], allow_unused=True
        )
        of_inputs = iter(found[: len(sources)])
        return (None, *(next(of_inputs) if want else None for want in wants), *found[len(sources) :])


def _refused(kept: Any) -> Tensor:
    raise RuntimeError("a pass of which nothing is kept cannot be differentiated")


@contextmanager
def _buffers_as_they_are(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Within, those of modules that train are copies: what is written to them is forgotten."""
    parts = {part for module in modules for part in module.modules() if part.training and part._buffers}
    before = [(part._buffers, dict(part._buffers)) for part in parts]
    for buffers, own in before:
        buffers.update({name: each.clone() for name, each in own.items() if each is not None})
    try:
        yield
    finally:
        for buffers, own in before:
            buffers.update(own)
