"""What fits into a room: the largest batch of a run."""

from dataclasses import replace

from striate.planning.asked import Asked
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


def batch_for(asked: Asked, room: Room, most: int) -> int:
    """The batch to choose instead of the one that is asked for, which is the default.

    It is the largest that fits while freed memory is kept, if that is not less than the default one, else the default
    one, or the largest that fits at all: who gives freed memory back at once fits twice as many pictures, and loses
    more time by it than larger batches gain. 0: none fits; single pictures, with which some norms cannot learn, are for
    somebody to ask for.
    """
    growing = asked.growing(max(2, asked.batch))
    fast = rounded(min(most, growing.largest_kept(room)))
    batch = fast if fast >= asked.batch else min(asked.batch, rounded(growing.largest(room.bytes)))
    while batch > 1 and replace(asked, batch=batch).bytes > room.bytes:
        batch = rounded(batch - 1)
    return batch if batch > 1 else 0
