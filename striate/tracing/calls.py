"""One call of an operation, as rules read it: its arguments by their names in the operation's schema."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from striate.tracing.seen import Place, Seen


@dataclass(frozen=True, slots=True)
class Call:
    """An operation that has run: ``given`` are its arguments, ``outputs`` the tensors that it gave or changed."""

    by: Place
    given: Mapping[str, Any]
    outputs: Sequence[Tensor]
    look: Callable[[Tensor], Seen | None]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first output."""
        return tuple(self.outputs[0].shape)

    def seen(self, name: str) -> Seen | None:
        """What the elements of an argument see; None if they see nothing of the picture."""
        value = self.given.get(name)
        return self.look(value) if isinstance(value, Tensor) else None

    def first(self) -> Seen:
        """What the first argument sees that sees anything; rules are asked only where there is one."""
        return next(found for tensor in tensors_in(self.given.values()) if (found := self.look(tensor)) is not None)

    def every(self) -> list[Seen]:
        """What all arguments see that see anything."""
        return [found for tensor in tensors_in(self.given.values()) if (found := self.look(tensor)) is not None]

    def numbers(self, name: str, count: int, default: int = 1) -> list[int]:
        """An argument of one number for each axis, or one for all."""
        value = self.given.get(name)
        values = [value] if isinstance(value, int) else list(value or [default])
        return values * count if len(values) == 1 else values

    def place(self, name: str, dimensions: int) -> int:
        """An argument that is a dimension, counted from the front."""
        return int(self.given[name]) % max(1, dimensions)


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """All tensors in an operation's arguments or results, in order."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(value)
        elif isinstance(value, dict):
            found += tensors_in(value.values())
    return found


def tensors_within(value: Any) -> list[Tensor]:
    """All tensors in what a module takes or gives, in whatever torch knows to look into."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


@cache
def name_of(function: Any) -> str:
    """An operation's name without its namespace, without the mark of one that changes its argument."""
    name = str(function._schema.name).removeprefix("aten::")
    return name.removesuffix("_") if name.endswith("_") and not name.endswith("__") else name


class Mode(TorchDispatchMode):
    """Somebody who sees each operation: `runs` is called for all but those that only ask a tensor for its device.

    Torch asks fake tensors for that by way of an operation, more often than it computes anything.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # which torch's compiler asks; looking out for it costs as much as half of the rest

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is _DEVICE and isinstance(args[0], FakeTensor):
            return args[0].fake_device
        return self.runs(function, args, kwargs or {})

    def runs(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operation is called, and what this gives is its result."""
        raise NotImplementedError


_DEVICE = torch.ops.prim.device.default


@cache
def _names(function: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (argument.name, argument.default_value if argument.has_default_value() else None)
        for argument in function._schema.arguments
    )


def by_name(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by their names, those that were left out by their default; none that the result is written to."""
    given = dict(_names(function)) | dict(zip((name for name, _ in _names(function)), args, strict=False)) | kwargs
    given.pop("out", None)
    return given


@cache
def changed(function: Any) -> tuple[str, ...]:
    """The names of the arguments that an operation writes to."""
    arguments = function._schema.arguments
    return tuple(each.name for each in arguments if each.alias_info is not None and each.alias_info.is_write)
