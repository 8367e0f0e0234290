"""What a detector's objects are too few for, said before they are learnt from; crowds are none."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from striate.data.names import listed, printable
from striate.data.records import Classes, Record
from striate.data.targets import Boxes
from striate.tasks.intervals import too_few

ENOUGH = 12
"""Of so many objects the share that is found has a 95 % interval of at most `striate.tasks.intervals.WIDEST`."""
FEWEST = 10
"""Training objects of a class."""


def shortages(
    classes: Classes, training: Sequence[Record], validation: Sequence[Record], tested: Sequence[Record]
) -> Iterator[str]:
    """A sentence for each side that measures with too few objects, of all classes or of some, and one on learning.

    A side of no pictures measures nothing, of which nothing is said.
    """
    for side, records in (("validation", validation), ("the test", tested)):
        objects = _objects(records)
        if records and (said := too_few(side, objects.total(), "object", "the share that is found")):
            yield said
        elif records and (few := _few(classes, objects, ENOUGH)):
            yield (
                f"{side} has fewer than {ENOUGH} objects of {few}; their AP is mostly luck, and counts in the mean as "
                "much as that of others"
            )
    if few := _few(classes, _objects(training), FEWEST):
        yield f"fewer than {FEWEST} training objects: {few}; of so few a class is hardly learnt"


def _objects(records: Sequence[Record]) -> Counter[int]:
    """How many objects there are of each class."""
    boxes = [record.target for record in records if isinstance(record.target, Boxes)]
    return Counter(index for each in boxes for index in each.classes[~each.crowd].tolist())


def _few(classes: Classes, objects: Mapping[int, int], least: int) -> str:
    """The classes of fewer objects than ``least``, with their numbers."""
    return listed([f"{printable(name)} ({objects[i]})" for i, name in enumerate(classes.names) if objects[i] < least])
