"""A step of any module on tensors without numbers: once for what it multiplies and sees, once for what it keeps."""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Protocol, get_args

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import SGD, AdamW
from torch.utils._pytree import tree_map

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.ops.native.library import left_to_torch
from striate.ops.own_state import own_modes
from striate.tracing.calls import tensors_within
from striate.tracing.counting import Counted, Counting, mark_inputs, mark_weight
from striate.tracing.doubles import Doubles, Whereabouts
from striate.tracing.locality import Locality, local
from striate.tracing.refusing import refusals
from striate.tracing.rows import Runs, rows
from striate.tracing.seen import Place
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
    return sum((each.float().sum() for each in tensors_within(outputs) if each.is_floating_point()), torch.zeros(()))


def trace(
    module: nn.Module,
    *inputs: Any,
    mode: Mode = "inference",
    precision: Precision = "float32",
    optimizer: str | Optimizer | None = None,
    loss: Loss = summed,
    kernels: bool = True,
    counts: bool = True,
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
        counts: whether multiply-adds, fields and rows are wanted, too, for which the module runs once more.

    Raises:
        ModelError: the module cannot run on such inputs, or not without numbers; says which part, and why.

    Example:
        >>> step = trace(nn.Linear(3, 2), torch.empty(5, 3), mode="training", optimizer="sgd")
        >>> step.multiply_adds, step.bytes_of("parameters"), step.bytes_of("optimizer state")
        (30, 32, 32)
    """
    maker = _optimizer(optimizer)
    for word, value, known in (("mode", mode, get_args(Mode)), ("precision", precision, get_args(Precision))):
        if value not in known:
            raise ModelError(f"{word} is {value!r}.{did_you_mean(value, known)} It is {' or '.join(known)}")
    with left_to_torch() if not kernels else nullcontext(), _begun(module, inputs, mode, precision) as step:
        runs, counted = step.counted() if counts else (Runs(), [])
        watching = step.answered() if mode == "inference" else step.learned(maker, loss)
    storages = watching.storages()
    table = rows(step.double, runs, counted, storages)
    return Trace(mode, precision, tuple(watching.operations), storages, table, tuple(counted), watching.before_loss)


def locality(module: nn.Module, *inputs: Any) -> Locality:
    """How far each place that a module gives looks around, what it takes of the whole picture left aside.

    Args:
        module: any module, as for `trace`.
        inputs: what it is called with; pictures ``[N, C, ...]`` whose sides no stride leaves anything of.

    Raises:
        ModelError: the module cannot run on such inputs.

    Example:
        >>> module = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.Upsample(scale_factor=2))
        >>> look = locality(module, torch.empty(1, 1, 8, 8))
        >>> look.step, look.before, look.after
        ((2, 2), (1, 1), (0, 0))
    """
    aside: list[Place] = []
    with _begun(module, inputs, "inference", "float32") as step:
        _, counted = step.counted(aside)
    return local(counted, aside, tuple(inputs[0].shape[2:]))


@contextmanager
def _begun(module: nn.Module, inputs: tuple[Any, ...], mode: Mode, precision: Precision) -> Iterator["_Step"]:
    """A step of a module's double, and within this block nothing has numbers."""
    with own_modes(), _collecting_later(), ExitStack() as held:
        fakes = FakeTensorMode(allow_fallback_kernels=False, allow_non_fake_inputs=True)
        whereabouts, doubles = Whereabouts(), Doubles(fakes)
        held.enter_context(refusals(module, lambda: whereabouts.failed, "running it"))
        double = doubles.of(module)
        given = tree_map(lambda leaf: doubles.fake(leaf) if isinstance(leaf, Tensor) else leaf, inputs)
        if mode == "inference" or not double.training:
            double.train(mode == "training")
        with fakes, whereabouts.watching(double):
            yield _Step(double, given, whereabouts, doubles, precision)


def made(factory: Callable[[], Any]) -> nn.Module:
    """The module that a factory makes, on torch's "meta" device where it can, so that its weights take no memory.

    Raises:
        ModelError: the factory raised something, or made no module.
    """
    name = getattr(factory, "__qualname__", type(factory).__name__)
    given: list[Any] = []
    with own_modes():
        with suppress(Exception), torch.device("meta"):
            given.append(factory())
        if not given:  # it may have asked for numbers, which are not there
            try:
                given.append(factory())
            except Exception as error:  # somebody else's code may raise anything
                raise ModelError(f"{name}() raised {type(error).__name__}: {error}") from error
    (module,) = given
    if not isinstance(module, nn.Module):
        raise ModelError(f"{name}() gives {type(module).__name__}, and not a module (torch.nn.Module)")
    return module


def _optimizer(asked: str | Optimizer | None) -> Optimizer | None:
    if not isinstance(asked, str):
        return asked
    if asked not in OPTIMIZERS:
        raise ModelError(f"optimizer is {asked!r}.{did_you_mean(asked, OPTIMIZERS)} It is {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[asked]


@dataclass(frozen=True, slots=True)
class _Step:
    """A module's double and what it is given, to be run in one way or another."""

    double: nn.Module
    given: tuple[Any, ...]
    whereabouts: Whereabouts
    doubles: Doubles
    precision: Precision

    def outputs(self, given: tuple[Any, ...]) -> Any:
        """What the double gives, in the precision asked for."""
        with torch.autocast("cpu", torch.bfloat16) if self.precision == "bfloat16" else nullcontext():
            outputs = self.double(*given)
        torch.clear_autocast_cache()
        return outputs

    def counted(self, aside: list[Place] | None = None) -> tuple[Runs, list[Counted]]:
        """A forward pass by torch's own operations, and with gradients: otherwise some outputs are made in vain."""
        runs, counting = Runs(), Counting(lambda: self.whereabouts.path, aside)
        for parameter in self.double.parameters():
            mark_weight(parameter)
        with left_to_torch(), counting, _listening(self.whereabouts, runs.hear):
            given = tree_map(_watched_by_autograd, self.given)
            mark_inputs(tensors_within(given))
            self.outputs(given)
        return runs, counting.counted

    def answered(self) -> Watching:
        """A forward pass without gradients."""
        watching = self._watching()
        with torch.no_grad(), watching:
            outputs = self.outputs(self.given)
        watching.mark(watching.lives_of(tensors_within(outputs)), "outputs")
        return watching

    def learned(self, maker: Optimizer | None, loss: Loss) -> Watching:
        """A forward pass, a backward pass, and a step of an optimizer, if there is one."""
        optimizer = None if maker is None else self._stepped(maker)
        watching = self._watching([] if optimizer is None else tensors_within([*optimizer.state.values()]))
        for path, part in self.double.named_modules():
            watching.parameters_of(path, part._parameters.values())

        def hear(path: str, begins: bool, values: Any) -> None:
            watching.module_begins_or_ends(self.whereabouts.path)

        with watching, _listening(self.whereabouts, hear):
            outputs = self.outputs(self.given)
            watching.before_loss = len(watching.operations)
            error = loss(outputs)
            if not error.requires_grad:
                raise ModelError("nothing that the loss is made of learns: it has no gradient")
            watching.mark(watching.lives_of(tensors_within(outputs)), "outputs")
            watching.mark(watching.living(), "saved for backward")
            watching.phase = "backward"
            error.backward()
            gradients = (each.grad for each in self._learning() if each.grad is not None)
            watching.mark(watching.lives_of(gradients), "gradients")
            watching.phase = "optimizer"
            if optimizer is not None:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return watching

    def _watching(self, state: Iterable[Tensor] = ()) -> Watching:
        """Who watches, and knows what is there before."""
        watching = Watching(lambda: self.whereabouts.path)
        watching.known(self.double.parameters(), "parameters")
        watching.known(self.double.buffers(), "buffers")
        watching.known(tensors_within(self.given), "inputs")
        watching.known(state, "optimizer state")
        return watching

    def _stepped(self, maker: Optimizer) -> Steps:
        """An optimizer that has its state, as after a first step."""
        optimizer = maker(self._learning())
        for parameter in self._learning():
            parameter.grad = self.doubles.alike(parameter)
        with Stepping():
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return optimizer

    def _learning(self) -> list[Tensor]:
        return [parameter for parameter in self.double.parameters() if parameter.requires_grad]


def _watched_by_autograd(value: Any) -> Any:
    """A copy of a floating-point tensor with a history: a leaf of autograd's nobody may change in place."""
    floats = isinstance(value, Tensor) and value.is_floating_point()
    return value.detach().requires_grad_().clone() if floats else value


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Within this block Python does not look for garbage of its own accord.

    What is in cycles would end at moments that have nothing to do with the step; and looking costs time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _listening(whereabouts: Whereabouts, listener: Callable[[str, bool, Any], None]) -> Iterator[None]:
    """Within this block somebody hears of modules that begin and end."""
    whereabouts.listeners.append(listener)
    try:
        yield
    finally:
        whereabouts.listeners.remove(listener)
