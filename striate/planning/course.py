"""Memory over the course of a step: what is in use while each operation runs, and where the step then is."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from striate.tracing import Kind, Trace

PARTS: Mapping[str, tuple[Kind, ...]] = {
    "weights": ("parameters", "buffers"),
    "averaged weights": (),
    "optimizer state": ("optimizer state",),
    "gradients": ("gradients",),
    "saved for backward": ("saved for backward",),
    "temporaries": ("temporaries", "scratch", "outputs", "inputs"),
}
"""What memory is split into, with the kinds of a trace that each part is made of; averages no trace knows of."""

PHASES = ("forward", "loss", "backward", "optimizer")

MOST = 600
"""So many moments a course has, and one more for each time that a block or a phase begins."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Of some operations that follow each other, in one block and phase, the one during which most is in use.

    ``begin`` is the number of the first of them in the step; ``operation`` and ``path`` name the one that is meant and
    the module for which it ran. ``block`` is that module's block; of what is in no block it is the module's own name,
    and "" of what no module ran for but the whole. ``phase`` is one of `PHASES`. ``parts`` are bytes, in the order of
    `PARTS`.
    """

    begin: int
    operation: str
    path: str
    block: str
    phase: str
    parts: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Of all parts together."""
        return sum(self.parts)


@dataclass(frozen=True, slots=True)
class Course:
    """The moments of a step of so many operations, in their order; that of its peak is among them."""

    operations: int
    moments: tuple[Moment, ...]

    @property
    def peak(self) -> Moment | None:
        """The first moment at which most is in use; None of a step without operations."""
        return max(self.moments, key=lambda moment: moment.bytes, default=None)

    @property
    def ends(self) -> tuple[int, ...]:
        """Of each moment the number of the first operation that is no more of it."""
        return (*(moment.begin for moment in self.moments), self.operations)[1:]


def course_of(
    trace: Trace,
    blocks: Mapping[str, Sequence[str]],
    *,
    own_path: Callable[[str], str] = str,
    everywhere: Collection[str] = (),
    averaged: bool = False,
    most: int = MOST,
) -> Course:
    """The course of a trace.

    Args:
        trace: of any step.
        blocks: their names, with the paths of their modules.
        own_path: the path of a module in the trace as ``blocks`` have it.
        everywhere: paths of modules that several blocks may use, as one activation for a whole network; they count to
            the block whose results they get.
        averaged: whether averages of the weights are kept beside them.
        most: into so many moments operations are put together, apart from where blocks and phases begin.
    """
    own_path = cache(own_path)
    paths = [own_path(operation.path) for operation in trace.operations]
    phases = [_phase(trace, index) for index in range(len(paths))]
    named = _blocks_of(paths, phases, blocks, everywhere)
    begins = [*_begins([*zip(phases, named, strict=True)], -(-len(paths) // most) or 1)]
    moments = []
    for begin, end in zip(begins, (*begins, len(paths))[1:], strict=True):
        index = max(range(begin, end), key=trace.course.__getitem__)
        name, parts = trace.operations[index].name, _parts(trace, index, averaged)
        moments.append(Moment(begin, name, paths[index], named[index], phases[index], parts))
    return Course(len(paths), tuple(moments))


def _phase(trace: Trace, index: int) -> str:
    phase = trace.operations[index].phase
    return "loss" if phase == "forward" and trace.before_loss is not None and index >= trace.before_loss else phase


def _blocks_of(
    paths: Sequence[str], phases: Sequence[str], blocks: Mapping[str, Sequence[str]], everywhere: Collection[str]
) -> list[str]:
    """The block of each operation."""
    known = {path: name for name, own in blocks.items() for path in own}

    @cache
    def block(path: str) -> str:
        names = path.split(".")
        above = (".".join(names[:count]) for count in range(len(names), 0, -1))
        return next((known[each] for each in above if each in known), known.get("", names[0]))

    named = [block(path) for path in paths]
    forward = [index for index, phase in enumerate(phases) if phase == "forward"]
    backward = [index for index, phase in enumerate(phases) if phase == "backward"]
    for order in (forward, backward[::-1]):  # a gradient comes before those of what made the results
        for before, index in pairwise(order):
            if paths[index] in everywhere:
                named[index] = named[before]
    return named


def _begins(places: Sequence[tuple[str, str]], together: int) -> Iterator[int]:
    """The operations with which moments begin: no moment is of two phases or blocks."""
    begun = 0
    for index, place in enumerate(places):
        if index == 0 or place != places[index - 1] or index - begun == together:
            begun = index
            yield index


def _parts(trace: Trace, index: int, averaged: bool) -> tuple[int, ...]:
    parts = {part: sum(trace.kinds[kind][index] for kind in kinds) for part, kinds in PARTS.items()}
    if averaged:
        parts["averaged weights"] = parts["weights"]
    return tuple(parts.values())
