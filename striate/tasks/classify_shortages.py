"""What a classifier's pictures are too few for, said before they are trained on."""

from collections import Counter
from collections.abc import Iterator, Sequence

from striate.data.names import listed, printable
from striate.data.records import Classes, Record
from striate.tasks.intervals import too_few

FEWEST = 5
"""Training pictures of a class."""


def shortages(classes: Classes, training: Sequence[Record], validation: int, tested: int) -> Iterator[str]:
    """A sentence for each side that measures with too few pictures, and one for the classes with too few to learn from.

    A side of no pictures measures nothing, of which nothing is said.
    """
    for side, images in (("validation", validation), ("the test", tested)):
        if images and (said := too_few(side, images, "picture", "its top-1")):
            yield said
    counts = Counter(index for record in training for index in record.target.occurring() or ())
    few = [f"{printable(name)} ({counts[i]})" for i, name in enumerate(classes.names) if counts[i] < FEWEST]
    if few:
        yield f"fewer than {FEWEST} training pictures: {listed(few)}; of so few a class is hardly learnt"
