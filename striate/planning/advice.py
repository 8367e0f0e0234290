"""What would fit into a budget of memory: the largest batch, and what each remedy saves and costs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from striate.base.errors import ModelError
from striate.models.table import MODELS
from striate.planning.planning import at_most, learning_step, planned
from striate.planning.subjects import Subject, subject_of

MOST = 1 << 16
"""No batch of more pictures is looked for."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """A way to need less: its words, what a step then takes, and its multiply-adds over those of before, a picture."""

    what: str
    bytes: int
    work: float
    cost: str


@dataclass(frozen=True, slots=True)
class Advice:
    """The largest batch whose step of training fits ``budget`` bytes, what that takes, and what else would help."""

    budget: int
    batch: int
    bytes: int
    remedies: tuple[Remedy, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        remedies = [{"what": r.what, "bytes": r.bytes, "work": r.work, "cost": r.cost} for r in self.remedies]
        return {"budget": self.budget, "batch": self.batch, "bytes": self.bytes, "remedies": remedies}


@dataclass(frozen=True)
class _Asked:
    """A subject, and how a step of it is computed."""

    subject: Subject
    precision: str
    optimizer: str

    def bytes_of(self, batch: int) -> int:
        """At the peak of a step."""
        return at_most(self.subject, learning_step(self.subject, batch, self.precision, self.optimizer)).bytes


def advise(
    subject: Subject, budget: int, *, batch: int, precision: str | None = None, optimizer: str | None = None
) -> Advice:
    """The largest batch that fits, and remedies for a step of ``batch`` pictures.

    Only what the step itself takes is counted: who has a budget for a whole process leaves it what Python and torch
    take, a few hundred megabytes.

    Raises:
        ModelError: not even two pictures fit; says what the weights take.
    """
    asked = _Asked(subject, precision or subject.precision, optimizer or subject.optimizer)
    largest, size = _largest(asked, budget)
    return Advice(budget, largest, size, tuple(_remedies(asked, batch)))


def _largest(asked: _Asked, budget: int) -> tuple[int, int]:
    """By bisection over plans, from what a straight line through two of them says."""
    sizes: dict[int, int] = {}

    def size(batch: int) -> int:
        if batch not in sizes:
            sizes[batch] = asked.bytes_of(batch)
        return sizes[batch]

    if size(2) > budget:
        fixed = 2 * size(2) - size(4)
        raise ModelError(
            f"{asked.subject.name}: a step of training on two pictures takes {size(2):,} bytes, of which about "
            f"{max(fixed, 0):,} are for weights, gradients and the optimizer's state whatever the batch; the budget is "
            f"{budget:,}. Take a smaller network or smaller pictures, or freeze blocks"
        )
    a_picture = max(1, (size(8) - size(4)) // 4)
    low, high = 2, MOST
    guess = min(max(4, 4 + (budget - size(4)) // a_picture), MOST - 1)
    while high - low > 1:
        if size(guess) <= budget:
            low, nearby = guess, guess + 1
        else:
            high, nearby = guess, guess - 1
        guess = nearby if low < nearby < high and len(sizes) < 8 else (low + high) // 2
    return low, size(low)


def _remedies(asked: _Asked, batch: int) -> Iterator[Remedy]:
    subject = asked.subject
    before = _work(subject)
    half = max(2, batch // 2)
    fewer = asked.bytes_of(half)
    yield Remedy(f"batches of {half}", fewer, 1.0, "more steps an epoch, with gradients of fewer pictures")
    yield Remedy(f"batches of {half}, accumulate = 2", fewer, 1.0, "the same steps; norms see half of the pictures")
    yield Remedy(f"two devices, {half} pictures each", fewer, 1.0, "another device")
    _, height, width = subject.size
    smaller = replace(subject, size=(subject.size[0], height // 2, width // 2), learns_from=None)
    yield from _tried(
        lambda: Remedy(
            f"pictures of {height // 2}x{width // 2}",
            replace(asked, subject=smaller).bytes_of(batch),
            _work(smaller) / before,
            "small things are no longer seen",
        )
    )
    if asked.precision == "float32":
        low = replace(asked, precision="bfloat16").bytes_of(batch)
        yield Remedy("bfloat16", low, 1.0, "rounding; slow where the processor does not multiply in it")
    for name in fewer_layers(subject):
        other = replace(asked, subject=replace(subject_of(name), size=subject.size, learns_from=subject.learns_from))
        yield from _tried(
            lambda name=name, other=other: Remedy(  # type: ignore[misc]
                name, other.bytes_of(batch), _work(other.subject) / before, "another network, of fewer layers"
            )
        )


def _tried(remedy: Callable[[], Remedy]) -> Iterator[Remedy]:
    """A remedy, unless the network refuses it."""
    try:
        yield remedy()
    except ModelError:
        return


def _work(subject: Subject) -> int:
    """Multiply-adds a picture."""
    return planned(subject, 1, mode="inference").multiply_adds


def fewer_layers(subject: Subject) -> list[str]:
    """Of the same family, for pictures of the same size, the largest network that has less work, if there is one."""
    head, stroke, name = subject.name.rpartition("/")
    if name not in MODELS:
        return []
    row, family = MODELS[name], name.rstrip("0123456789")
    alike = [
        (each.multiply_adds or 0, other)
        for other, each in MODELS.items()
        if other.rstrip("0123456789") == family
        and each.preprocess.size == row.preprocess.size
        and (each.multiply_adds or 0) < (row.multiply_adds or 0)
    ]
    return [f"{head}{stroke}{max(alike)[1]}"] if alike else []
