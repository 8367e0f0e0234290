"""Which memory a step takes: storages are followed from the operation that makes them to their end.

Python hears of a storage's end by a weak reference to it, at the very moment; who asked after each operation instead
would see it too late. What autograd keeps, what kernels need and what is changed in place is so seen as it is, without
a hook on any tensor: `torch.distributed._tools.MemTracker` has the idea.

It follows real tensors as well as fake ones, so a trace can be compared with a step that is computed.
"""

import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from striate.ops.native.tensors import is_fake, makes_scratch
from striate.tracing import adding
from striate.tracing.calls import Mode, name_of, tensors_in
from striate.tracing.trace import Kind, Operation, Phase, Storage, Value
from striate.tracing.workspaces import workspaces

_STEPS = ("_fused_sgd", "_fused_adagrad")  # which change their arguments and make nothing; torch cannot trace them


class Stepping(Mode):
    """Within this block steps of optimizers that torch knows no shapes of do nothing to fake tensors."""

    def runs(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See an operation."""
        return _computed(function, args, kwargs)


def _computed(function: Any, args: Any, kwargs: Any) -> Any:
    """What the operation gives, with what torch's traces lack or have otherwise than its computations."""
    name = name_of(function)
    if name in _STEPS and any(map(is_fake, tensors_in(args))):
        return None
    result = function(*args, **kwargs)
    return _with_wide_statistics(args, result) if name == "native_batch_norm" and is_fake(args[0]) else result


def _with_wide_statistics(args: Any, result: Any) -> Any:
    """What a batch norm keeps has the type of its parameters; torch 2.13's trace gives it that of the maps."""
    parameters = [each for each in args[1:5] if each is not None]
    if not parameters or parameters[0].dtype == args[0].dtype:
        return result
    return (result[0], *(torch.empty_like(each, dtype=parameters[0].dtype) for each in result[1:]))


_ADD_IN_PLACE = torch.ops.aten.add_.Tensor
_BEGUN = Operation("", "forward", "", (), ())


class _Life:
    """A storage that is followed."""

    __slots__ = ("birth", "bytes", "death", "kind", "path", "reference")

    def __init__(self, size: int, birth: int, kind: Kind, path: str) -> None:
        self.bytes, self.birth, self.kind, self.path = size, birth, kind, path
        self.death: int | None = None
        self.reference: weakref.ref[Any] | None = None


class Watching(Mode):
    """Within this block operations and storages are written down; ``path`` says which module is running."""

    def __init__(self, path: Callable[[], str]) -> None:
        super().__init__()
        adding.prepare()
        self.phase: Phase = "forward"
        self.before_loss: int | None = None
        self.operations: list[Operation] = []
        self.lives: list[_Life] = []
        self._path = path
        self._now: dict[int, int] = {}  # of each storage that is there, by its identity, which life it is
        self._marks: list[tuple[int, str]] = [(0, "")]
        self._owners: dict[int, str] = {}

    def runs(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See an operation."""
        index, path = len(self.operations), self._where()
        inputs = tuple(map(self._value, tensors_in((args, kwargs))))
        self.operations.append(_BEGUN)
        if adding.adds_up(function, args, 2) and adding.in_place(*args):
            function = _ADD_IN_PLACE
        result = _computed(function, args, kwargs)
        outputs = tuple(self._value(tensor, index, path) for tensor in tensors_in([result]))
        for size in workspaces(name_of(function), args):
            self.lives.append(_Life(size, index, "scratch", path))
            self.lives[-1].death = index + 1
        self.operations[index] = Operation(name_of(function), self.phase, path, inputs, outputs)
        return result

    # Which memory there is

    def known(self, tensors: Iterable[Tensor], kind: Kind) -> None:
        """These are there before the first operation, unless they are known already."""
        for tensor in tensors:
            self._life(tensor, 0, kind, "")

    def living(self) -> set[int]:
        """The lives that have not ended."""
        return set(self._now.values())

    def lives_of(self, tensors: Iterable[Tensor]) -> set[int]:
        """The lives that these tensors are in."""
        return {self._now[key] for tensor in tensors if (key := _identity(tensor)) in self._now}

    def mark(self, lives: Iterable[int], kind: Kind) -> None:
        """From now on these lives, which were temporaries until it was known better, are of this kind."""
        for place in lives:
            if self.lives[place].kind == "temporaries":
                self.lives[place].kind = kind

    def storages(self) -> tuple[Storage, ...]:
        """All of them as they were."""
        return tuple(Storage(each.bytes, each.birth, each.death, each.kind, each.path) for each in self.lives)

    def _value(self, tensor: Tensor, birth: int | None = None, path: str = "") -> Value:
        kind: Kind = "scratch" if makes_scratch() else "temporaries"
        place = self._life(tensor, len(self.operations) if birth is None else birth, kind, path)
        return Value(tuple(tensor.shape), tensor.dtype, place)

    def _life(self, tensor: Tensor, birth: int, kind: Kind, path: str) -> int:
        try:
            storage = tensor.untyped_storage()
        except NotImplementedError:  # sparse tensors have none
            return -1
        key = storage._cdata
        if key not in self._now:
            life = _Life(storage.nbytes(), birth, kind, path)
            self._now[key] = len(self.lives)
            self.lives.append(life)
            life.reference = weakref.ref(storage, lambda _: self._end(key, life))
        return self._now[key]

    def _end(self, key: int, life: _Life) -> None:
        life.death = len(self.operations)
        del self._now[key]

    # For which module

    def module_begins_or_ends(self, path: str) -> None:
        """From now on the nodes that autograd makes are of this module."""
        self._marks.append((torch._C._autograd._get_sequence_nr(), path))

    def parameters_of(self, path: str, parameters: Iterable[Tensor]) -> None:
        """Gradients of these are added up for this module."""
        for parameter in parameters:
            self._owners.setdefault(id(parameter), path)

    def _where(self) -> str:
        node = torch._C._current_autograd_node() if self.phase == "backward" else None
        if node is None or self._path():  # a module that is computed again in a backward pass is running itself
            return self._path()
        parameter = getattr(node, "variable", None)
        if parameter is not None:
            return self._owners.get(id(parameter), "")
        return self._marks[bisect_right(self._marks, node._sequence_nr(), key=lambda mark: mark[0]) - 1][1]


def _identity(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except NotImplementedError:
        return 0
