"""How much memory tensors take: what torch's allocator gave out, whatever of it the system counts as in memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor
from torch.profiler import ProfilerActivity, profile


@dataclass(frozen=True, slots=True)
class Allocated:
    """Bytes that were given out before a step, and at most while it lasted."""

    before: int
    peak: int


def allocated(step: Callable[[], object], tensors: Callable[[], Iterable[Tensor]]) -> Allocated:
    """What the second of two steps takes on the CPU; ``tensors`` are those that live through a step, once it was done.

    Example:
        >>> import torch
        >>> weight = torch.zeros(1000)
        >>> allocated(weight.exp, lambda: [weight])
        Allocated(before=4000, peak=8000)
    """
    step()
    before = sum({each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors()}.values())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        step()
    results = watched.profiler.kineto_results if watched.profiler else None
    events = [event for event in results.events() if event.name() == "[memory]"] if results else []
    total = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        total += event.nbytes()
        most = max(most, total)
    return Allocated(before, before + most)
