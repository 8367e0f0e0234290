"""A table of modules from what was written down while they ran."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from striate.tracing.calls import tensors_within
from striate.tracing.counting import Counted, look
from striate.tracing.fields import Field, field_of
from striate.tracing.trace import Row, Storage


class Runs:
    """Which modules ran, in the order in which they began, and what they gave: a listener of `Whereabouts`."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.counts: dict[str, int] = {}
        self.outputs: dict[str, tuple[tuple[int, ...], int, Field | None]] = {}

    def hear(self, path: str, begins: bool, values: Any) -> None:
        """A module begins, or ends and gives these."""
        if begins:
            if path not in self.counts:
                self.paths.append(path)
            self.counts[path] = self.counts.get(path, 0) + 1
            return
        given = tensors_within(values)
        if given:
            size = sum(tensor.numel() * tensor.element_size() for tensor in given)
            self.outputs[path] = tuple(given[0].shape), size, field_of(look(given[0]))


def rows(module: nn.Module, runs: Runs, counted: Sequence[Counted], storages: Iterable[Storage]) -> tuple[Row, ...]:
    """The rows of all modules that ran, parents before what is in them."""
    work = summed_by_path((each.path, each.multiply_adds) for each in counted)
    kept = summed_by_path((each.path, each.bytes) for each in storages if each.kind == "saved for backward")
    parts = dict(module.named_modules())
    found = []
    for path in runs.paths:
        shape, size, field = runs.outputs.get(path, ((), 0, None))
        part = parts[path]
        parameters = dict.fromkeys(part.parameters())
        found.append(
            Row(
                path=path,
                what=type(part).__name__,
                shape=shape,
                output_bytes=size,
                kept_bytes=kept.get(path, 0),
                trainable=_numbers(each for each in parameters if each.requires_grad),
                frozen=_numbers(each for each in parameters if not each.requires_grad),
                buffers=_numbers(each for each in part.buffers() if each.is_floating_point()),
                multiply_adds=work.get(path, 0),
                runs=runs.counts[path],
                leaf=not part._modules,
                field=field,
            )
        )
    return tuple(found)


def summed_by_path(numbers: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """What is said of modules by their paths, added up for all that they are in; what is 0 everywhere is left out."""
    sums: dict[str, int] = {}
    for path, number in numbers:
        if not number:
            continue
        names = path.split(".") if path else []
        for count in range(len(names) + 1):
            above = ".".join(names[:count])
            sums[above] = sums.get(above, 0) + number
    return sums


def _numbers(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)
