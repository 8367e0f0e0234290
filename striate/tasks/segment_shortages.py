"""What masks are too few for, said before they are learnt from."""

from collections.abc import Iterator, Sequence

from striate.data.names import counted, listed, printable
from striate.data.records import Classes, Record
from striate.data.targets import Mask
from striate.tasks.segment_census import Census

ENOUGH = 10
"""Pictures to measure on: their pixels are many, but those of a picture are right or wrong together."""
FEWEST = 5
"""Training masks that show a class."""


def shortages(classes: Classes, census: Census, validation: int, tested: int) -> Iterator[str]:
    """A sentence for each side that measures with too few pictures, and one on classes that few masks show.

    ``census`` is of the training masks; a side of no pictures measures nothing, of which nothing is said.
    """
    for side, count in (("validation", validation), ("the test", tested)):
        if 0 < count < ENOUGH:
            yield f"{side} has {counted(count, 'picture')}: figures of so few say little of others"
    rare = [(printable(name), shown) for name, shown in zip(classes.names, census.pictures, strict=True)]
    if never := listed([name for name, shown in rare if not shown]):
        yield f"no training mask shows {never}, so it is not learnt"
    if few := listed([f"{name} ({shown})" for name, shown in rare if 0 < shown < FEWEST]):
        yield f"fewer than {FEWEST} training masks show: {few}; of so few a class is hardly learnt"


def without_pixels(side: str, records: Sequence[Record]) -> Iterator[str]:
    """A sentence where all masks of a side are known to have no pixel of any class."""
    void = [isinstance(record.target, Mask) and record.target.areas == {} for record in records]
    if void and all(void):
        lost = "so no epoch can be told from another" if side == "validation" else "so it says nothing"
        yield f"no {side} mask has a pixel of a class ({counted(len(void), 'mask')}), {lost}"
