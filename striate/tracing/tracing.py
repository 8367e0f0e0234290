"""A step of any module on tensors without numbers: once for what it multiplies and sees, once for what it keeps."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import SGD, AdamW
from torch.utils._pytree import tree_map

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.ops.native.library import left_to_torch
from striate.ops.own_state import own_modes
from striate.tracing.calls import tensors_in
from striate.tracing.counting import Counting, mark_picture, mark_weight
from striate.tracing.doubles import Doubles, Whereabouts
from striate.tracing.refusing import refusals
from striate.tracing.rows import Runs, rows
from striate.tracing.trace import Mode, Precision, Trace
from striate.tracing.watching import Stepping, Watching


class Steps(Protocol):
    """What is asked of an optimizer: all of torch's fulfil it that need no closure."""

    state: Any

    def step(self) -> Any:
        """Change the parameters by their gradients."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""


Optimizer = Callable[[list[Tensor]], Steps]
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": lambda parameters: SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "adamw": lambda parameters: AdamW(parameters, lr=0.1, fused=True),
}
"""The optimizers by name, as training has them: with momentum, and fused over all parameters."""

Loss = Callable[[Any], Tensor]


def summed(outputs: Any) -> Tensor:
    """A loss that has a gradient for every output: the sum of all floating-point ones, in float32."""
    return sum((each.float().sum() for each in tensors_in([outputs]) if each.is_floating_point()), torch.zeros(()))


def trace(
    module: nn.Module,
    *inputs: Any,
    mode: Mode = "inference",
    precision: Precision = "float32",
    optimizer: str | Optimizer | None = None,
    loss: Loss = summed,
    kernels: bool = True,
) -> Trace:
    """What a step of a module does with inputs of these shapes; nothing is computed, and the module is not touched.

    Of a training step with an optimizer the memory is that of any step but the first one, in which the optimizer makes
    its state. Who calls a step holds inputs and outputs until its end; gradients are dropped then.

    Args:
        module: any module, on a device, or on torch's "meta", which counts as the CPU.
        inputs: what it is called with; of tensors only shapes, types and memory formats count. Tensors
            ``[N, C, ...]`` are pictures, whose axes are those of fields.
        mode: "inference" is a forward pass without gradients, "training" forward, backward and optimizer. Parts of a
            module that trains may be in evaluation, as frozen norms are, and then stay so.
        precision: "bfloat16" runs the module under autocast, the loss not, as training does.
        optimizer: "sgd" (with momentum), "adamw", what makes one of a list of parameters, or None.
        loss: of what the module gives, one number.
        kernels: whether kernels of ours are counted where this process has some; else all is torch's.

    Raises:
        ModelError: the module cannot run on such inputs, or not without numbers; says which part, and why.

    Example:
        >>> step = trace(nn.Linear(3, 2), torch.empty(5, 3), mode="training", optimizer="sgd")
        >>> step.multiply_adds, step.bytes_of("parameters"), step.bytes_of("optimizer state")
        (30, 32, 32)
    """
    maker = _optimizer(optimizer)
    if mode not in ("inference", "training"):
        raise ModelError(f"mode is {mode!r}; it is 'inference' or 'training'")
    with own_modes(), ExitStack() as held:
        if not kernels:
            held.enter_context(left_to_torch())
        fakes = FakeTensorMode(allow_fallback_kernels=False, allow_non_fake_inputs=True)
        whereabouts = Whereabouts()
        held.enter_context(refusals(module, lambda: whereabouts.failed, "running it"))
        doubles = Doubles(fakes)
        double = doubles.of(module)
        given = tree_map(lambda leaf: doubles.fake(leaf) if isinstance(leaf, Tensor) else leaf, inputs)
        if mode == "inference" or not double.training:
            double.train(mode == "training")
        with fakes, whereabouts.watching(double):
            runs, counting = _counted(double, given, whereabouts, precision)
            watching = _watched(double, given, whereabouts, mode, precision, maker, loss)
    table = rows(double, runs, counting.counted, watching.storages())
    return Trace(mode, precision, tuple(watching.operations), watching.storages(), table)


def _optimizer(asked: str | Optimizer | None) -> Optimizer | None:
    if not isinstance(asked, str):
        return asked
    if asked not in OPTIMIZERS:
        raise ModelError(f"optimizer is {asked!r}.{did_you_mean(asked, OPTIMIZERS)} It is {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[asked]


def _low(precision: Precision) -> Any:
    return torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()


def _counted(double: nn.Module, given: Any, whereabouts: Whereabouts, precision: Precision) -> tuple[Runs, Counting]:
    """A forward pass by torch's own operations, and with gradients, since otherwise some outputs are made in vain."""
    runs, counting = Runs(), Counting(lambda: whereabouts.path)
    for parameter in double.parameters():
        mark_weight(parameter)
    with left_to_torch(), counting, listening(whereabouts, runs.hear), _low(precision):
        pictures = tree_map(_picture, given)
        double(*pictures)
    torch.clear_autocast_cache()
    return runs, counting


def _picture(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    # Not a leaf of autograd's, which nobody may change in place.
    picture = leaf.detach().requires_grad_().clone() if leaf.is_floating_point() else leaf.clone()
    mark_picture(picture)
    return picture


def _watched(
    double: nn.Module,
    given: Any,
    whereabouts: Whereabouts,
    mode: Mode,
    precision: Precision,
    maker: Optimizer | None,
    loss: Loss,
) -> Watching:
    """The step itself, and whom its memory belongs to."""
    watching = Watching(lambda: whereabouts.path)
    learning = [parameter for parameter in double.parameters() if parameter.requires_grad]
    optimizer = _begun(maker, learning) if maker and mode == "training" else None
    watching.known(double.parameters(), "parameters")
    watching.known(double.buffers(), "buffers")
    watching.known(tensors_in(given), "inputs")
    if optimizer is not None:
        watching.known(tensors_in([dict(optimizer.state)]), "optimizer state")
    if mode == "inference":
        with torch.no_grad(), watching, _low(precision):
            outputs = double(*given)
        watching.mark(watching.lives_of(tensors_in([outputs])), "outputs")
        return watching
    for path, part in double.named_modules():
        watching.parameters_of(path, part._parameters.values())
    _step(double, given, whereabouts, watching, precision, optimizer, loss)
    return watching


def _step(
    double: nn.Module,
    given: Any,
    whereabouts: Whereabouts,
    watching: Watching,
    precision: Precision,
    optimizer: Steps | None,
    loss: Loss,
) -> None:
    def hear(path: str, begins: bool, _: Any) -> None:
        watching.module_begins_or_ends(whereabouts.path)

    with watching, listening(whereabouts, hear):
        with _low(precision):
            outputs = double(*given)
        torch.clear_autocast_cache()
        error = loss(outputs)
        if not error.requires_grad:
            raise ModelError("nothing that the loss is made of learns: it has no gradient")
        watching.mark(watching.lives_of(tensors_in([outputs])), "outputs")
        watching.mark(watching.living(), "saved for backward")
        watching.phase = "backward"
        error.backward()
        gradients = [each.grad for each in double.parameters() if each.grad is not None]
        watching.mark(watching.lives_of(gradients), "gradients")
        del gradients
        watching.phase = "optimizer"
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def _begun(maker: Optimizer, learning: list[Tensor]) -> Steps:
    """An optimizer that has its state, as after a first step."""
    optimizer = maker(learning)
    for parameter in learning:
        parameter.grad = torch.empty_like(parameter, requires_grad=False)
    with Stepping():
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return optimizer


@contextmanager
def listening(whereabouts: Whereabouts, listener: Callable[[str, bool, Any], None]) -> Iterator[None]:
    """Within this block somebody hears of modules that begin and end."""
    whereabouts.listeners.append(listener)
    try:
        yield
    finally:
        whereabouts.listeners.remove(listener)
