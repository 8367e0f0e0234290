"""What would fit into a room: the largest batch, and what each remedy saves and costs."""

from dataclasses import dataclass, replace
from typing import Any

from striate.base.errors import ModelError
from striate.planning.asked import Asked
from striate.planning.remedies import Remedy, remedies
from striate.planning.subjects import Subject


@dataclass(frozen=True, slots=True)
class Advice:
    """The largest batch whose run fits ``budget`` bytes, what that takes, and what else would help.

    ``asked`` is what the batch takes that was asked for.
    """

    budget: int
    batch: int
    bytes: int
    asked: int
    remedies: tuple[Remedy, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [
            {"what": r.what, "bytes": r.bytes, "work": r.work, "cost": r.cost, "flag": r.flag} for r in self.remedies
        ]
        return {
            "budget": self.budget,
            "batch": self.batch,
            "bytes": self.bytes,
            "asked_bytes": self.asked,
            "remedies": rows,
        }


def advise(
    subject: Subject, budget: int, *, batch: int, precision: str | None = None, optimizer: str | None = None
) -> Advice:
    """The largest batch that fits, and remedies for a run in batches of ``batch`` pictures.

    ``budget`` is the room of `striate.planning.room`: bytes that tensors may take together. Of networks of ours it is
    a whole run that must fit, measured and saved in between; of other modules a step of training.

    Raises:
        ModelError: not even one picture fits; says what the weights take.
    """
    asked_for = replace(subject, precision=precision or subject.precision, optimizer=optimizer or subject.optimizer)
    asked = Asked(asked_for, batch)
    largest, growing = asked.largest(budget)
    if not largest:
        fixed = max(0, 2 * growing.bytes_of(2) - growing.bytes_of(4))
        raise ModelError(
            f"{subject.name}: a run in batches of one picture takes {growing.bytes_of(1):,} bytes, of which about "
            f"{fixed:,} are for weights, gradients and the optimizer's state whatever the batch; there are {budget:,}. "
            "Take a smaller network or smaller pictures, or freeze blocks"
        )
    return Advice(budget, largest, growing.bytes_of(largest), asked.bytes, tuple(remedies(asked, largest)))
