"""What fits into a room: the largest batch of a run."""

from collections.abc import Callable

from striate.planning.demand import Demand
from striate.planning.room import Room

EIGHT = 8
"""From so many pictures on batches that are chosen are multiples of it: vectors of processors are so wide."""
TIMES = 4
"""A batch that is chosen is at most so many times the default one, for which the recipe's rates were measured."""
FEWEST_STEPS = 4
"""It leaves an epoch so many steps, unless the default batch leaves fewer."""


def rounded(batch: int) -> int:
    """The largest batch, no larger than this one, that is chosen.

    Example:
        >>> rounded(7), rounded(23)
        (7, 16)
    """
    return batch if batch < EIGHT else batch // EIGHT * EIGHT


def most_to_choose(default: int, training: int) -> int:
    """No larger batch is chosen, whatever fits, of so many training pictures.

    Example:
        >>> most_to_choose(32, 10_000), most_to_choose(32, 400), most_to_choose(32, 60)
        (128, 100, 32)
    """
    return max(default, min(TIMES * default, training // FEWEST_STEPS))


def batch_for(demand: Demand, room: Room, default: int, most: int, taken: Callable[[int], int]) -> int:
    """The batch to choose: the largest that fits while freed memory is kept, if that is not less than the default one.

    Else the default one, or the largest that fits at all: who gives freed memory back at once fits twice as many
    pictures, and loses more time by it than larger batches gain. ``taken`` says what a batch takes, by a trace of its
    own, by which the choice is confirmed. 0: none fits.
    """
    fast = rounded(min(most, demand.largest(room.kept)))
    batch = fast if fast >= default else min(default, rounded(demand.largest(room.bytes)))
    while batch and taken(batch) > room.bytes:
        batch = rounded(batch - 1)
    return batch
