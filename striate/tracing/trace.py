"""What a trace is: operations, storages and modules, frozen; all that is said of memory and of work is read off it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import Literal

import torch

from striate.tracing.counting import Counted
from striate.tracing.fields import Field

Phase = Literal["forward", "backward", "optimizer"]
Mode = Literal["inference", "training"]
Precision = Literal["float32", "bfloat16"]
Kind = Literal[
    "parameters",
    "buffers",
    "inputs",
    "optimizer state",
    "gradients",
    "saved for backward",
    "outputs",
    "scratch",
    "temporaries",
]
KINDS: tuple[Kind, ...] = (
    *("parameters", "buffers", "inputs", "optimizer state", "gradients"),
    *("saved for backward", "outputs", "scratch", "temporaries"),
)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor that went into an operation or came out: ``storage`` is the index of the memory that it lies in."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    storage: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as torch dispatches it (``convolution``), and the module for which it ran ("" is the whole)."""

    name: str
    phase: Phase
    path: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """A piece of memory: there while operation ``birth`` runs, and no more when ``death`` does (None: for ever).

    ``path`` is the module for which the operation ran that made it. What was there before is born with operation 0.
    """

    bytes: int
    birth: int
    death: int | None
    kind: Kind
    path: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A module, with all that is in it, in the order in which modules began to run.

    ``shape`` is its (first) output's, ``output_bytes`` and ``field`` are of all outputs and of the first one.
    ``kept_bytes`` are born in it and kept for backward. ``buffers`` counts floating-point numbers, running statistics.
    What modules share is counted in each of them; of a module that runs several times multiply-adds are of all runs.
    """

    path: str
    what: str
    shape: tuple[int, ...]
    output_bytes: int
    kept_bytes: int
    trainable: int
    frozen: int
    buffers: int
    multiply_adds: int
    runs: int
    leaf: bool
    field: Field | None


@dataclass(frozen=True, slots=True)
class Peak:
    """The moment at which most memory is in use: the operation that ran, and bytes by kind."""

    bytes: int
    index: int
    operation: Operation | None
    kinds: Mapping[Kind, int]

    @property
    def path(self) -> str:
        """The module for which the operation ran."""
        return self.operation.path if self.operation else ""


@dataclass(frozen=True)
class Trace:
    """What one step of a module does, for the very shapes of its inputs.

    ``counted`` are the operations of a forward pass by torch's own, with what each multiplies and sees; it and ``rows``
    are empty where nobody asked for them. ``before_loss`` is how many operations a step of training has before those of
    its loss begin, which are of the phase "forward", too.
    """

    mode: Mode
    precision: Precision
    operations: tuple[Operation, ...]
    storages: tuple[Storage, ...]
    rows: tuple[Row, ...]
    counted: tuple[Counted, ...] = ()
    before_loss: int | None = None

    @cached_property
    def kinds(self) -> Mapping[Kind, tuple[int, ...]]:
        """Bytes in use while each operation runs, by kind."""
        return MappingProxyType({kind: self._course(kind) for kind in KINDS})

    @cached_property
    def course(self) -> tuple[int, ...]:
        """Bytes in use while each operation runs."""
        return tuple(map(sum, zip(*self.kinds.values(), strict=True)))

    def peak(self, phase: Phase | None = None) -> Peak:
        """When most memory is in use, of the whole step or of one phase; the first such moment."""
        places = [i for i, operation in enumerate(self.operations) if phase in (None, operation.phase)]
        if not places:  # nothing runs: what is there is there
            held = {kind: sum(each.bytes for each in self.storages if each.kind == kind) for kind in KINDS}
            return Peak(sum(held.values()), 0, None, MappingProxyType(held))
        index = max(places, key=lambda place: self.course[place])
        kinds = {kind: course[index] for kind, course in self.kinds.items()}
        return Peak(self.course[index], index, self.operations[index], MappingProxyType(kinds))

    def bytes_of(self, kind: Kind) -> int:
        """Of all storages of a kind, whenever they live."""
        return sum(storage.bytes for storage in self.storages if storage.kind == kind)

    @property
    def whole(self) -> Row:
        """The row of the module itself."""
        return self.rows[0]

    @property
    def multiply_adds(self) -> int:
        """Of the forward pass, of all pictures together."""
        return self.whole.multiply_adds

    def _course(self, kind: Kind) -> tuple[int, ...]:
        changes = [0] * (len(self.operations) + 1)
        for storage in self.storages:
            if storage.kind == kind:
                changes[storage.birth] += storage.bytes
                if storage.death is not None:
                    changes[storage.death] -= storage.bytes
        return tuple(accumulate(changes[:-1]))


def rows_by_path(rows: Sequence[Row]) -> Mapping[str, Row]:
    """The rows of a trace, by the modules' paths."""
    return MappingProxyType({row.path: row for row in rows})
