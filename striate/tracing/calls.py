"""One call of an operation, as rules read it: its arguments by their names in the operation's schema."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor
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


def tensors_in(values: Any) -> list[Tensor]:
    """All tensors in arguments or results, in order."""
    return [leaf for leaf in tree_leaves(list(values)) if isinstance(leaf, Tensor)]


@cache
def name_of(function: Any) -> str:
    """An operation's name without its namespace, without the mark of one that changes its argument."""
    name = str(function._schema.name).removeprefix("aten::")
    return name.removesuffix("_") if name.endswith("_") and not name.endswith("__") else name


@cache
def asks(function: Any) -> bool:
    """Whether it only asks a fake tensor for its device or layout, as torch does by way of operations."""
    return bool(function.namespace == "prim")


@cache
def _names(function: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (argument.name, argument.default_value if argument.has_default_value() else None)
        for argument in function._schema.arguments
    )


def by_name(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by their names, those that were left out by their default; none that the result is written to."""
    given = dict(_names(function)) | dict(zip((name for name, _ in _names(function)), args, strict=False)) | kwargs
    given.pop("out", None)
    return given


@cache
def changed(function: Any) -> tuple[str, ...]:
    """The names of the arguments that an operation writes to."""
    arguments = function._schema.arguments
    return tuple(each.name for each in arguments if each.alias_info is not None and each.alias_info.is_write)
