"""What a whole run takes at most: to learn, to be measured in between, and to be saved."""

from dataclasses import dataclass, replace

from striate.data.loading import batch_bounds
from striate.planning.growth import MOST, Growth
from striate.planning.planning import learning_step
from striate.planning.room import Room
from striate.planning.subjects import Subject
from striate.tracing import Trace, trace

COPIES = 1
"""How often weights are copied while a checkpoint is written, and while a folded network answers."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many pictures a run learns from, and the most that it measures at once; None: nobody knows."""

    training: int | None = None
    measured: int | None = None


NOBODY_KNOWS = Counts()


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that a run takes at most, and those that its steps and answers take, without its saving."""

    bytes: int
    steps: int


@dataclass(frozen=True, slots=True)
class Demand:
    """Bytes that a run takes at most, by the pictures in a batch.

    ``step`` and ``answering`` grow with them, ``saving`` does not. Batches are never larger than there are pictures; a
    remainder of one picture joins the batch before it.
    """

    step: Growth
    answering: Growth | None
    saving: int
    counts: Counts = NOBODY_KNOWS

    def bytes_of(self, batch: int) -> int:
        """At the peak of a run in batches of this size."""
        return self.needs(batch).bytes

    def needs(self, batch: int) -> Needs:
        """What a run in batches of this size takes."""
        answering = self.answering.bytes_of(most_at_once(self.counts.measured, batch)) if self.answering else 0
        steps = max(self.step.bytes_of(most_at_once(self.counts.training, batch)), answering)
        return Needs(max(steps, self.saving), steps)

    def largest_kept(self, room: Room) -> int:
        """The largest batch with which freed memory may be kept."""
        return replace(self, saving=0).largest(room.kept)

    def largest(self, room: int) -> int:
        """The largest batch that fits into so many bytes, and is not larger than the training pictures; 0 if none."""
        if self.saving > room:
            return 0
        measured, bounds = self.counts.measured, [self.counts.training or MOST, self.step.largest(room)]
        if self.answering and (measured is None or self.answering.bytes_of(measured) > room):
            bounds.append(self.answering.largest(room))
        largest = min(bounds)
        while largest and self.bytes_of(largest) > room:  # a remainder joins a batch
            largest -= 1
        return largest


def most_at_once(count: int | None, batch: int) -> int:
    """Pictures in the largest of the batches of this size, of so many pictures or of any number."""
    if count is None:
        return batch
    return max((stop - start for start, stop in batch_bounds(count, batch)), default=0)


def demand_of(
    subject: Subject, batch: int, counts: Counts, *, accumulate: int = 1, kernels: bool = True
) -> tuple[Demand, Trace]:
    """The demand, exact for batches of this size and not too little for larger ones, and the one step it is read off.

    Raises:
        ModelError: the network cannot be traced; says which part of it, and why.
    """
    pictures = most_at_once(counts.training, batch)
    step = learning_step(subject, pictures, subject.precision, subject.optimizer, kernels=kernels)
    return _demand(subject, Growth.from_one(step, pictures), step, pictures, counts, accumulate), step


def demand_between(
    subject: Subject, few: int, many: int, counts: Counts, *, accumulate: int = 1, kernels: bool = True
) -> Demand:
    """The demand, exact from batches of ``few`` pictures on, from traces of two steps.

    Raises:
        ModelError: as `demand_of`.
    """
    steps = [
        learning_step(subject, each, subject.precision, subject.optimizer, kernels=kernels) for each in (few, many)
    ]
    return _demand(subject, Growth.between(steps[0], few, steps[1], many), steps[1], many, counts, accumulate)


def _demand(subject: Subject, growth: Growth, step: Trace, pictures: int, counts: Counts, accumulate: int) -> Demand:
    kinds = step.peak().kinds
    weights = kinds["parameters"] + kinds["buffers"]
    averaged = weights if subject.averaged else 0
    held = weights + averaged + kinds["optimizer state"]
    gradients = max(step.kinds["gradients"], default=0) if accumulate > 1 else 0
    beside = subject.beside_a_picture() * accumulate
    return Demand(
        step=growth.plus(averaged + gradients, beside),
        answering=_answering(subject, pictures, held, beside) if subject.task else None,
        saving=held * (1 + COPIES) if subject.task else 0,
        counts=counts,
    )


def _answering(subject: Subject, pictures: int, held: int, beside: int) -> Growth | None:
    """What validation takes, where that may be more than a step of training takes.

    A step in the same precision, on pictures of the same size, keeps all that an answer ever holds at once.
    """
    same_size = subject.learns_from in (None, subject.size[1:])
    if subject.own_sizes or (same_size and subject.precision == "float32"):
        return None
    answer = trace(subject.module, subject.images(pictures), counts=False)
    weights = sum(answer.peak().kinds[kind] for kind in ("parameters", "buffers"))
    return Growth.from_one(answer, pictures).plus(held - weights + COPIES * weights, beside)
