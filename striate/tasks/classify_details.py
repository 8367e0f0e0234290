"""What a person asks when figures are in: which classes, which confusions, which pictures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from striate.data.names import counted
from striate.tasks.tables import table_of_classes
from striate.tasks.task import shown

MOST_CONFUSIONS, MOST_PICTURES = 5, 10


def details(figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines: a table of the classes, the largest confusions in words, the wrong pictures that were surest.

    ``rows`` are a meter's, each with the picture's name under ``image``. Of more than 40 classes those are shown that
    are recognised worst.
    """
    classes = [row for row in figures["per_class"] if row["images"] or row["precision"] is not None]
    yield from table_of_classes(
        ("pictures", "recall", "precision"),
        classes,
        lambda row: (str(row["images"]), shown(row["recall"]), shown(row["precision"])),
        quality=_recall,
        done="recognised",
    )
    yield from _confusions(figures)
    yield from _surest([row for row in rows if not row["right"]])


def _recall(row: Mapping[str, Any]) -> float:
    return 1.0 if row["recall"] is None else row["recall"]


def _confusions(figures: Mapping[str, Any]) -> Iterator[str]:
    names = [row["name"] for row in figures["per_class"]]
    pairs = [
        (count, names[true], names[answered], sum(row))
        for true, row in enumerate(figures["confusion"])
        for answered, count in enumerate(row)
        if count and true != answered
    ]
    if pairs:
        yield ""
        yield "taken for another most often:"
        for count, true, answered, of in sorted(pairs, key=lambda pair: (-pair[0], pair[1:3]))[:MOST_CONFUSIONS]:
            yield f"  {true} for {answered}: {count} of {of}"


def _surest(wrong: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if wrong:
        yield ""
        yield f"wrong: {counted(len(wrong), 'picture')}; the surest of them:"
        for row in sorted(wrong, key=lambda row: -row["probability"])[:MOST_PICTURES]:
            yield f"  {row['image']}: {row['answered']} {row['probability']:.1%}, is {row['true']}"
