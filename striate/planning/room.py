"""How much memory the tensors of a run may take: one rule, for plans and for training alike.

    room = (what is there - RESERVE) / (1 + LIBRARIES)

What is there is a budget, if one is given, less what Python and torch take by themselves (`INTERPRETER`); else what the
card, the machine, control groups and the process's own limits leave free, and what decoded pictures hold, since these
yield: what a step leaves of the room is theirs (`left_for_pictures`), and nothing of what it needs.

`RESERVE` is what a run takes beside its tensors, whatever their size: stacks of threads, pictures that are being
decoded, Python. `LIBRARIES` is what is proportional to them: workspaces and reordered weights of oneDNN, pages that are
half full. A step of ResNet-18, of ResNet-50 in bfloat16 and of MobileNetV2 each took 2 % more than planned (`python -m
accept.plan.resident` measures one).

That is the room where memory goes back to the system as soon as it is freed. A run that keeps it (`striate.base.heap`),
which is faster, fragments its heap: `KEPT` times what is planned must be there for that (`Room.keeps`), as ResNet-18's
steps took 1.6 and MobileNetV2's 2.3 times. Where it is not, the run gives memory back at once.
"""

from dataclasses import dataclass

import torch

from striate.base.hardware import free_memory

RESERVE = 100_000_000
INTERPRETER = 400_000_000
LIBRARIES = 0.06
KEPT = 2.6


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that the tensors of a run may take together, of how many that are there, and whose limit that is.

    ``times`` what steps take must be there for freed memory to be kept.
    """

    bytes: int
    there: int
    limit: str
    times: float = KEPT

    @classmethod
    def of(cls, there: int, limit: str, times: float = KEPT) -> "Room":
        """What is there, less the reserve."""
        return cls(max(0, int((there - RESERVE) / (1 + LIBRARIES))), there, limit, times)

    def keeps(self, steps: int) -> bool:
        """Whether a run whose steps need so many bytes may keep the memory that it frees."""
        return steps <= self.kept

    @property
    def kept(self) -> int:
        """So much may steps need that keep the memory that they free."""
        return int(self.bytes / self.times)

    def left_for_pictures(self, needed: int, steps: int) -> int:
        """Bytes that decoded pictures may hold beside a run that needs so many, and so many for its steps."""
        held = max(needed, steps * self.times if self.keeps(steps) else steps)
        return max(0, int((self.bytes - held) * (1 + LIBRARIES)))


def room_here(device: torch.device | None, pictures: int = 0) -> Room:
    """The room on a device here and now, None the processor; ``pictures`` are bytes of decoded ones, which yield."""
    if device is not None and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return Room.of(free, f"the card {device}", times=1.0)  # torch itself keeps what is freed there
    free_here = free_memory()
    return Room.of(free_here.bytes + pictures, free_here.limit)


def room_of(budget: int) -> Room:
    """The room in a budget for a whole process."""
    return Room.of(budget - INTERPRETER, "the budget")
