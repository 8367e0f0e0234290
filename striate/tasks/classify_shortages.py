"""What a classifier's pictures are too few for, said before they are trained on."""

from collections import Counter
from collections.abc import Iterator, Sequence

from striate.data.names import counted, listed, printable
from striate.data.records import Classes, Record
from striate.tasks.classify_meter import wilson_interval

WIDEST = 0.5
"""The 95 % interval of a share may be so wide: with fewer than 12 pictures it is wider.

Of 11 pictures half may be answered by a network that is right one time in four, and by one that is three times in four.
"""
FEWEST = 5
"""Training pictures of a class."""
HARDLY = {
    "validation": "by it hardly any epoch is better than another",
    "the test": "it tells hardly anything; add pictures, or test with each of them (--folds)",
}
"""What a side can tell that measures with too few."""


def shortages(classes: Classes, training: Sequence[Record], validation: int, tested: int) -> Iterator[str]:
    """A sentence for each side that measures with too few pictures, and one for the classes with too few to learn from.

    A side of no pictures measures nothing, of which nothing is said.
    """
    for side, images in (("validation", validation), ("the test", tested)):
        if images and (width := interval_width(images)) > WIDEST:
            yield (
                f"{side} has {counted(images, 'picture')}: the 95 % interval of its top-1 can be {width:.2f} wide, so "
                f"{HARDLY[side]}"
            )
    counts = Counter(index for record in training for index in record.target.occurring() or ())
    few = [f"{printable(name)} ({counts[i]})" for i, name in enumerate(classes.names) if counts[i] < FEWEST]
    if few:
        yield f"fewer than {FEWEST} training pictures: {listed(few)}; of so few a class is hardly learnt"


def interval_width(images: int) -> float:
    """How wide the 95 % interval of a share of so many is at most, 0..1: where half of them are right; 1 of none.

    Example:
        >>> round(interval_width(5), 2), round(interval_width(100), 2)
        (0.65, 0.19)
    """
    if not images:
        return 1.0
    low, high = wilson_interval(images // 2, images)
    return high - low
