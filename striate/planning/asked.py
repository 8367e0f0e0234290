"""What somebody asks about: a subject in batches of so many pictures, as a run would train it."""

from dataclasses import dataclass, replace

from striate.planning.demand import NOBODY_KNOWS, Counts, Demand, demand_between, demand_of
from striate.planning.subjects import Subject
from striate.tracing import Trace

FEW = 4
"""Growth is read off batches of so many pictures and of twice as many, at least: of fewer torch computes otherwise."""


@dataclass(frozen=True)
class Asked:
    """A subject, its batch, and how a run goes about it.

    ``kernels`` says whether ours compute (where there are some), as they do on a processor.
    """

    subject: Subject
    batch: int
    counts: Counts = NOBODY_KNOWS
    accumulate: int = 1
    kernels: bool = True

    def demand(self) -> Demand:
        """What a run takes, exact for this batch and not too little for larger ones.

        Raises:
            ModelError: the network cannot be traced; says which part of it, and why.
        """
        return demand_of(self.subject, self.batch, self.counts, accumulate=self.accumulate, kernels=self.kernels)[0]

    def traced(self) -> tuple[Demand, Trace]:
        """The same, and the step that it was read off."""
        return demand_of(self.subject, self.batch, self.counts, accumulate=self.accumulate, kernels=self.kernels)

    def growing(self, many: int = 2 * FEW) -> Demand:
        """What a run takes, exact for all batches that compute as ``many`` pictures do and half of them."""
        few = max(1, many // 2)
        return demand_between(
            *(self.subject, few, max(many, few + 1), self.counts), accumulate=self.accumulate, kernels=self.kernels
        )

    @property
    def bytes(self) -> int:
        """At the peak of the run."""
        return self.demand().bytes_of(self.batch)

    def largest(self, room: int) -> tuple[int, Demand]:
        """The largest batch that fits into so many bytes (0: none does), and what a run takes around it.

        It is read off two small batches, and seen to fit by the trace of a step of its own.
        """
        growing = self.growing()
        batch = growing.largest(room)
        if batch > FEW:
            true = replace(self, batch=batch).demand()
            if true.bytes_of(batch) > room:
                growing = self.growing(batch)
                batch = growing.largest(room)
        return batch, growing

    def computed_again(self, blocks: tuple[str, ...]) -> "Asked":
        """The same with these blocks computed again."""
        return replace(self, subject=replace(self.subject, computed_again=blocks))
